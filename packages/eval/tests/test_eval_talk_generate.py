"""``core.generate`` on Transformers: every prompt is answered once or set aside, killed or not."""

import json

import pytest
from core import discovery, named_model
from core.errors import ConfigError, InputError
from smallwright_eval.talk import asked, loading, start, wording
from smallwright_eval.talk.by_transformers import TransformersTalker
from smallwright_eval.talk.config import ChatConfig, GenerateConfig
from smallwright_eval.talk.generate import Generate
from smallwright_testing.models import one_thread, tiny_model

pytest.importorskip("transformers")

LINES = [
    '"One."',
    '{"prompt": "Two and three.", "id": 7}',
    "no json",
    "",
    '{"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Four?"}]}',
    '{"messages": []}',
    '{"messages": [{"role": "user", "content": "Four?"}, {"role": "assistant", "content": "Five"}]}',
    '{"text": "no prompt"}',
    json.dumps("long " * 600),
    '"Five \u2028 six"',
]
GREEDY = {"temperature": 0.0, "max_new_tokens": 6}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tiny_model(tmp_path_factory.mktemp("talk") / "tiny")
    return named_model.resolve(str(folder / "hf"), discovery.load())


@pytest.fixture(scope="module")
def talker(model):
    return start.talker(model, ChatConfig())


@pytest.fixture(autouse=True)
def loaded_once(monkeypatch, talker):
    """The engine is loaded once for all tests of this file."""
    monkeypatch.setattr(start, "talker", lambda model, config: talker)


@pytest.fixture
def generate(model, tmp_path):
    """A function that writes a file of prompts, answers it and returns the rows."""

    def answer(lines=LINES, name="answers.jsonl", prompts="prompts.jsonl", **settings):
        (tmp_path / prompts).write_text("\n".join(lines) + "\n")
        files = {"prompts": str(tmp_path / prompts), "out": str(tmp_path / name)}
        command = Generate(GenerateConfig(**{**GREEDY, **files, **settings}))
        command.check(model)
        with one_thread():
            assert command.run(model) == 0
        return [json.loads(line) for line in (tmp_path / name).read_text().split("\n") if line]

    return answer


def test_every_prompt_is_answered_or_set_aside_with_its_reason(generate, talker, tmp_path, capsys):
    import torch

    rows = generate(batch_size=2)
    assert [row.get("prompt") for row in rows] == ["One.", "Two and three.", None, "Five \u2028 six"]
    assert rows[1]["id"] == 7
    for row in rows:
        turns = row.get("messages") or [{"role": "user", "content": row["prompt"]}]
        ids = begun = wording.ids_of_turns(talker.tokenizer, turns)
        assert row["prompt_tokens"] == len(begun)
        for _ in range(6):
            with torch.no_grad():
                ids = [*ids, int(talker.model(torch.tensor([ids])).logits[0, -1].argmax())]
        (answer,) = row["answers"]
        assert answer == {"text": wording.text_of(talker.tokenizer, ids[len(begun) :]), "tokens": 6, "ended": False}
    aside = [json.loads(line) for line in (tmp_path / "answers.rejected.jsonl").read_text().splitlines()]
    assert [row["line"] for row in aside] == [3, 6, 7, 8, 9]
    reasons = [row["reason"] for row in aside]
    assert reasons[0] == "no JSON"
    assert reasons[4].endswith("tokens, and the model reads 506 beside its answer")
    about = json.loads((tmp_path / "answers.json").read_text())
    assert (about["answered"], about["rejected"], about["sampling"]["temperature"]) == (4, 5, 0.0)
    assert "4 prompts, 5 set aside (line 3: no JSON" in capsys.readouterr().err


def test_a_killed_command_goes_on_and_asks_only_what_is_left(generate, tmp_path, monkeypatch):
    sampled = {"temperature": 1.0, "n": 2, "batch_size": 2}
    whole = generate(name="whole.jsonl", **sampled)
    answer, batches = TransformersTalker.answer, []

    def counted(self, prompts, *args):
        batches.append(len(prompts))
        if len(batches) == 3:
            raise KeyboardInterrupt
        return answer(self, prompts, *args)

    monkeypatch.setattr(TransformersTalker, "answer", counted)
    with pytest.raises(KeyboardInterrupt):
        generate(**sampled)
    begun = tmp_path / "answers.jsonl.begun"
    begun.write_text(begun.read_text() + '{"line": 1, "ro')  # the last line of a process that was killed
    assert generate(**sampled) == whole
    assert len(batches) == 5
    assert not begun.exists()
    assert generate(**sampled) == whole
    assert len(batches) == 5
    assert len({answer["text"] for row in whole for answer in row["answers"]}) > 4


def test_what_is_there_is_not_written_over(generate, tmp_path):
    generate()
    with pytest.raises(InputError, match=r"answers\.jsonl: is there already, made with max_new_tokens=6"):
        generate(max_new_tokens=7)
    with pytest.raises(InputError, match="made with other prompts"):
        generate(lines=LINES[:2])
    (tmp_path / "mine.jsonl").write_text("mine")
    with pytest.raises(InputError, match="is there already"):
        generate(name="mine.jsonl")
    assert (tmp_path / "mine.jsonl").read_text() == "mine"


def test_a_text_is_completed_where_the_settings_say_so(generate, talker, tmp_path):
    rows = generate(lines=["One and", "  two"], prompts="prompts.txt", chat_template=False)
    assert [row["prompt"] for row in rows] == ["One and", "  two"]
    assert rows[0]["prompt_tokens"] == len(wording.ids_of_text(talker.tokenizer, "One and"))
    rows = generate(lines=LINES[:5], name="text.jsonl", chat_template=False)
    assert len(rows) == 2
    assert "no chat template" in (tmp_path / "text.rejected.jsonl").read_text()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"out": "no/folder/o.jsonl"}, r"out=no/folder/o\.jsonl: there is no folder"),
        ({"prompts": "nothing.txt", "out": "o.jsonl"}, r"prompts=nothing\.txt: cannot be read"),
    ],
)
def test_files_that_are_not_there_are_told_before_the_engine_starts(model, settings, message):
    with pytest.raises(InputError, match=message):
        Generate(GenerateConfig(**{"prompts": "p.jsonl", **settings})).check(model)


def test_a_file_without_a_prompt_is_refused_with_what_stands_there(tmp_path):
    (tmp_path / "p.jsonl").write_bytes(b"\xff\xfe\n")
    with pytest.raises(InputError, match=r"p: has no prompts: no UTF-8 in line 1"):
        asked.read(tmp_path / "p.jsonl", "p")
    (tmp_path / "p.jsonl").write_bytes(b'\xef\xbb\xbf"One"\r\n\xff\n')
    found, rejected = asked.read(tmp_path / "p.jsonl", "p")
    assert [one.prompt for one in found] == ["One"]
    assert [row["reason"] for row in rejected] == ["no UTF-8"]


def test_a_system_message_needs_a_template(generate, talker):
    with pytest.raises(ConfigError, match="system: the model has learned no chat template"):
        generate(chat_template=False, system="Be brief.")
    assert loading.takes_turns(ChatConfig(chat_template=False), None, talker.tokenizer) is False
