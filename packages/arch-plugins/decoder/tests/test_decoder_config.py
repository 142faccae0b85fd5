"""Counts of every part against both engines on the meta device, and what the configuration refuses."""

import subprocess
import sys

import pytest
import torch
from core.errors import ConfigError
from core.typed import build
from smallwright_decoder.architecture import DecoderArchitecture
from smallwright_decoder.config import GROUP, TAKEN, DecoderConfig
from torchtitan.models.common.attention import ScaledDotProductAttention

TINY = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 128,
    "max_position_embeddings": 256,
}
MOBILLAMA = {
    "hidden_size": 2048,
    "intermediate_size": 5632,
    "num_hidden_layers": 22,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "vocab_size": 32000,
    "tie_word_embeddings": False,
}


def decoder(**values) -> DecoderArchitecture:
    return DecoderArchitecture(build(DecoderConfig, {**TINY, **values}, "arch"))


PARTS = [
    ({"qk_norm": True}, 4 * 2 * 16),
    ({"qkv_bias": True}, 4 * (64 + 2 * 32)),
    ({"ffn_groups": {"middle": "1-2", "end": 3}}, -3 * 64 * 96),
    ({"ffn_groups": {"all": "all"}, "series_activation": 3}, -3 * 3 * 64 * 96 + 2 * 3),
    ({"series_activation": 2}, 4 * 2 * 2),
    ({"augmented_shortcuts": 3, "shortcut_reduction": 8}, 4 * 3 * 2 * 64 * 8),
    ({"tie_word_embeddings": False}, 64 * 128),
    ({"sliding_window": 8, "global_interval": 2, "nope_interval": 2, "activation": "gelu"}, 0),
]


@pytest.mark.parametrize(("values", "added"), PARTS, ids=str)
def test_both_engines_hold_what_a_part_adds(values, added):
    architecture = decoder(**values)
    with torch.device("meta"):
        hf = architecture.hf_model_class()(architecture.hf_config())
        titan = architecture.titan_config(inner_attention=ScaledDotProductAttention.Config(), seq_len=64).build()
    assert architecture.parameters() == decoder().parameters() + added
    assert hf.num_parameters() == architecture.parameters()
    assert sum(parameter.numel() for parameter in titan.parameters()) == architecture.parameters()


@pytest.mark.parametrize(("groups", "stored"), [({"all": "all"}, 534_865_920), (None, 1_261_529_088)])
def test_mobillama_with_and_without_sharing_executes_the_same(groups, stored):
    architecture = decoder(**MOBILLAMA, max_position_embeddings=2048, ffn_groups=groups)
    assert architecture.parameters() == stored
    assert architecture.executed_parameters() == 1_195_900_928


def test_executed_parameters_are_the_matrices_of_every_layer():
    plain = decoder().executed_parameters()
    assert decoder(qk_norm=True, qkv_bias=True, series_activation=4).executed_parameters() == plain
    assert decoder(ffn_groups={"all": "all"}).executed_parameters() == plain
    assert decoder(augmented_shortcuts=1).executed_parameters() == plain + 4 * 2 * 64 * 2
    architecture = decoder(augmented_shortcuts=1)
    assert architecture.flops_per_token(100) == 6 * architecture.executed_parameters() + 600 * 4 * 4 * 16


@pytest.mark.parametrize(("window", "seq_len"), [(1, 50), (7, 50), (50, 50), (80, 50)])
def test_flops_of_local_layers_are_those_of_the_keys_that_are_seen(window, seq_len):
    """Counted pair by pair; a pair of a token with itself counts half, as it does in the causal half of a square."""
    architecture = decoder(sliding_window=window)
    pairs = sum(min(i, window - 1) + 0.5 for i in range(seq_len))
    # Of the window's own corner the formula takes half a pair more or less per token at most.
    attention = architecture.flops_per_token(seq_len) - architecture.flops_per_token(0)
    assert attention == pytest.approx(12 * 4 * 64 * pairs / seq_len, abs=12 * 4 * 64 * 0.51)
    assert architecture.flops_per_token(seq_len) <= decoder().flops_per_token(seq_len)


def test_layers_of_each_kind():
    config = decoder(sliding_window=8, global_interval=3, nope_interval=2).config
    assert config.layer_types == ["sliding_attention"] * 2 + ["full_attention", "sliding_attention"]
    assert config.rope_layers == [True, False, True, False]
    groups = decoder(ffn_groups={"ends": "0,3", "middle": "1-2"}).config.layer_groups
    assert groups == ["ends", "middle", "middle", "ends"]
    assert decoder(ffn_groups={"ends": "0,3"}).config.stored_feed_forwards == 3


REFUSED = [
    ({"num_attention_heads": 3, "num_key_value_heads": 3}, "num_attention_heads=3", "66"),
    ({"num_key_value_heads": 3}, "num_key_value_heads=3", "[1, 2, 4]"),
    ({"head_dim": 33}, "head_dim=33", "34"),
    ({"num_hidden_layers": 0}, "num_hidden_layers=0", "from 1"),
    ({"augmented_shortcuts": -1}, "augmented_shortcuts=-1", "from 0"),
    ({"rope_theta": float("inf")}, "rope_theta=inf", "finite"),
    ({"global_interval": 6}, "global_interval=6", "sliding_window"),
    ({"rope_factor": 4.0}, "rope_factor=4", "Set both"),
    ({"rope_scaling": "yarn"}, "rope_scaling=yarn", "Set both"),
    ({"rope_scaling": "yarn", "rope_factor": 0.5}, "rope_factor=0.5", "at least 1"),
    ({"rope_original_max_position": 64}, "rope_original_max_position=64", "rope_scaling"),
    (
        {"rope_scaling": "yarn", "rope_factor": 2.0, "rope_original_max_position": 512},
        "rope_original_max_position=512",
        "max_position_embeddings=256",
    ),
    ({"augmented_shortcuts": 1, "shortcut_reduction": 7}, "shortcut_reduction=7", "hidden_size=64"),
    ({"activation": "swish"}, "activation=swish", "silu, gelu, relu2"),
    ({"ffn_groups": {"a": "0-4"}}, "ffn_groups.a=0-4", "from 0 to 3"),
    ({"ffn_groups": {"a": "2-1"}}, "ffn_groups.a=2-1", "from 0 to 3"),
    ({"ffn_groups": {"a": "0-1", "b": "1"}}, "ffn_groups.b=1", "group a already"),
    ({"ffn_groups": {"A b": "0"}}, "ffn_groups.A b", "letters"),
    ({"ffn_groups": {"half": "0-1"}}, "ffn_groups.half", "half_layers"),
]


@pytest.mark.parametrize(("values", "key", "fix"), REFUSED, ids=str)
def test_wrong_settings_are_refused_with_key_and_fix(values, key, fix):
    with pytest.raises(ConfigError) as error:
        decoder(**values)
    assert key in str(error.value)
    assert fix in str(error.value)


def test_no_group_can_hide_a_method_of_pytorch():
    words = [name for name in dir(torch.nn.ModuleDict()) if GROUP.fullmatch(name) and "_" not in name]
    assert not [name for name in words if not TAKEN.fullmatch(name)]
    assert not TAKEN.fullmatch("middle")


def test_what_cannot_be_trained_is_refused():
    with pytest.raises(ConfigError, match="vocab_size"):
        decoder(vocab_size=None).parameters()
    with pytest.raises(ConfigError, match="max_position_embeddings=256"):
        decoder().titan_config(inner_attention=None, seq_len=257)
    with pytest.raises(ConfigError, match="dynamic"):
        decoder(rope_scaling="dynamic", rope_factor=2.0).titan_config(inner_attention=None, seq_len=129)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such_module:act", "no module no_such_module. Install"),
        ("torch.no_such.module:act", "no module torch.no_such.module"),
        ("__main__.module:act", "no module __main__.module"),
        ("math:no_such", "math has no function no_such"),
        ("math:pi", "math has no function pi"),
        ("math:exp", "Python's own functions take no tensors"),
        ("os:getcwd", "Python's own functions take no tensors"),
    ],
)
def test_an_activation_that_is_not_there_is_refused_while_planning(name, message):
    with pytest.raises(ConfigError, match=rf"arch\.activation={name}: {message}"):
        decoder(activation=name).check_training(64)


def test_an_activation_is_looked_for_without_importing_its_package():
    code = (
        "import sys\nfrom smallwright_decoder.config import check_activation\n"
        "check_activation('torch.nn.functional:mish')\ncheck_activation('torch:relu')\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("torch:cat", r"fails on a tensor \(TypeError"),
        ("torch:typename", "returns str, must return a tensor"),
        ("torch:trace", r"returns \(\) float32 for \(2, 5\) float32"),
        ("torch:isnan", r"returns \(2, 5\) bool for"),
        ("torch:sqrt", "is not finite for numbers from -4 to 4"),
    ],
)
def test_what_is_no_elementwise_function_is_refused_before_training(name, message):
    architecture = decoder(activation=name)
    architecture.check_training(64)
    with pytest.raises(ConfigError, match=rf"arch\.activation={name}: {message}"):
        architecture.titan_config(inner_attention=None, seq_len=64)


def test_numbers_of_heads_that_fit_are_named():
    with pytest.raises(ConfigError, match=r"Use one of \[2, 4, 8, 16, 32\], a hidden_size such as 66, or"):
        decoder(num_attention_heads=3)


@pytest.mark.parametrize(
    ("values", "degrees", "key"),
    [
        ({"ffn_groups": {"all": "all"}}, {"pipeline_parallel_degree": 2}, "pipeline_parallel_degree=2"),
        ({"augmented_shortcuts": 1}, {"tensor_parallel_degree": 2}, "tensor_parallel_degree=2"),
        ({"series_activation": 2}, {"tensor_parallel_degree": 2}, "tensor_parallel_degree=2"),
        ({"num_experts": 4}, {"tensor_parallel_degree": 2}, "tensor_parallel_degree=2"),
        ({"num_experts": 4}, {"context_parallel_degree": 2}, "context_parallel_degree=2"),
        ({"num_experts": 4}, {"pipeline_parallel_degree": 2}, "pipeline_parallel_degree=2"),
        ({"num_experts": 4}, {"expert_parallel_degree": 2}, "expert_parallel_degree=2"),
    ],
)
def test_parallelism_that_cannot_split_a_part_is_refused(values, degrees, key):
    from torchtitan.config import ParallelismConfig

    class Settings:
        parallelism = ParallelismConfig(**degrees)

    with pytest.raises(ConfigError, match=key):
        decoder(**values).titan_config(inner_attention=None, seq_len=32).update_from_config(config=Settings())


def test_counting_needs_no_torch():
    code = "import sys, smallwright_decoder.architecture; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
