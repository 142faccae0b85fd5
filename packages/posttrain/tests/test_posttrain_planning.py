"""What planning says of a post-training, before anything is trained: no engine is imported."""

import json

import pytest
from core.errors import ConfigError, InputError
from core.typed import build
from smallwright_posttrain.config import DpoConfig, SftConfig
from smallwright_posttrain.dpo import Dpo
from smallwright_posttrain.sft import Sft
from smallwright_testing.models import CHATML

UNMARKED = CHATML.replace("{% generation %}", "").replace("{% endgeneration %}", "")

COUNTS = UNMARKED + "{{ messages | length }}"
"""No marks can be put into it: what it writes at the end depends on more than the last message."""


class Model:
    """The part of an architecture and of a tokenizer that is asked here."""

    def __init__(self, template=CHATML, positions=256):
        self.template, self.positions = template, positions

    def context(self):
        return self.positions

    def chat_template(self):
        return self.template


def check(stage_class=Sft, model=None, **settings):
    config = build({Sft: SftConfig, Dpo: DpoConfig}[stage_class], settings, "posttrain.mine")
    stage_class(config).check_plan("posttrain.mine", model or Model(), model or Model())


@pytest.mark.parametrize("stage_class", [Sft, Dpo])
def test_lengths_above_the_models_positions_are_refused(stage_class):
    with pytest.raises(ConfigError, match=r"^posttrain\.mine\.max_length=257: above the model's 256 positions.*=256"):
        check(stage_class, max_length=257)
    check(stage_class, max_length=256)
    check(stage_class, max_length=None)
    check(stage_class, Model(positions=None), max_length=4096)


def test_an_attention_whose_package_is_not_installed_is_refused(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"^posttrain\.mine\.attn_implementation=flash_attention_2: its package"):
        check(Dpo, attn_implementation="flash_attention_2")


@pytest.mark.parametrize("stage_class", [Sft, Dpo])
@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("", "has no chat template"),
        ("{% for m in messages %}{{ m }}", r"is no Jinja template \(line 1"),
        ("{{ messages | }}", "is no Jinja template"),
    ],
)
def test_a_tokenizer_without_a_template_that_works_is_refused(stage_class, template, message):
    with pytest.raises(ConfigError, match=rf"^posttrain\.mine: the .*{message}"):
        check(stage_class, Model(template))


def test_learning_from_answers_alone_needs_marks():
    with pytest.raises(ConfigError, match=r"^posttrain\.mine\.assistant_only_loss=true: .*assistant_only_loss=false"):
        check(Sft, Model(COUNTS))
    check(Sft, Model(COUNTS), assistant_only_loss=False)
    check(Dpo, Model(COUNTS))
    check(Sft, Model(UNMARKED))


def test_a_template_that_is_not_known_before_the_work_is_taken():
    check(Sft, Model(template=None))


def test_a_set_of_another_form_is_refused(tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text(json.dumps({"prompt": "q", "chosen": "a", "rejected": "b"}))
    with pytest.raises(InputError, match=rf"^posttrain\.mine\.dataset={path}: .*which dpo learns from"):
        check(Sft, dataset=str(path))
    check(Dpo, dataset=str(path))
    with pytest.raises(InputError, match="there is no such file"):
        check(Dpo, dataset="missing.jsonl")
