"""TorchTitan and Hugging Face compute the same logits from the same weights; the adapter loses nothing."""

import json

import pytest
import torch
from core.typed import build
from smallwright_gqa.architecture import GQA
from smallwright_gqa.config import GQAConfig
from torchtitan.models.common.attention import ScaledDotProductAttention


def built(**values):
    architecture = GQA(build(GQAConfig, {"size": "nano", "vocab_size": 256, "num_hidden_layers": 3, **values}, "arch"))
    config = architecture.titan_config(inner_attention=ScaledDotProductAttention.Config(), seq_len=64)
    with torch.device("meta"):
        titan = config.build()
    titan.verify_module_protocol()
    titan.to_empty(device="cpu")
    torch.manual_seed(0)
    with torch.no_grad():
        titan.init_states(buffer_device=torch.device("cpu"))
        for name, parameter in titan.named_parameters():
            if "norm" in name:  # ones would hide a norm in the wrong place
                parameter.uniform_(0.5, 1.5)
    return architecture, titan, architecture.state_dict_adapter()(config, None)


SHAPES = [{}, {"tie_word_embeddings": False}, {"head_dim": 48, "num_key_value_heads": 1}, {"num_key_value_heads": 4}]


@pytest.mark.parametrize("values", SHAPES, ids=str)
def test_engines_agree(values):
    architecture, titan, adapter = built(rms_norm_eps=1e-3, rope_theta=500.0, **values)
    hf = architecture.hf_model_class()(architecture.hf_config()).eval()
    missing, unexpected = hf.load_state_dict(adapter.to_hf(titan.state_dict()), strict=False)
    assert (missing, unexpected) == (["lm_head.weight"] if architecture.config.tie_word_embeddings else [], [])
    ids_BL = torch.randint(0, 256, (2, 64))
    with torch.no_grad():
        difference = torch.log_softmax(titan(ids_BL), -1) - torch.log_softmax(hf(ids_BL).logits, -1)
    assert difference.abs().max() < 1e-4


@pytest.mark.parametrize("values", SHAPES[:2], ids=str)
def test_adapter_round_trip_is_exact(values, tmp_path):
    architecture, titan, adapter = built(**values)
    state = titan.state_dict()
    back = adapter.from_hf(adapter.to_hf(state))
    assert state.keys() == back.keys()
    assert all(torch.equal(state[name], back[name]) for name in state)
    saved = architecture.hf_model_class()(architecture.hf_config())
    saved.load_state_dict(adapter.to_hf(state), strict=False)
    saved.save_pretrained(tmp_path)
    loaded = type(saved).from_pretrained(tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(saved.parameters(), loaded.parameters(), strict=True))


def test_unknown_weights_are_not_dropped():
    _, titan, adapter = built()
    with pytest.raises(KeyError, match="extra"):
        adapter.from_hf({**adapter.to_hf(titan.state_dict()), "model.extra.weight": torch.zeros(1)})


def test_initialisation_follows_the_scheme():
    for scheme, divisor in (("depth_scaled", (2 * 3) ** 0.5), ("constant", 1.0)):
        _, titan, _ = built(init_scheme=scheme, initializer_range=0.05)
        block = titan.layers["1"]
        for weight in (titan.lm_head.weight, block.attention.qkv_linear.wk.weight, block.feed_forward.w3.weight):
            assert weight.std().item() == pytest.approx(0.05, rel=0.05)
        for weight in (block.attention.wo.weight, block.feed_forward.w2.weight):
            assert weight.std().item() == pytest.approx(0.05 / divisor, rel=0.05)
        assert titan.tok_embeddings.weight is titan.lm_head.weight


def test_an_export_names_the_class_that_vllm_serves(tmp_path):
    architecture = GQA(build(GQAConfig, {"size": "nano", "vocab_size": 256}, "arch"))
    architecture.hf_model_class()(architecture.hf_config()).save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["architectures"] == [architecture.vllm_architecture()]
