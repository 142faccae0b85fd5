"""Inheriting everything changes nothing; dead parts go first; what does not fit is refused with names and values."""

import json

import pytest
import torch
from core.errors import ConfigError, InputError, UserError
from core.typed import build
from core.weights import ModelFolder
from inherited_support import IDS, SOURCE, architecture, inherit
from safetensors.torch import load_file, save_file
from smallwright_inherited_init.config import InheritedInitConfig
from smallwright_inherited_init.family import Dimensions
from smallwright_inherited_init.layer_choice import select_layers
from smallwright_inherited_init.stage import InheritedInit


@pytest.mark.parametrize("tied", [True, False])
def test_keeping_everything_keeps_every_bit(source, tmp_path, tied):
    summary, child = inherit(source, architecture(tie_word_embeddings=tied), tmp_path)
    assert torch.equal(child(IDS).logits, source.model(IDS).logits)
    assert summary["vocabulary"] == {"copied": 96, "mean_of_pieces": 0, "mean_of_all": 0, "of": 96}
    assert summary["importance"]["neurons.0"] == {"kept": 24, "of": 24, "share": 1.0}
    assert summary["layers"] == [0, 1, 2, 3, 4, 5]
    assert child.config.eos_token_id == 3
    assert (tmp_path / "child" / "hf" / "tokenizer.json").is_file()
    scores = summary["scores"]
    assert {key.partition(".")[0] for key in scores} >= {"query_heads", "key_value_heads", "neurons", "channels"}
    assert [kept for _, _, kept in scores["query_heads.0"]] == [True] * 4
    assert inherit(source, architecture(tie_word_embeddings=tied), tmp_path)[0] == summary  # over an older attempt


def test_coupled_weights_come_from_the_same_indices(source, tmp_path):
    small = architecture(hidden_size=16, intermediate_size=10, num_attention_heads=2, num_key_value_heads=1)
    inherit(source, small, tmp_path)
    kept = json.loads((tmp_path / "child" / "inherited.json").read_text())
    ours, theirs = load_file(tmp_path / "child/hf/model.safetensors"), load_file(source.hf / "model.safetensors")
    channels, neurons = kept["channels"]["indices"], kept["neurons.4"]["indices"]
    group = kept["key_value_heads.4"]["indices"][0]
    assert kept["query_heads.4"]["indices"] == [2 * group, 2 * group + 1]
    assert 0.5 < kept["query_heads.4"]["share"] < 1
    for name, rows, columns in [
        ("mlp.gate_proj", neurons, channels),
        ("mlp.up_proj", neurons, channels),
        ("mlp.down_proj", channels, neurons),
        ("self_attn.q_proj", range(group * 16, group * 16 + 16), channels),
        ("self_attn.k_proj", range(group * 8, group * 8 + 8), channels),
        ("self_attn.v_proj", range(group * 8, group * 8 + 8), channels),
        ("self_attn.o_proj", channels, range(group * 16, group * 16 + 16)),
    ]:
        name = f"model.layers.4.{name}.weight"
        assert torch.equal(ours[name], theirs[name][list(rows)][:, list(columns)]), name
    assert torch.equal(ours["model.embed_tokens.weight"], theirs["model.embed_tokens.weight"][:, channels])
    assert torch.equal(ours["model.norm.weight"], theirs["model.norm.weight"][channels])


def test_layer_rules():
    assert select_layers("first_last", 6, 4).kept == [0, 1, 4, 5]
    assert select_layers("first_last", 30, 5).kept == [0, 1, 2, 28, 29]
    assert select_layers("first_last", 4, 1).kept == [0]
    assert select_layers((1, 3), 4, 2).kept == [1, 3]
    with pytest.raises(UserError, match=r"num_hidden_layers=3 .* layers 0 to 3"):
        select_layers((1, 3), 4, 3)
    with pytest.raises(ConfigError, match="rising"):
        build(InheritedInitConfig, {"layers": [3, 1]}, "arch.initializer")


@pytest.mark.parametrize(
    ("child", "message"),
    [
        ({"hidden_size": 64}, "arch.hidden_size=64: larger than the source's 32"),
        ({"num_hidden_layers": 7}, "arch.num_hidden_layers=7: larger than the source's 6"),
        ({"head_dim": 16}, "arch.head_dim=16: the source was trained with 8"),
        ({"num_key_value_heads": 1}, "Set arch.num_key_value_heads to 2 or more"),
        ({"rms_norm_eps": 1e-3}, "arch.rms_norm_eps=0.001: the source was trained with 1e-06"),
        ({"rope_parameters": {"rope_type": "default", "rope_theta": 5e5}}, "Set arch.rope_theta=10000.0"),
        ({"mlp_bias": True}, "mlp_bias=true"),
        ({"hidden_act": "gelu"}, "arch.activation=gelu: the source was trained with silu"),
    ],
)
def test_a_child_that_is_no_part_is_refused(source, tmp_path, child, message):
    with pytest.raises(UserError) as error:
        inherit(source, architecture(**child), tmp_path)
    assert message in str(error.value)


def test_damaged_and_foreign_sources_are_refused(source, tmp_path):
    weights = load_file(source.hf / "model.safetensors")
    gate = "model.layers.2.mlp.gate_proj.weight"
    for changed, message in [
        ({name: weight for name, weight in weights.items() if name != gate}, f"missing weights: {gate} [24, 32]"),
        (
            {**weights, "model.layers.2.gate.weight": torch.zeros(3)},
            "weights that the model has no place for: model.layers.2.gate.weight [3]",
        ),
        ({**weights, gate: torch.zeros(24, 8)}, f"weights of another shape: {gate} [24, 8] for [24, 32]"),
    ]:
        save_file(changed, source.hf / "model.safetensors")
        with pytest.raises(InputError) as error:
            inherit(source, architecture(), tmp_path)
        assert message in str(error.value)
    for bad in (float("nan"), float("inf")):
        broken = {**weights, gate: weights[gate].clone()}
        broken[gate][3, 4] = bad
        save_file(broken, source.hf / "model.safetensors")
        with pytest.raises(InputError, match=r"NaN or infinite weights: .*gate_proj.weight \[24, 32\]"):
            inherit(source, architecture(), tmp_path)
    (source.hf / "model.safetensors").write_bytes(b"cut off")
    with pytest.raises(InputError, match="cannot be read"):
        inherit(source, architecture(), tmp_path)
    (source.hf / "model.safetensors").rename(source.hf / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"pytorch_model\.bin is a pickle"):
        inherit(source, architecture(), tmp_path)
    save_file(weights, source.hf / "model.safetensors")
    with pytest.raises(UserError, match="revision=<commit>"):
        inherit(source, architecture(), tmp_path, source="someone/some-model")
    with pytest.raises(UserError, match="no such directory"):
        inherit(source, architecture(), tmp_path, source="./nowhere")
    with pytest.raises(UserError, match=r"no config\.json"):
        inherit(source, architecture(), tmp_path, source=str(tmp_path))
    (source.hf / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(InputError, match="'gpt2'"):
        inherit(source, architecture(), tmp_path)
    (source.hf / "config.json").write_text('{"model_type": "lla')
    with pytest.raises(InputError, match=r"config\.json: cannot be read \(Unterminated string"):
        inherit(source, architecture(), tmp_path)
    (source.hf / "config.json").write_text("[]")
    with pytest.raises(InputError, match="model type 'None' is not of the Llama kind"):
        inherit(source, architecture(), tmp_path)


def test_untied_source_cannot_fill_a_tied_child(source, tmp_path):
    _, untied = inherit(source, architecture(tie_word_embeddings=False), tmp_path)
    untied.save_pretrained(source.hf)
    with pytest.raises(UserError, match="tie_word_embeddings=false"):
        inherit(source, architecture(), tmp_path)


def test_source_may_be_given_as_a_directory(source, tmp_path):
    for path in (source.path, source.hf):
        summary, _ = inherit(source, architecture(num_hidden_layers=2), tmp_path, source=str(path), layers=[0, 3])
        assert summary["layers"] == [0, 3]
        assert summary["stored_parameters"] < summary["source_parameters"] == source.model.num_parameters()


def test_only_the_files_of_the_model_are_read(source, tmp_path):
    weights = load_file(source.hf / "model.safetensors")
    save_file({"layers.0.other.name": torch.zeros(2)}, source.hf / "consolidated.safetensors")
    whole, _ = inherit(source, architecture(), tmp_path)
    (source.hf / "model.safetensors").unlink()
    names = sorted(weights)
    parts = {"model-1-of-2.safetensors": names[:5], "model-2-of-2.safetensors": names[5:]}
    for file, held in parts.items():
        save_file({name: weights[name] for name in held}, source.hf / file)
    index = {"weight_map": {name: file for file, held in parts.items() for name in held}}
    (source.hf / "model.safetensors.index.json").write_text(json.dumps(index))
    in_parts, _ = inherit(source, architecture(), tmp_path)
    assert in_parts == whole
    (source.hf / "model-1-of-2.safetensors").unlink()
    with pytest.raises(InputError, match="names model-1-of-2"):
        inherit(source, architecture(), tmp_path)


def test_planning_refuses_before_the_source_is_trained():
    gqa = pytest.importorskip("smallwright_gqa.architecture", reason="gqa is not installed")
    from smallwright_gqa.config import GQAConfig

    def nano(**values):
        return gqa.GQA(build(GQAConfig, {"size": "nano", "vocab_size": 96, **values}, "arch"))

    initializer = InheritedInit(InheritedInitConfig())
    initializer.check(nano(), nano(num_hidden_layers=4, intermediate_size=256))
    with pytest.raises(UserError, match=r"num_hidden_layers=8: larger than the source's 6"):
        initializer.check(nano(), nano(num_hidden_layers=8))
    with pytest.raises(UserError, match=r"Set arch.rope_theta=10000.0"):
        initializer.check(nano(), nano(rope_theta=5e5))
    with pytest.raises(UserError, match="num_hidden_layers=6"):
        InheritedInit(InheritedInitConfig(layers=(0, 1))).check(nano(), nano())


def test_rules_that_measure_ask_for_tokens(source, tmp_path):
    assert not InheritedInit(InheritedInitConfig()).reads_tokens()
    for settings in ({"layers": "perplexity"}, {"neurons": "taylor"}):
        assert InheritedInit(InheritedInitConfig(**settings)).reads_tokens()
        ((key, value),) = settings.items()
        with pytest.raises(UserError, match=f"arch.initializer.{key}={value}: measured on the run's tokens"):
            inherit(source, architecture(num_hidden_layers=4), tmp_path, **settings)


def test_too_few_tokens_are_refused(source, tokens, tmp_path):
    settings = {"neurons": "taylor", "calibration_length": 30_000}
    with pytest.raises(UserError, match="calibration_length=30000: the run has 20000 training tokens"):
        inherit(source, architecture(intermediate_size=8), tmp_path, {"tokens": tokens}, **settings)


def test_released_configuration_format_is_read(tmp_path):
    """SmolLM2's files have RoPE's base at the top level, as transformers 4 wrote it."""
    from smallwright_inherited_init.source import read_config

    values = {**SOURCE, "model_type": "llama", "rope_theta": 100000, "rope_scaling": None, "torch_dtype": "bfloat16"}
    (tmp_path / "config.json").write_text(json.dumps(values))
    assert Dimensions.of(read_config(ModelFolder(tmp_path, "source")), "source").rope_theta == 100000.0
