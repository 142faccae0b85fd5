"""Configuration, options, rows and shipped sets: what needs no training."""

import subprocess
import sys
from importlib import resources

import pytest
from core.errors import ConfigError
from core.typed import build
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf
from smallwright_posttrain.config import DpoConfig, SftConfig
from smallwright_posttrain.datasets import generate
from smallwright_posttrain.forms import chat_row, preference_row


def test_both_options_compose_side_by_side():
    with initialize_config_module("smallwright_posttrain.conf", version_base="1.3"):
        composed = OmegaConf.to_container(compose(overrides=["+posttrain=[sft,dpo]", "++posttrain.dpo.beta=0.1"]))
    assert list(composed["posttrain"]) == ["sft", "dpo"]
    for name, cls in (("sft", SftConfig), ("dpo", DpoConfig)):
        node = composed["posttrain"][name]
        assert node.pop("name") == name
        built = build(cls, node, f"posttrain.{name}")
    assert built.beta == 0.1


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"beta": 0.0}, "beta"),
        ({"learning_rate": -1.0}, "learning_rate"),
        ({"eval_fraction": 1.0}, "eval_fraction"),
        ({"max_steps": 0}, "max_steps"),
        ({"dataset": "chats.docx"}, "neither"),
        ({"loss_type": "sigmod"}, "sigmoid"),
        ({"learning_rat": 1.0}, "learning_rate"),
        ({"attn_implementation": "nope"}, "attn_implementation=nope: unknown"),
        ({"columns": {"promt": "question"}}, r"columns\.promt: unknown\. Did you mean 'prompt'"),
    ],
)
def test_wrong_settings_name_the_key(settings, words):
    with pytest.raises(ConfigError, match=words):
        build(DpoConfig, settings, "posttrain.dpo")


def test_only_a_hub_dataset_opens_the_network():
    from smallwright_posttrain.sft import Sft

    assert Sft(SftConfig()).environment()["HF_HUB_OFFLINE"] == "1"
    assert "HF_HUB_OFFLINE" not in Sft(SftConfig(dataset="HuggingFaceTB/smoltalk")).environment()
    assert not SftConfig(dataset="folder/chats.jsonl").on_hub()


def test_stages_import_no_engine():
    code = (
        "import sys; from smallwright_posttrain.sft import Sft; from smallwright_posttrain.dpo import Dpo;"
        "from smallwright_posttrain.config import SftConfig; Sft(SftConfig());"
        "print([m for m in ('torch', 'transformers', 'trl', 'datasets') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_shipped_sets_are_what_the_generator_writes(tmp_path):
    generate.main(tmp_path)
    for name in ("chat.jsonl", "preferences.jsonl"):
        shipped = (resources.files("smallwright_posttrain.datasets") / name).read_bytes()
        assert (tmp_path / name).read_bytes() == shipped
    assert [chat_row(row).row for row in generate.conversations()] == generate.conversations()
    assert [preference_row(row).row for row in generate.preferences()] == generate.preferences()
