"""Sizes and their published parameter counts, and what the configuration refuses."""

import dataclasses
import subprocess
import sys
from importlib.resources import files

import pytest
import torch
from core.config import build, identity
from core.errors import ConfigError
from core.interfaces import Architecture
from omegaconf import OmegaConf
from smallwright_shared_ffn import conf
from smallwright_shared_ffn.architecture import SharedFFN
from smallwright_shared_ffn.config import SharedFFNConfig
from torchtitan.models.common.attention import ScaledDotProductAttention

PUBLISHED = {"mobillama-0.5b": 534_865_920, "mobillama-0.8b": 819_315_200}


def shared_ffn(**values) -> SharedFFN:
    return SharedFFN(build(SharedFFNConfig, values, "arch"))


@pytest.mark.parametrize("size", SharedFFNConfig.SIZES)
def test_both_engines_hold_the_counted_parameters(size):
    architecture = shared_ffn(size=size, **({"vocab_size": 2048} if size == "nano" else {}))
    with torch.device("meta"):
        hf = architecture.hf_model_class()(architecture.hf_config())
        titan = architecture.titan_config(inner_attention=ScaledDotProductAttention.Config(), seq_len=64).build()
    assert architecture.parameters() == PUBLISHED.get(size, 1_066_624)
    assert hf.num_parameters() == architecture.parameters()
    assert sum(parameter.numel() for parameter in titan.parameters()) == architecture.parameters()


def test_flops_follow_executed_parameters():
    # Section 1 of the paper removes 57.6 % of large-base's 1,261,529,088 parameters, and none of its arithmetic.
    architecture = shared_ffn(size="mobillama-0.5b")
    assert architecture.executed_parameters() == 1_195_900_928
    assert architecture.flops_per_token(2048) == 6 * 1_195_900_928 + 6 * 22 * 2048 * 2048
    tied = shared_ffn(size="mobillama-0.5b", tie_word_embeddings=True)
    assert tied.parameters() == architecture.parameters() - 32000 * 2048
    assert tied.executed_parameters() == architecture.executed_parameters()


def test_grouped_queries_and_free_head_dim_are_counted():
    architecture = shared_ffn(size="nano", vocab_size=512, num_key_value_heads=1, head_dim=48)
    with torch.device("meta"):
        hf = architecture.hf_model_class()(architecture.hf_config())
    assert hf.num_parameters() == architecture.parameters()
    assert architecture.attention_width() == 6 * 4 * 48


def test_titan_reports_the_architectures_flops():
    architecture = shared_ffn(size="nano", vocab_size=512)
    config = architecture.titan_config(inner_attention=ScaledDotProductAttention.Config(), seq_len=64)
    with torch.device("meta"):
        stored, flops = config.get_nparams_and_flops(config.build(), 64)
    assert (stored, flops) == (architecture.parameters(), architecture.flops_per_token(64))


def test_yaml_lists_every_setting():
    option = OmegaConf.load(files(conf) / "arch" / "shared_ffn.yaml")
    assert set(option) == {"name", *(field.name for field in dataclasses.fields(SharedFFNConfig))}
    option.pop("name")
    build(SharedFFNConfig, OmegaConf.to_container(option), "arch")


def test_name_of_the_size_is_no_part_of_the_identity():
    by_name = build(SharedFFNConfig, {"size": "nano"}, "arch")
    by_value = build(SharedFFNConfig, {"size": None, **SharedFFNConfig.SIZES["nano"]}, "arch")
    assert identity(by_name) == identity(by_value)


@pytest.mark.parametrize(
    ("values", "key", "fix"),
    [
        ({"num_attention_heads": 3, "num_key_value_heads": 3}, "num_attention_heads=3", "129"),
        ({"num_key_value_heads": 3}, "num_key_value_heads=3", "[1, 2, 4]"),
        ({"head_dim": 33}, "head_dim=33", "34"),
        ({"num_hidden_layers": 0}, "num_hidden_layers=0", "above 0"),
        ({"rope_theta": float("nan")}, "rope_theta=nan", "above 0"),
        ({"init_scheme": "depth"}, "init_scheme=depth", "depth_scaled"),
        ({"size": "mobillama-0.6b"}, "size=mobillama-0.6b", "mobillama-0.5b"),
    ],
)
def test_wrong_dimensions_are_refused_with_key_and_fix(values, key, fix):
    with pytest.raises(ConfigError) as error:
        shared_ffn(**{"size": "nano", **values})
    assert str(error.value).startswith("arch")
    assert key in str(error.value)
    assert fix in str(error.value)


def test_unknown_vocabulary_and_long_sequences_are_refused():
    with pytest.raises(ConfigError, match="vocab_size"):
        shared_ffn(size="nano").parameters()
    with pytest.raises(ConfigError, match="max_position_embeddings=2048"):
        shared_ffn(size="nano", vocab_size=64).titan_config(inner_attention=None, seq_len=2048)


def test_counting_needs_no_torch():
    modules = "sys, smallwright_shared_ffn.architecture, smallwright_shared_ffn.plugin"
    code = f"import {modules}; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert issubclass(SharedFFN, Architecture)
