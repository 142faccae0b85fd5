"""A model that exists gives the settings that make exactly it, and what the decoder lacks is named."""

import json

import pytest
import torch
import transformers
from core.errors import InputError
from core.typed import build
from core.weights import ModelFolder
from safetensors.torch import load_file, save_file
from smallwright_decoder.architecture import DecoderArchitecture
from smallwright_decoder.config import DecoderConfig
from smallwright_decoder.from_hf import settings_of

SMALL = {
    "vocab_size": 97,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
}
STOCK = {
    "llama": transformers.LlamaConfig(**SMALL, rms_norm_eps=1e-5, rope_theta=100000.0, tie_word_embeddings=True),
    "llama-wide-heads": transformers.LlamaConfig(**SMALL, head_dim=32),
    "llama3": transformers.LlamaConfig(
        **SMALL,
        rope_parameters={
            "rope_type": "llama3",
            "rope_theta": 500000.0,
            "factor": 4.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64,
        },
    ),
    "mistral": transformers.MistralConfig(**SMALL, head_dim=16, sliding_window=None),
    "qwen2": transformers.Qwen2Config(**SMALL, tie_word_embeddings=True),
    "qwen3": transformers.Qwen3Config(**SMALL, head_dim=32),
    "smollm3": transformers.SmolLM3Config(**SMALL, pad_token_id=0, bos_token_id=1, eos_token_id=2),
}
OURS = {
    "shared": {"ffn_groups": {"all": "all"}},
    "windows": {"sliding_window": 32, "global_interval": 3},
    "local": {"sliding_window": 32},
    "nope": {"nope_interval": 2, "activation": "relu2"},
    "pangu": {"series_activation": 3, "augmented_shortcuts": 1},
    "dynamic": {"rope_scaling": "dynamic", "rope_factor": 2.0, "rope_original_max_position": 128},
    "experts": {"num_experts": 4, "shared_expert_intermediate_size": 32, "mlp_only_layers": [0], "qk_norm": True},
}


def folder_of(config, path):
    config.save_pretrained(path)
    return ModelFolder(path, "model=here")


def built(settings):
    return DecoderArchitecture(build(DecoderConfig, settings, "arch"))


@pytest.mark.parametrize("name", STOCK)
def test_a_stock_model_has_the_same_weights_here(name, tmp_path):
    architecture = built(settings_of(folder_of(STOCK[name], tmp_path)))
    stock = transformers.AutoModelForCausalLM.from_config(STOCK[name])
    own = architecture.hf_model_class()(architecture.hf_config())
    assert {key: value.shape for key, value in own.state_dict().items()} == {
        key: value.shape for key, value in stock.state_dict().items()
    }
    own.load_state_dict(stock.state_dict())
    ids = torch.arange(3, 80).unsqueeze(0)
    assert (own.eval()(ids).logits - stock.eval()(ids).logits).abs().max() < 1e-6
    assert architecture.context() == STOCK[name].max_position_embeddings


@pytest.mark.parametrize("name", OURS)
def test_an_export_gives_the_settings_that_made_it(name, tmp_path):
    made = built({**SMALL, **OURS[name]})
    found = settings_of(folder_of(made.hf_config(), tmp_path))
    again = built(found)
    assert again.hf_config().to_dict() == made.hf_config().to_dict()
    assert again.parameters() == made.parameters()
    assert again.config.layer_groups == made.config.layer_groups


@pytest.mark.parametrize("name", [name for name in (*STOCK, *OURS) if name != "experts"])
def test_weights_of_another_shape_are_found_in_their_headers(name, tmp_path):
    made = built({**SMALL, **OURS[name]}) if name in OURS else None
    config = made.hf_config() if made else STOCK[name]
    model = made.hf_model_class()(config) if made else transformers.AutoModelForCausalLM.from_config(config)
    model.save_pretrained(tmp_path)
    folder = ModelFolder(tmp_path, "model=here")
    architecture = built(settings_of(folder))
    architecture.check_weights(folder)
    state = load_file(tmp_path / "model.safetensors")
    state["model.norm.weight"] = torch.zeros(65)
    state["model.more.weight"] = state.pop("model.layers.3.input_layernorm.weight")
    save_file(state, tmp_path / "model.safetensors")
    said = r"^model=here: missing weights: model\.layers\.3\.input_layernorm.* model\.more.* \[65\] for \[64\]"
    with pytest.raises(InputError, match=said):
        architecture.check_weights(folder)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"attention_bias": True}, "attention_bias=true: the decoder has no biases"),
        ({"hidden_act": "gelu_new"}, "hidden_act=gelu_new: the decoder has no activation of that name"),
        ({"rope_scaling": {"rope_type": "longrope", "factor": 2.0}}, "rope_scaling=longrope"),
    ],
)
def test_a_part_that_the_decoder_lacks_is_named(changed, said, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama", **SMALL, **changed}))
    with pytest.raises(InputError, match=said):
        settings_of(ModelFolder(tmp_path, "model=here"))


def test_a_model_of_another_kind_is_none_of_the_decoders(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt_neox"}))
    assert settings_of(ModelFolder(tmp_path)) is None
