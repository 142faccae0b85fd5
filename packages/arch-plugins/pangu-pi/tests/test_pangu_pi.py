"""Sizes and what the sources say of them; the two parts, one by one and together."""

import pytest
import torch
from core.typed import build
from smallwright_pangu_pi.architecture import PanguPi
from smallwright_pangu_pi.config import PanguPiConfig
from smallwright_testing import ArchitectureConformance
from torchtitan.models.common.attention import ScaledDotProductAttention

PLAIN = {"series_activation": 1, "augmented_shortcuts": 0}
STORED = {
    "nano": 1_810_072,  # with 2,048 ids
    "pangu-pi-1b": 1_032_976_432,
    "pangu-pi-1b-pro": 1_006_485_844,
    "pangu-pi-1.5b-pro": 1_338_374_232,
}


def pangu_pi(**values) -> PanguPi:
    return PanguPi(
        build(PanguPiConfig, {"vocab_size": 2048 if values.get("size") == "nano" else None, **values}, "arch")
    )


class TestPanguPi(ArchitectureConformance):
    plugin = "pangu_pi"
    settings = {"num_hidden_layers": 2}
    # One process serves both parts with all others of the library, in test_decoder_vllm.py.
    test_vllm_gives_titans_log_probabilities = None
    # Below, against the sources' numbers.
    test_every_named_size_has_the_parameters_it_declares = None


@pytest.mark.parametrize("size", PanguPiConfig.SIZES)
def test_both_engines_hold_the_counted_parameters(size):
    architecture = pangu_pi(size=size)
    with torch.device("meta"):
        hf = architecture.hf_model_class()(architecture.hf_config())
        titan = architecture.titan_config(inner_attention=ScaledDotProductAttention.Config(), seq_len=64).build()
    assert architecture.parameters() == STORED[size]
    assert hf.num_parameters() == sum(parameter.numel() for parameter in titan.parameters()) == STORED[size]


def test_a_plain_block_of_the_1b_pro_has_a_billion_parameters():
    plain = pangu_pi(size="pangu-pi-1b-pro", **PLAIN)
    assert plain.parameters() == 1_002_270_976
    assert plain.vllm_architecture() == "LlamaForCausalLM"


def test_parts_add_exactly_their_parameters():
    size, hidden, layers = "pangu-pi-1b", 2048, 12
    plain = pangu_pi(size=size, **PLAIN).parameters()
    series = pangu_pi(size=size, augmented_shortcuts=0).parameters()
    shortcuts = pangu_pi(size=size, series_activation=1).parameters()
    assert series - plain == layers * 2 * 2
    assert shortcuts - plain == layers * 2 * hidden**2 // 32 == 3_145_728
    assert pangu_pi(size=size).parameters() == plain + (series - plain) + (shortcuts - plain)
    assert (
        pangu_pi(size=size, series_activation=4, augmented_shortcuts=3).parameters() == plain + 12 * 8 + 3 * 3_145_728
    )


@pytest.mark.parametrize(
    ("vocab_size", "layers", "stored", "percent"),
    [(100_883, 15, 946_529_024, 38.199), (48_000, 20, 951_983_872, 18.071)],
)
def test_embedding_shares_of_the_tokenizer_study(vocab_size, layers, stored, percent):
    values = {"vocab_size": vocab_size, "num_hidden_layers": layers, "intermediate_size": 4864, **PLAIN}
    architecture = pangu_pi(size="pangu-pi-1b-pro", **values)
    assert architecture.parameters() == stored
    assert 100 * architecture.embedding_parameters() / stored == pytest.approx(percent, abs=5e-4)
