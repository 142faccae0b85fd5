"""Sizes and their published parameter counts, and what the configuration refuses."""

import subprocess
import sys

import pytest
import torch
from core.errors import ConfigError
from core.interfaces import Architecture
from core.typed import build, identity
from smallwright_gqa.architecture import GQA
from smallwright_gqa.config import GQAConfig
from torchtitan.models.common.attention import ScaledDotProductAttention

STORED = {
    "nano": 1_443_456,  # with 2,048 ids
    "smollm2-135m": 134_515_008,
    "smollm2-360m": 361_821_120,
    "smollm2-1.7b": 1_711_376_384,
    "llama-3.2-1b": 1_235_814_400,
    "qwen2.5-0.5b": 494_032_768,
    "qwen3-0.6b": 596_049_920,
}
STOCK = {"qwen2.5-0.5b": "Qwen2ForCausalLM", "qwen3-0.6b": "Qwen3ForCausalLM"}


def gqa(**values) -> GQA:
    return GQA(build(GQAConfig, values, "arch"))


@pytest.mark.parametrize("size", GQAConfig.SIZES)
def test_both_engines_hold_the_counted_parameters(size):
    architecture = gqa(size=size, **({"vocab_size": 2048} if size == "nano" else {}))
    with torch.device("meta"):
        hf = architecture.hf_model_class()(architecture.hf_config())
        titan = architecture.titan_config(inner_attention=ScaledDotProductAttention.Config(), seq_len=64).build()
    assert architecture.parameters() == STORED[size]
    assert type(hf).__name__ == architecture.vllm_architecture() == STOCK.get(size, "LlamaForCausalLM")
    assert hf.num_parameters() == architecture.parameters()
    assert sum(parameter.numel() for parameter in titan.parameters()) == architecture.parameters()


def test_llama_3_2_scales_its_positions_as_published():
    architecture = gqa(size="llama-3.2-1b")
    assert architecture.hf_config().rope_parameters == {
        "rope_type": "llama3",
        "rope_theta": 500000.0,
        "factor": 32.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    }
    assert architecture.hf_config().max_position_embeddings == 131072


def test_untied_embeddings_and_free_head_dim_are_counted():
    architecture = gqa(size="nano", vocab_size=512, tie_word_embeddings=False, head_dim=48)
    with torch.device("meta"):
        hf = architecture.hf_model_class()(architecture.hf_config())
    assert hf.num_parameters() == architecture.parameters()
    matmuls = sum(p.numel() for name, p in hf.named_parameters() if "norm" not in name and "embed" not in name)
    assert architecture.executed_parameters() == matmuls
    assert architecture.attention_width() == 6 * 4 * 48
    assert architecture.flops_per_token(100) == 6 * matmuls + 6 * 6 * 4 * 48 * 100


def test_titan_reports_the_architectures_flops():
    architecture = gqa(size="nano", vocab_size=512)
    config = architecture.titan_config(inner_attention=ScaledDotProductAttention.Config(), seq_len=64)
    with torch.device("meta"):
        stored, flops = config.get_nparams_and_flops(config.build(), 64)
    assert (stored, flops) == (architecture.parameters(), architecture.flops_per_token(64))


def test_name_of_the_size_is_no_part_of_the_identity():
    by_name = build(GQAConfig, {"size": "nano"}, "arch")
    by_value = build(GQAConfig, {"size": None, **GQAConfig.SIZES["nano"]}, "arch")
    assert identity(by_name) == identity(by_value)


@pytest.mark.parametrize(
    ("values", "key", "fix"),
    [
        ({"num_attention_heads": 3, "num_key_value_heads": 3}, "num_attention_heads=3", "132"),
        ({"num_key_value_heads": 3}, "num_key_value_heads=3", "[1, 2, 4]"),
        ({"head_dim": 33}, "head_dim=33", "34"),
        ({"num_hidden_layers": 0}, "num_hidden_layers=0", "from 1"),
        ({"rope_theta": float("nan")}, "rope_theta=nan", "finite"),
        ({"init_scheme": "depth"}, "init_scheme=depth", "depth_scaled"),
        ({"size": "smollm2-130m"}, "size=smollm2-130m", "smollm2-135m"),
    ],
)
def test_wrong_dimensions_are_refused_with_key_and_fix(values, key, fix):
    with pytest.raises(ConfigError) as error:
        gqa(**{"size": "nano", **values})
    assert str(error.value).startswith("arch")
    assert key in str(error.value)
    assert fix in str(error.value)


def test_unknown_vocabulary_and_long_sequences_are_refused():
    with pytest.raises(ConfigError, match="vocab_size"):
        gqa(size="nano").parameters()
    with pytest.raises(ConfigError, match="max_position_embeddings=2048"):
        gqa(size="nano", vocab_size=64).titan_config(inner_attention=None, seq_len=2048)


def test_counting_needs_no_torch():
    code = "import sys, smallwright_gqa.architecture, smallwright_gqa.plugin; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert issubclass(GQA, Architecture)
