"""Sizes and their published parameter counts, which layers share, and what the configuration refuses."""

import pytest
import torch
from core.errors import ConfigError
from core.typed import build, identity
from smallwright_shared_ffn.architecture import SharedFFN
from smallwright_shared_ffn.config import SharedFFNConfig
from torchtitan.models.common.attention import ScaledDotProductAttention

# arXiv 2402.16840, Tables 1 and 2, in full: 0.5B, 0.8B, 1.2B, 0.54B, 0.52B.
STORED = {
    "nano": 1_066_624,  # with 2,048 ids
    "mobillama-0.5b": 534_865_920,
    "mobillama-0.8b": 819_315_200,
    "mobillama-1.2b": 1_261_529_088,
    "mobillama-baseline1": 538_489_856,
    "mobillama-baseline2": 542_148_608,
}
STOCK = ("mobillama-1.2b", "mobillama-baseline1", "mobillama-baseline2")


def shared_ffn(**values) -> SharedFFN:
    return SharedFFN(build(SharedFFNConfig, values, "arch"))


@pytest.mark.parametrize("size", SharedFFNConfig.SIZES)
def test_both_engines_hold_the_counted_parameters(size):
    architecture = shared_ffn(size=size, **({"vocab_size": 2048} if size == "nano" else {}))
    with torch.device("meta"):
        hf = architecture.hf_model_class()(architecture.hf_config())
        titan = architecture.titan_config(inner_attention=ScaledDotProductAttention.Config(), seq_len=64).build()
    assert architecture.parameters() == STORED[size]
    assert hf.num_parameters() == STORED[size]
    assert sum(parameter.numel() for parameter in titan.parameters()) == STORED[size]
    expected = "LlamaForCausalLM" if size in STOCK else "SmallwrightForCausalLM"
    assert type(hf).__name__ == architecture.vllm_architecture() == expected


def test_sharing_saves_memory_and_no_arithmetic():
    # Section 1 of the paper: sharing removes 60 % of large-base; exactly it is 57.6 %, 21 feed-forwards.
    shared, large = shared_ffn(size="mobillama-0.5b"), shared_ffn(size="mobillama-1.2b")
    assert large.parameters() - shared.parameters() == 21 * 3 * 2048 * 5632 == 726_663_168
    assert shared.executed_parameters() == large.executed_parameters() == 1_195_900_928
    assert shared.flops_per_token(2048) == 6 * 1_195_900_928 + 6 * 22 * 2048 * 2048


def test_layers_share_by_group_or_not_at_all():
    nano = {"size": "nano", "vocab_size": 2048}
    ffn = 3 * 128 * 384
    everything = shared_ffn(**nano)
    assert everything.config.layer_groups == ["all"] * 6
    hybrid = shared_ffn(**nano, ffn_groups={"middle": "1-4"})
    assert hybrid.config.layer_groups == [None, "middle", "middle", "middle", "middle", None]
    assert hybrid.parameters() == everything.parameters() + 2 * ffn
    nothing = shared_ffn(**nano, ffn_groups={})
    assert nothing.parameters() == everything.parameters() + 5 * ffn
    assert nothing.vllm_architecture() == "LlamaForCausalLM"
    again = shared_ffn(size="mobillama-1.2b", ffn_groups={"all": "all"})
    assert again.parameters() == STORED["mobillama-0.5b"]
    assert len({str(identity(each.config)) for each in (everything, hybrid, nothing)}) == 3


def test_name_of_the_size_is_no_part_of_the_identity():
    by_name = build(SharedFFNConfig, {"size": "nano"}, "arch")
    by_value = build(SharedFFNConfig, {"size": None, **SharedFFNConfig.SIZES["nano"]}, "arch")
    assert identity(by_name) == identity(by_value)


@pytest.mark.parametrize(
    ("values", "key", "fix"),
    [
        ({"ffn_groups": {"middle": "2-6"}}, "ffn_groups.middle=2-6", "0 to 5"),
        ({"ffn_groups": {"a": "1,2", "b": "2"}}, "ffn_groups.b=2", "layer 2 is in group a already"),
        ({"size": "mobillama-0.6b"}, "size=mobillama-0.6b", "mobillama-0.5b"),
    ],
)
def test_wrong_settings_are_refused_with_key_and_fix(values, key, fix):
    with pytest.raises(ConfigError) as error:
        shared_ffn(**{"size": "nano", **values})
    assert str(error.value).startswith("arch")
    assert key in str(error.value)
    assert fix in str(error.value)
