"""What a model says to prompts: the likeliest tokens and sampled ones, as text or as a user's turn."""

import json
import shutil

import pytest
from core import store
from core.interfaces import Job
from smallwright_eval.config import PROMPTS, LMEvalConfig
from smallwright_eval.stage import LMEval
from smallwright_testing.models import CHATML, tiny_model

POSITIONS = 512
REFUSES_NO = "{% if messages[0].content == 'no' %}{{ raise_exception('never no') }}{% endif %}" + CHATML

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("model"))


def answers(model, output, **settings):
    """Return the greedy and the sampled answers of a model."""
    quick = {"tasks": ("smallwright_word_order",), "limit": 1, "answer_tokens": 12}
    config = LMEvalConfig(**{"engine": "transformers", "dtype": "float32", **quick, **settings})
    LMEval(config).run(Job(name="eval", output=output, inputs={"model": model}, seed=0))
    rows = [json.loads(line) for line in (output / "answers.jsonl").read_text().splitlines()]
    return [[row for row in rows if row["decoding"] == way] for way in ("greedy", "sampled")]


def test_greedy_answers_are_the_likeliest_tokens_and_sampled_ones_hang_on_the_seed(model, tmp_path):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model / "hf")
    reference = AutoModelForCausalLM.from_pretrained(model / "hf", dtype=torch.float32)
    greedy, sampled = answers(model, tmp_path / "one", batch_size=1)
    assert [said["prompt"] for said in greedy] == [said["prompt"] for said in sampled] == list(PROMPTS)
    for said in greedy:
        turn = [{"role": "user", "content": said["prompt"]}]
        begun = ids = tokenizer.apply_chat_template(turn, add_generation_prompt=True, return_dict=False)
        for _ in range(12):
            with torch.no_grad():
                ids = [*ids, int(reference(torch.tensor([ids])).logits[0, -1].argmax())]
            if ids[-1] == 0:
                break
        text = tokenizer.decode(ids[len(begun) :], skip_special_tokens=True)
        assert (said["text"], said["ended"]) == (text, ids[-1] == 0)
    assert [one["text"] for one in greedy] != [one["text"] for one in sampled]
    assert answers(model, tmp_path / "two", batch_size=64) == [greedy, sampled]
    assert answers(model, tmp_path / "three", seed=7)[1] != sampled


@pytest.mark.parametrize(
    ("made_by", "template", "settings", "forms"),
    [
        ("posttrain", REFUSES_NO, {}, ["chat", "text", "chat"]),
        ("pretrain", REFUSES_NO, {}, ["text"] * 3),
        ("pretrain", CHATML, {"apply_chat_template": True}, ["chat"] * 3),
        ("posttrain", "", {}, ["text"] * 3),
    ],
)
def test_a_model_that_has_learned_its_template_gets_prompts_as_turns(
    model, tmp_path, made_by, template, settings, forms
):
    shutil.copytree(model, tmp_path / "model")
    (tmp_path / "model/hf/chat_template.jinja").unlink()
    if template:
        (tmp_path / "model/hf/chat_template.jinja").write_text(template)
    record = {"stage": made_by, "folder": made_by, "identity": {}, "inputs": {}, "external_files": []}
    store.finish(tmp_path / "model", record)
    asked = ("red", "no", "longer than the model " * POSITIONS)
    greedy, _ = answers(tmp_path / "model", tmp_path / "output", prompts=asked, **settings)
    assert [said["form"] for said in greedy] == forms


def test_no_prompts_are_no_answers(model, tmp_path):
    assert answers(model, tmp_path, prompts=()) == [[], []]
