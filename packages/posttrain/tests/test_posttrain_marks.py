"""Marks for templates that have none: found where beginning, content and end make a message, and nowhere else."""

import importlib.util
import re
from pathlib import Path

import pytest
from smallwright_posttrain import marks

TRL = Path(importlib.util.find_spec("trl").submodule_search_locations[0]) / "chat_templates"
SMOLLM2 = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\n"
    "You are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + "
    "message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
TURNS = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": " two\n "},
    {"role": "assistant", "content": "{{ a }} answer"},
    {"role": "user", "content": "again"},
    {"role": "assistant", "content": "last"},
]


def text_of(name):
    return SMOLLM2 if name == "smollm2" else (TRL / f"{name}.jinja").read_text()


def write(template, messages):
    return marks._writer(template, marks.PLACEHOLDERS)(messages)


@pytest.mark.parametrize(
    ("name", "end"),
    [("smollm2", "<|im_end|>"), ("qwen2_5", "<|im_end|>"), ("llama3", "<|eot_id|>"), ("gemma", "<end_of_turn>")],
)
def test_a_marked_template_writes_the_same_and_marks_the_answers_with_their_ends(name, end):
    own = text_of(name)
    made = marks.marked(own)
    shown = made.replace("{% generation %}", "{{ '[[' }}").replace("{% endgeneration %}", "{{ ']]' }}")
    for messages in (TURNS[1:], TURNS) if name != "gemma" else (TURNS[1:],):
        text = write(shown, messages)
        assert re.sub(r"\[\[|\]\]", "", text) == write(own, messages)
        assert re.findall(r"\[\[(.*?)\]\]", text, re.DOTALL) == [f"{{{{ a }}}} answer{end}", f"last{end}"]


@pytest.mark.parametrize(
    "template",
    [
        "{% for message in messages %}{{ message.role + message.content + '\n' }}{% endfor %}",  # no end to learn
        SMOLLM2 + "{{ messages | length }}",
        SMOLLM2 + "{{ strftime_now('%d %b %Y') }}",
        SMOLLM2.replace("message['content']", "message['content'] | upper"),
        SMOLLM2.replace("message['content']", "message['content'].split('\n')[-1]"),
        SMOLLM2.replace("message['content'] +", "(message['content'] if loop.last else '...') +"),
        "{{ raise_exception('no') }}",
        "{{ messages[7].content }}",
        "",
    ],
)
def test_a_template_that_writes_otherwise_gets_no_marks(template):
    assert marks.marked(template) is None


def test_templates_whose_past_depends_on_what_follows_get_no_marks():
    assert marks.marked(text_of("qwen3")) is None
