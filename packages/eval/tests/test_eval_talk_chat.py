"""``core.chat`` on Transformers: what is said is what the model answers, and what cannot be done is told of."""

import io
import json
import os
import pty
import re
import select
import signal
import sys
import time

import pytest
from core import chat, discovery, named_model, store
from core.errors import ConfigError, InputError
from smallwright_eval.talk import loading, start, wording
from smallwright_eval.talk.chat import Chat
from smallwright_eval.talk.config import ChatConfig
from smallwright_eval.talk.conversation import Conversation
from smallwright_testing.models import one_thread, tiny_model

pytest.importorskip("transformers")

GREEDY = {"temperature": 0.0, "max_new_tokens": 12}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A random Llama of 512 positions with ChatML's template."""
    return tiny_model(tmp_path_factory.mktemp("talk") / "tiny")


@pytest.fixture(scope="module")
def model(folder):
    return named_model.resolve(str(folder / "hf"), discovery.load())


@pytest.fixture(scope="module")
def talker(model):
    with one_thread():
        yield start.talker(model, ChatConfig(**GREEDY))


@pytest.fixture
def say(model, monkeypatch, capsys):
    """A function that pipes lines to the program and returns what it wrote to its two outputs."""

    def pipe(text, **settings):
        monkeypatch.setattr(sys, "stdin", io.StringIO(text))
        with one_thread():
            assert Chat(ChatConfig(**{**GREEDY, **settings})).run(model) == 0
        return capsys.readouterr()

    return pipe


def greedy(talker, ids, count=12):
    """Return what a plain loop of forward passes says, with no cache."""
    import torch

    made = []
    for _ in range(count):
        with torch.no_grad():
            made.append(int(talker.model(torch.tensor([[*ids, *made]])).logits[0, -1].argmax()))
        if made[-1] in talker.ends:
            return made[:-1]
    return made


def test_what_is_piped_is_answered_turn_after_turn(say, talker):
    said = say("Add two and two.\n\nAnd three?\n")
    messages = []
    for question in ("Add two and two.", "And three?"):
        messages.append({"role": "user", "content": question})
        made = greedy(talker, wording.ids_of_turns(talker.tokenizer, messages))
        messages.append({"role": "assistant", "content": wording.text_of(talker.tokenizer, made)})
    answers = [wording.shown(one["content"]) for one in messages[1::2]]
    plain = said.out.replace("\ufffd", "")
    assert plain.split() == "\n".join(answers).replace("\ufffd", "").split()
    assert "\x1b" not in said.out
    assert ">" not in said.err


def test_a_conversation_read_before_is_not_read_again_and_says_the_same(talker):
    settings = loading.Sampling(temperature=0.0, top_p=1.0, repetition_penalty=1.0, max_new_tokens=8)
    first = wording.ids_of_turns(talker.tokenizer, [{"role": "user", "content": "A long sum of numbers."}])
    made: list[int] = []
    talker.stream(first, settings, made.append)
    seen = []
    original = talker.model.forward

    def forward(*args, **kwargs):
        seen.append(kwargs["input_ids"].shape[1])
        return original(*args, **kwargs)

    longer = [*first, *made, *wording.ids_of_text(talker.tokenizer, " and more of it")]
    again: list[int] = []
    try:
        talker.model.forward = forward
        talker.stream(longer, settings, again.append)
    finally:
        talker.model.forward = original
    assert seen[0] == len(longer) - len(first) - len(made) + 1
    assert again == greedy(talker, longer, 8)


def test_a_model_that_was_only_pretrained_completes(folder, tmp_path, monkeypatch, capsys, talker):
    import shutil

    artifact = tmp_path / "store/pretrain/base-0123456789ab"
    shutil.copytree(folder, artifact)
    store.finish(
        artifact, {"stage": "pretrain", "folder": "pretrain", "identity": {}, "inputs": {}, "external_files": []}
    )
    base = named_model.resolve(str(artifact), discovery.load())
    assert base.label == "base"
    monkeypatch.setattr(sys, "stdin", io.StringIO("One and two\n/system Be brief.\n/save x.json\n"))
    with one_thread():
        Chat(ChatConfig(**GREEDY)).run(base)
    said = capsys.readouterr()
    ids = wording.ids_of_text(talker.tokenizer, "One and two")
    text = wording.text_of(talker.tokenizer, [*ids, *greedy(talker, ids)])
    assert said.out.replace("\ufffd", "").split() == wording.shown(text).replace("\ufffd", "").split()
    assert said.err.count("there is no conversation") == 2
    assert "no chat template: it completes" in said.err
    with pytest.raises(ConfigError, match=r"system: the model has learned no chat template"):
        Chat(ChatConfig(**GREEDY, system="Be brief.")).run(base)


def test_commands_work_and_mistakes_are_one_line(say, tmp_path):
    (tmp_path / "there.json").write_text("{}")
    lines = [
        "/help",
        "/system Be brief.",
        "//tell",
        f"/save {tmp_path}/talk.json",
        "/reset",
        f"/save {tmp_path}/talk.json",
        f"/save {tmp_path}/there.json",
        "/save",
        "/fly",
        "/set temperature=0.5 top_p=2",
        "/set temperature=hot",
        "/set dtype=float16",
        "/set temperature=0.5 seed=3",
        f"/save {tmp_path}/no/such/deep\0.json",
    ]
    said = say("\n".join(lines))
    saved = json.loads((tmp_path / "talk.json").read_text())
    assert saved["messages"] == [{"role": "system", "content": "Be brief."}]
    assert saved["settings"]["temperature"] == 0.0
    assert (tmp_path / "there.json").read_text() == "{}"
    for expected in (
        "there.json: is there already",
        "/save talk.json",
        "/fly is no command",
        "top_p=2: must be above 0 and at most 1",
        "no name of a file",
        "temperature='hot': expected float",
        "dtype: is set when the program starts",
        "temperature=0.5, top_p=1.0, repetition_penalty=1.0, max_new_tokens=12, seed=3",
    ):
        assert expected in said.err, said.err


def test_the_oldest_turns_are_forgotten_when_the_context_is_full(say, talker):
    said = say("".join(f"{'word ' * 60}{number}\n" for number in range(4)))
    assert re.search(r"the oldest 2 messages are forgotten: the model reads 500 tokens", said.err)
    assert said.err.count("cut off after 12 tokens") == 4
    talk = Conversation(talker.tokenizer, room=120)
    with pytest.raises(InputError, match=r"this has \d+ tokens, and the model reads 120"):
        talk.ask("word " * 200)
    assert talk.messages() == []
    for number in range(9):
        ids, _ = talk.ask(f"word {number}")
        assert len(ids) <= 120
        talk.answered("and so on")
    assert talk.messages()[0]["role"] == "user"
    assert talk.messages()[-2]["content"] == "word 8"


def test_a_template_that_refuses_a_system_message_keeps_the_conversation(model, talker):
    talk = Conversation(talker.tokenizer, room=400)
    talk.ask("Hello")
    before = talker.tokenizer.chat_template
    try:
        talker.tokenizer.chat_template = (
            "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}x"
        )
        with pytest.raises(InputError, match="refuses this: no system"):
            talk.instruct("Be brief.")
    finally:
        talker.tokenizer.chat_template = before
    assert talk.messages() == [{"role": "user", "content": "Hello"}]


def test_what_steers_a_terminal_is_not_shown():
    assert wording.shown("a\x1b[2J\tb\nc\u202e") == "a [2J\tb\nc "


def test_characters_of_several_tokens_are_shown_whole(talker):
    text = "é 数学 🙂 end"
    pieces: list[str] = []
    growing = wording.Growing(talker.tokenizer, pieces.append)
    for token in wording.ids_of_text(talker.tokenizer, text):
        growing(token)
    assert "".join(pieces) == text
    assert not any("\ufffd" in piece for piece in pieces)
    assert len(pieces) > 3


def test_the_models_own_settings_hold_where_nobody_sets_others(model, tmp_path):
    own = tmp_path / "hf"
    own.mkdir()
    (own / "generation_config.json").write_text('{"temperature": 0.3, "top_p": 0.8, "do_sample": true}')
    import dataclasses

    other = dataclasses.replace(model, directory=own)
    assert loading.sampling(ChatConfig(), other, 512).temperature == 0.3
    assert loading.sampling(ChatConfig(temperature=1.0), other, 512) == loading.Sampling(
        temperature=1.0, top_p=0.8, repetition_penalty=1.0, max_new_tokens=256
    )
    assert loading.sampling(ChatConfig(), model, 512).temperature == loading.TEMPERATURE


def test_ctrl_c_stops_the_answer_and_ctrl_d_leaves(folder):
    """At a terminal of its own: the first answer is long and stopped, the second is asked for afterwards."""
    child, terminal = pty.fork()
    if child == 0:
        try:
            import torch

            torch.set_num_threads(1)
            sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115 - not pytest's
            quick = wording.Growing.__call__
            wording.Growing.__call__ = lambda growing, token: (time.sleep(0.02), quick(growing, token))  # 5 seconds
            arguments = [str(folder / "hf"), "temperature=1", "max_new_tokens=255", "seed=1"]
            os._exit(chat.main(arguments))
        finally:
            os._exit(99)
    shown = ""

    def until(pattern):
        nonlocal shown
        while not re.search(pattern, shown):
            assert select.select([terminal], [], [], 300)[0], shown
            shown += os.read(terminal, 4096).decode("utf-8", "replace")

    until(r"Ctrl-D leaves\.\r\n> ")
    os.write(terminal, b"Hello\n")
    until(r"> Hello\r\n.+")
    os.kill(child, signal.SIGINT)
    until(r"\[stopped, \d+ tokens.*\r\n> ")
    os.write(terminal, b"/set max_new_tokens=2\n")
    until(r"max_new_tokens=2, seed=1\r\n> ")
    os.write(terminal, b"\x04")
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 0
    assert "Traceback" not in shown
