"""A model written out with a feed-forward for every layer gives the same bits, in a stock class where one will do."""

import json
import runpy
import sys

import pytest
import torch
from core.errors import InputError
from safetensors.torch import load_file, save_file
from smallwright_decoder.config import DecoderConfig
from smallwright_decoder.hf import SmallwrightForCausalLM
from smallwright_decoder.hf_choice import hf_config
from smallwright_decoder.materialise import materialise
from transformers import AutoModelForCausalLM

DIMENSIONS = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 128,
    "max_position_embeddings": 64,
    "initializer_range": 0.125,
    "ffn_groups": {"middle": "1,2"},
}
IDS = torch.randint(0, 128, (2, 32), generator=torch.Generator().manual_seed(1))


def saved(folder, **parts):
    torch.manual_seed(0)
    model = SmallwrightForCausalLM(hf_config(DecoderConfig(**{**DIMENSIONS, **parts}))).eval()
    model.save_pretrained(folder)
    (folder / "tokenizer.json").write_text("{}")
    return model


@pytest.mark.parametrize(
    ("parts", "stock"),
    [
        ({}, "LlamaForCausalLM"),
        ({"tie_word_embeddings": False, "rope_scaling": "yarn", "rope_factor": 4.0}, "LlamaForCausalLM"),
        ({"qkv_bias": True}, "Qwen2ForCausalLM"),
        ({"qk_norm": True, "head_dim": 24}, "Qwen3ForCausalLM"),
        ({"ffn_groups": {"all": "all"}, "series_activation": 2, "sliding_window": 8}, "SmallwrightForCausalLM"),
    ],
    ids=str,
)
def test_logits_are_the_same_bits(parts, stock, tmp_path):
    model = saved(tmp_path / "shared", **parts)
    written = materialise(tmp_path / "shared", tmp_path / "plain")
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "plain")
    assert type(plain).__name__ == stock
    assert torch.equal(model(IDS).logits, plain(IDS).logits)
    copies = 1 if "ffn_groups" not in parts else 3
    assert written == model.num_parameters() + copies * sum(
        weight.numel() for weight in next(iter(model.model.shared_ffns.values())).parameters()
    )
    assert (tmp_path / "plain" / "tokenizer.json").is_file()
    assert (tmp_path / "plain" / "hf.py").exists() == (stock == "SmallwrightForCausalLM")
    if stock != "SmallwrightForCausalLM":
        assert not {"ffn_groups", "auto_map"} & set(json.loads((tmp_path / "plain" / "config.json").read_text()))


def test_shared_gradient_is_the_sum_over_layers(tmp_path):
    model = saved(tmp_path / "shared")
    materialise(tmp_path / "shared", tmp_path / "plain")
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "plain").eval()
    for each in (model, plain):
        each(IDS, labels=IDS).loss.backward()
    for part in ("gate_proj", "up_proj", "down_proj"):
        shared = getattr(model.model.shared_ffns["middle"], part).weight.grad
        summed = sum(getattr(plain.model.layers[layer].mlp, part).weight.grad for layer in (1, 2))
        assert torch.allclose(shared, summed, atol=1e-6)


def test_what_cannot_be_written_is_refused_in_one_line(tmp_path, monkeypatch, capsys):
    saved(tmp_path / "shared")
    saved(tmp_path / "unshared", ffn_groups=None, sliding_window=8)
    monkeypatch.setattr(sys, "argv", ["materialise", str(tmp_path / "shared"), str(tmp_path / "plain")])
    runpy.run_module("smallwright_decoder.materialise", run_name="__main__")
    assert "parameters written to" in capsys.readouterr().out
    with pytest.raises(SystemExit) as again:
        runpy.run_module("smallwright_decoder.materialise", run_name="__main__")
    expected = f"error: {tmp_path / 'plain'}: not empty. Give a new directory.\n"
    assert (again.value.code, capsys.readouterr().err) == (2, expected)
    with pytest.raises(InputError, match="'llama'"):
        materialise(tmp_path / "plain", tmp_path / "other")
    with pytest.raises(InputError, match="its own feed-forward already"):
        materialise(tmp_path / "unshared", tmp_path / "other")


def test_weights_that_are_missing_are_refused_and_not_made_up(tmp_path):
    saved(tmp_path / "shared")
    file = tmp_path / "shared" / "model.safetensors"
    weights = load_file(file)
    del weights["model.shared_ffns.middle.up_proj.weight"]
    save_file(weights, file)
    with pytest.raises(InputError, match=r"missing weights: model\.shared_ffns\.middle\.up_proj\.weight \["):
        materialise(tmp_path / "shared", tmp_path / "plain")
    file.write_bytes(b"cut off")
    with pytest.raises(InputError, match="cannot be read"):
        materialise(tmp_path / "shared", tmp_path / "plain")
    file.unlink()
    with pytest.raises(InputError, match=r"no \*\.safetensors file"):
        materialise(tmp_path / "shared", tmp_path / "plain")
    (tmp_path / "shared" / "config.json").write_text("{")
    with pytest.raises(InputError, match=r"config\.json: cannot be read"):
        materialise(tmp_path / "shared", tmp_path / "plain")
    assert not (tmp_path / "plain").exists()
