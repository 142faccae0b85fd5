"""Transformers face: every part computes what its paper says, alone and with the others, cached, saved and copied."""

import copy
import os
import subprocess
import sys

import pytest
import torch
from safetensors import safe_open
from smallwright_decoder.architecture import DecoderArchitecture
from smallwright_decoder.config import DecoderConfig
from smallwright_decoder.hf import SmallwrightConfig, SmallwrightForCausalLM, activation_function
from smallwright_decoder.hf_choice import hf_config, hf_model_class, smallwright_config, stock_model
from torch.nn import functional as F
from transformers import AutoConfig, AutoModelForCausalLM

DIMENSIONS = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 6,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 128,
    "max_position_embeddings": 128,
    "initializer_range": 0.125,
}
PARTS = {
    "qk_norm": {"qk_norm": True},
    "qkv_bias": {"qkv_bias": True, "head_dim": 24},
    "window": {"sliding_window": 8},
    "local and global": {"sliding_window": 8, "global_interval": 3},
    "nope": {"nope_interval": 2},
    "groups": {"ffn_groups": {"middle": "1-3", "ends": "0,5"}, "tie_word_embeddings": False},
    "gelu": {"activation": "gelu"},
    "series": {"series_activation": 3},
    "shortcuts": {"augmented_shortcuts": 2, "shortcut_reduction": 8},
    "dynamic": {"rope_scaling": "dynamic", "rope_factor": 2.0},
    "experts": {"num_experts": 4, "moe_intermediate_size": 32, "norm_topk_prob": False, "mlp_only_layers": (0,)},
    "shared expert": {"num_experts": 4, "shared_expert_intermediate_size": 32, "nope_interval": 2},
}
ALL = {
    **PARTS["local and global"],
    **PARTS["groups"],
    **PARTS["shortcuts"],
    "qk_norm": True,
    "qkv_bias": True,
    "nope_interval": 4,
    "activation": "relu2",
    "series_activation": 2,
    "rope_scaling": "yarn",
    "rope_factor": 4.0,
    "head_dim": 24,
}
IDS = torch.randint(0, 128, (2, 40), generator=torch.Generator().manual_seed(1))


def config_of(**parts) -> DecoderConfig:
    return DecoderConfig(**{**DIMENSIONS, **parts})


def model_of(**parts):
    """Return our model in which no part is at its neutral start: ones would hide a norm in the wrong place."""
    torch.manual_seed(0)
    model = SmallwrightForCausalLM(smallwright_config(config_of(**parts))).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "shortcuts" in name:
                parameter.normal_(std=0.1)
            elif parameter.dim() == 1:
                parameter.uniform_(0.5, 1.0)
    return model


@pytest.mark.parametrize(
    ("parts", "stock"),
    [
        ({}, "LlamaForCausalLM"),
        ({"head_dim": 24}, "LlamaForCausalLM"),
        ({"rope_scaling": "yarn", "rope_factor": 4.0, "tie_word_embeddings": False}, "LlamaForCausalLM"),
        ({"rope_scaling": "llama3", "rope_factor": 4.0}, "LlamaForCausalLM"),
        ({"qkv_bias": True}, "Qwen2ForCausalLM"),
        ({"qk_norm": True, "head_dim": 24}, "Qwen3ForCausalLM"),
        ({"qk_norm": True, "num_attention_heads": 6, "head_dim": 16}, "Qwen3ForCausalLM"),
        ({"num_experts": 4, "head_dim": 24}, "MixtralForCausalLM"),
        ({"num_experts": 4, "qk_norm": True, "norm_topk_prob": False, "mlp_only_layers": (0,)}, "Qwen3MoeForCausalLM"),
        ({"num_experts": 4, "qkv_bias": True, "shared_expert_intermediate_size": 32}, "Qwen2MoeForCausalLM"),
    ],
    ids=str,
)
def test_a_stock_class_computes_what_ours_does(parts, stock, tmp_path):
    config = config_of(**parts)
    assert stock_model(config) == hf_model_class(config).__name__ == stock
    ours = model_of(**parts)
    theirs = hf_model_class(config)(hf_config(config)).eval()
    theirs.load_state_dict(ours.state_dict())
    assert torch.equal(theirs(IDS).logits, ours(IDS).logits)
    if config.num_experts is not None:
        return  # files of stock classes have each expert by itself: test_files_of_an_export_come_back_bit_equal
    theirs.save_pretrained(tmp_path)
    loaded = SmallwrightForCausalLM.from_pretrained(tmp_path, config=smallwright_config(config))
    assert torch.equal(theirs(IDS).logits, loaded(IDS).logits)


@pytest.mark.parametrize(
    "parts",
    [
        *(parts for parts in PARTS.values() if parts != PARTS["qk_norm"]),  # a part of Qwen3
        ALL,
        {"qk_norm": True, "qkv_bias": True},
        {"num_attention_heads": 6, "head_dim": 16},
        {"qkv_bias": True, "head_dim": 24},
        {"num_experts": 4, "mlp_only_layers": (0,)},
        {"num_experts": 4, "qkv_bias": True},
        {"num_experts": 4, "qk_norm": True, "shared_expert_intermediate_size": 32},
        {"num_experts": 4, "qkv_bias": True, "shared_expert_intermediate_size": 32, "head_dim": 24},
    ],
    ids=str,
)
def test_no_stock_class_is_given_for_other_parts(parts):
    assert stock_model(config_of(**parts)) is None
    assert hf_config(config_of(**parts)).model_type == "smallwright_decoder"


@pytest.mark.parametrize("parts", [*PARTS.values(), ALL], ids=[*PARTS, "all"])
def test_each_part_works_in_every_use(parts, tmp_path):
    model = model_of(**parts)
    assert model.num_parameters() == DecoderArchitecture(config_of(**parts)).parameters()
    with torch.device("meta"):
        assert SmallwrightForCausalLM(model.config).num_parameters() == model.num_parameters()
    options = {"max_new_tokens": 20, "do_sample": False, "pad_token_id": 0, "attention_mask": torch.ones_like(IDS)}
    assert torch.equal(model.generate(IDS, **options), model.generate(IDS, use_cache=False, **options))

    model.save_pretrained(tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert torch.equal(model(IDS).logits, loaded(IDS).logits)
    assert torch.equal(model(IDS).logits, copy.deepcopy(model)(IDS).logits)
    loaded.set_attn_implementation("eager")
    assert torch.allclose(model(IDS).logits, loaded(IDS).logits, atol=1e-4)

    loaded.set_attn_implementation("sdpa")
    loaded.train().gradient_checkpointing_enable()
    for each in (model, loaded):
        each(IDS, labels=IDS).loss.backward()
    for (name, a), (_, b) in zip(model.named_parameters(), loaded.named_parameters(), strict=True):
        assert a.grad.abs().sum() > 0, name
        assert torch.equal(a.grad, b.grad), name


def test_padding_on_the_left_changes_nothing():
    model = model_of(**ALL)
    short, pad = IDS[:1, :12], torch.zeros(1, 5, dtype=torch.long)
    mask = torch.cat([pad, torch.ones_like(short)], 1)
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    padded = model(torch.cat([pad, short], 1), attention_mask=mask, position_ids=positions).logits[:, 5:]
    assert torch.allclose(padded, model(short).logits, atol=1e-5)


def test_a_window_is_that_many_tokens_itself_included():
    model = model_of(sliding_window=4, num_hidden_layers=1)
    changed = IDS.clone()
    changed[:, 10] = (changed[:, 10] + 1) % 128
    touched = (model(IDS).logits - model(changed).logits).abs().amax(dim=(0, 2)) > 1e-6
    assert touched.nonzero().flatten().tolist() == [10, 11, 12, 13]


def test_layers_without_rope_ignore_positions():
    shift = torch.arange(40)[None] * 3  # distances change
    for interval, equal in ((1, True), (2, False)):
        model = model_of(nope_interval=interval)
        moved = model(IDS, position_ids=shift.expand(2, -1)).logits
        assert torch.allclose(model(IDS).logits, moved, atol=1e-5) is equal


def test_block_is_what_its_documentation_says():
    model = model_of(**ALL)
    layer, x = model.model.layers[1], torch.randn(1, 5, 64)
    normed = layer.input_layernorm(x)
    rotation = model.model.rotary_emb(x, torch.arange(5)[None])
    attended, _ = layer.self_attn(normed, position_embeddings=rotation, attention_mask=None)
    paths = [
        F.linear(F.gelu(F.linear(normed, t.down_proj.weight)), t.up_proj.weight) for t in layer.attention_shortcuts
    ]
    h = x + attended + sum(paths)
    y, ffn = layer.post_attention_layernorm(h), model.model.shared_ffns["middle"]
    gate, (a, b), (c, d) = ffn.gate_proj(y), ffn.act_fn.scale, ffn.act_fn.shift
    series = F.relu(a * gate + c) ** 2 + F.relu(b * gate + d) ** 2
    expected = h + ffn.down_proj(series * ffn.up_proj(y))
    assert torch.allclose(layer(x, position_embeddings=rotation, attention_mask=None), expected, atol=1e-5)


def test_parts_start_next_to_the_model_without_them():
    torch.manual_seed(0)
    plain = SmallwrightForCausalLM(smallwright_config(config_of())).eval()
    config = smallwright_config(config_of(augmented_shortcuts=2, shortcut_reduction=8, series_activation=2))
    model = SmallwrightForCausalLM(config).eval()
    for layer in model.model.layers:
        scale, shift = layer.mlp.act_fn.scale, layer.mlp.act_fn.shift
        assert scale[0] == 1
        assert 0 < scale[1].abs() < 1
        assert not shift.any()
        assert layer.attention_shortcuts[0].down_proj.weight.std().item() == pytest.approx(0.125, rel=0.2)
        with torch.no_grad():
            scale[1] = 0.0  # silu(0) is 0: what is left is the plain activation
    model.load_state_dict(plain.state_dict(), strict=False)
    assert torch.equal(model(IDS).logits, plain(IDS).logits)


@pytest.mark.parametrize("tied", [True, False])
def test_file_holds_a_group_once_and_no_tied_head(tied, tmp_path):
    model = model_of(**{**ALL, "tie_word_embeddings": tied})
    model.save_pretrained(tmp_path)
    with safe_open(tmp_path / "model.safetensors", "pt") as file:
        shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
    assert ("lm_head.weight" in shapes) is not tied
    assert {name.split(".")[2] for name in shapes if "shared_ffns" in name} == {"middle", "ends"}
    assert [name for name in shapes if ".mlp.gate_proj" in name] == ["model.layers.4.mlp.gate_proj.weight"]
    assert shapes["model.shared_ffns.middle.act_fn.scale"] == [2]
    assert shapes["model.layers.0.attention_shortcuts.1.down_proj.weight"] == [8, 64]
    assert shapes["model.layers.0.self_attn.q_norm.weight"] == [24]
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert all(loaded.model.layers[layer].mlp is loaded.model.shared_ffns["middle"] for layer in (1, 2, 3))


def test_export_loads_where_smallwright_is_not_installed(tmp_path):
    model = model_of(**ALL)
    model.save_pretrained(tmp_path)
    code = f"""
import sys, torch
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("core", "smallwright_decoder"): raise ModuleNotFoundError(name)
assert "core" not in sys.modules and "smallwright_decoder" not in sys.modules
sys.meta_path.insert(0, Absent())
import transformers.dynamic_module_utils
transformers.dynamic_module_utils.HF_MODULES_CACHE = {str(tmp_path / "cache")!r}
from transformers import AutoModelForCausalLM
model = AutoModelForCausalLM.from_pretrained({str(tmp_path)!r}, trust_remote_code=True)
torch.save(model(torch.tensor({IDS.tolist()})).logits, {str(tmp_path / "logits.pt")!r})
"""
    environment = {**os.environ, "ENGINE_OF_CODE": "libraries"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert torch.equal(torch.load(tmp_path / "logits.pt"), model(IDS).logits)
    assert list((tmp_path / "cache").rglob("*.py"))


def test_activation_of_a_local_plugin_is_found(tmp_path, monkeypatch):
    (tmp_path / "beside_the_plugin.py").write_text("def double(z):\n    return 2 * z\n")
    with pytest.raises(ValueError, match="activation=beside_the_plugin:double: not one of silu, gelu, relu2"):
        activation_function("beside_the_plugin:double")
    monkeypatch.setenv("SMALLWRIGHT_PLUGIN_FILES", f"/nowhere/else.py{os.pathsep}{tmp_path / 'plugin.py'}")
    monkeypatch.setattr(sys, "path", [*sys.path])
    assert activation_function("beside_the_plugin:double")(3) == 6


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"layer_types": ["full_attention"]}, "layer_types"),
        ({"rope_layers": [True, False]}, "rope_layers: 2 values for 4 layers"),
        ({"layer_types": ["sliding_attention"] * 4}, "sliding_window: not set"),
        ({"augmented_shortcuts": 1, "shortcut_reduction": 7}, "shortcut_reduction=7"),
    ],
)
def test_inconsistent_files_are_refused(values, message):
    with pytest.raises(Exception, match=message):
        SmallwrightConfig(hidden_size=64, num_hidden_layers=4, num_attention_heads=4, **values)


def test_configuration_survives_its_file(tmp_path):
    config = hf_config(config_of(**ALL))
    config.save_pretrained(tmp_path)
    loaded = AutoConfig.from_pretrained(tmp_path)
    assert loaded.to_diff_dict() == config.to_diff_dict()
    assert loaded.ffn_groups == ["ends", "middle", "middle", "middle", None, "ends"]
    assert loaded.rope_parameters["original_max_position_embeddings"] == 32
    plan = loaded.base_model_tp_plan
    assert plan["shared_ffns.ends.down_proj"] == plan["layers.*.mlp.down_proj"] == "rowwise"
