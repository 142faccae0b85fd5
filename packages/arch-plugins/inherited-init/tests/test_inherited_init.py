"""Inheriting everything changes nothing; dead parts go first; what does not fit is refused with names and values."""

import dataclasses
import json
from importlib.resources import files
from types import SimpleNamespace

import pytest
import torch
from core.config import build
from core.errors import ConfigError, InputError, UserError
from core.interfaces import Job
from omegaconf import OmegaConf
from safetensors.torch import load_file, save_file
from smallwright_inherited_init import conf
from smallwright_inherited_init.config import InheritedInitConfig
from smallwright_inherited_init.family import Dimensions, select_layers
from smallwright_inherited_init.inherit import InheritedInit
from transformers import LlamaConfig, LlamaForCausalLM

SOURCE = {
    "vocab_size": 96,
    "hidden_size": 32,
    "intermediate_size": 24,
    "num_hidden_layers": 6,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 64,
    "tie_word_embeddings": True,
    "bos_token_id": None,
    "eos_token_id": 3,
}
IDS = torch.randint(0, 96, (2, 20), generator=torch.Generator().manual_seed(0))


def architecture(**values):
    """A child architecture: all that an initializer asks of one."""
    return SimpleNamespace(
        hf_config=lambda: LlamaConfig(**{**SOURCE, "eos_token_id": None, **values}),
        hf_model_class=lambda: LlamaForCausalLM,
    )


@pytest.fixture
def source(tmp_path):
    """A model artifact with random weights, and a tokenizer of the right size."""
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**SOURCE)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.uniform_(0.5, 1.5)
    model.save_pretrained(tmp_path / "source" / "hf")
    tokenizer = {"model": {"vocab": {f"t{i}": i for i in range(96)}}}
    (tmp_path / "source" / "hf" / "tokenizer.json").write_text(json.dumps(tokenizer))
    return SimpleNamespace(model=model, path=tmp_path / "source", hf=tmp_path / "source" / "hf")


def inherit(parent, child, tmp_path, inputs=None, **settings):
    job = Job(
        name="init",
        output=tmp_path / "child",
        inputs={"source": parent.path, **(inputs or {})},
        seed=0,
        architecture=child,
    )
    job.output.mkdir(exist_ok=True)
    summary = InheritedInit(build(InheritedInitConfig, settings, "arch.initializer")).run(job)
    return summary, child.hf_model_class().from_pretrained(job.output / "hf").eval()


@pytest.mark.parametrize("tied", [True, False])
def test_keeping_everything_keeps_every_bit(source, tmp_path, tied):
    summary, child = inherit(source, architecture(tie_word_embeddings=tied), tmp_path)
    assert torch.equal(child(IDS).logits, source.model(IDS).logits)
    assert summary["importance"]["neurons.0"] == {"kept": 24, "of": 24, "share": 1.0}
    assert summary["layers"] == [0, 1, 2, 3, 4, 5]
    assert child.config.eos_token_id == 3
    assert (tmp_path / "child" / "hf" / "tokenizer.json").is_file()
    assert inherit(source, architecture(tie_word_embeddings=tied), tmp_path)[0] == summary  # over an older attempt


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_dead_parts_are_dropped_first(source, tmp_path, norm):
    """Parts that do nothing are planted; a child without them computes the same."""
    neurons, head, channels, layers = [3, 4, 11], 2, [0, 7, 21, 30, 31, 12, 13, 14], [2, 3]
    with torch.no_grad():
        for layer in source.model.model.layers:
            layer.mlp.gate_proj.weight[neurons] = 0
            layer.mlp.up_proj.weight[neurons] = 0
            layer.mlp.down_proj.weight[:, neurons] = 0
            layer.self_attn.q_proj.weight[head * 8 : head * 8 + 8] = 0  # a query head of each group
            layer.self_attn.q_proj.weight[:8] = 0
            layer.self_attn.o_proj.weight[:, head * 8 : head * 8 + 8] = 0
            layer.self_attn.o_proj.weight[:, :8] = 0
        for index in layers:
            source.model.model.layers[index].mlp.down_proj.weight.zero_()
            source.model.model.layers[index].self_attn.o_proj.weight.zero_()
    smaller = {"num_attention_heads": 2, "intermediate_size": 21, "num_hidden_layers": 4}
    source.model.save_pretrained(source.hf)
    summary, child = inherit(source, architecture(**smaller), tmp_path, neurons=norm)
    assert torch.allclose(child(IDS).logits, source.model(IDS).logits, atol=1e-5)
    kept = json.loads((tmp_path / "child" / "inherited.json").read_text())
    assert summary["layers"] == [0, 1, 4, 5]
    assert summary["importance"]["neurons.5"] == {"kept": 21, "of": 24, "share": 1.0}
    assert set(range(24)) - set(kept["neurons.1"]["indices"]) == set(neurons)
    assert kept["query_heads.0"]["indices"] == [1, 3]

    with torch.no_grad():
        for name, parameter in source.model.named_parameters():
            dims = 0 if parameter.ndim == 1 or "o_proj" in name or "down_proj" in name else 1
            parameter.index_fill_(dims, torch.tensor(channels), 0.0)
    source.model.save_pretrained(source.hf)
    inherit(source, architecture(hidden_size=24, **smaller), tmp_path, neurons=norm)
    kept = json.loads((tmp_path / "child" / "inherited.json").read_text())
    assert set(range(32)) - set(kept["channels"]["indices"]) == set(channels)


def test_coupled_weights_come_from_the_same_indices(source, tmp_path):
    small = architecture(hidden_size=16, intermediate_size=10, num_attention_heads=2, num_key_value_heads=1)
    inherit(source, small, tmp_path)
    kept = json.loads((tmp_path / "child" / "inherited.json").read_text())
    ours, theirs = load_file(tmp_path / "child/hf/model.safetensors"), load_file(source.hf / "model.safetensors")
    channels, neurons = kept["channels"]["indices"], kept["neurons.4"]["indices"]
    group = kept["key_value_heads.4"]["indices"][0]
    assert kept["query_heads.4"]["indices"] == [2 * group, 2 * group + 1]
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
    assert select_layers("first_last", 6, 4) == [0, 1, 4, 5]
    assert select_layers("first_last", 30, 5) == [0, 1, 2, 28, 29]
    assert select_layers("first_last", 4, 1) == [0]
    assert select_layers((1, 3), 4, 2) == [1, 3]
    with pytest.raises(UserError, match=r"num_hidden_layers=3 .* layers 0 to 3"):
        select_layers((1, 3), 4, 3)
    with pytest.raises(ConfigError, match="rising"):
        build(InheritedInitConfig, {"layers": [3, 1]}, "arch.initializer")


@pytest.mark.parametrize(
    ("child", "message"),
    [
        ({"vocab_size": 128}, "arch.vocab_size=128: the source has 96"),
        ({"hidden_size": 64}, "arch.hidden_size=64: larger than the source's 32"),
        ({"num_hidden_layers": 7}, "arch.num_hidden_layers=7: larger than the source's 6"),
        ({"head_dim": 16}, "arch.head_dim=16: the source was trained with 8"),
        ({"num_key_value_heads": 1}, "Set arch.num_key_value_heads to 2 or more"),
        ({"rms_norm_eps": 1e-3}, "arch.rms_norm_eps=0.001: the source was trained with 1e-06"),
        ({"rope_parameters": {"rope_type": "default", "rope_theta": 5e5}}, "Set arch.rope_theta=10000.0"),
        ({"mlp_bias": True}, "bias-free"),
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
            "weights of no Llama: model.layers.2.gate.weight [3]",
        ),
        ({**weights, gate: torch.zeros(24, 8)}, f"shape is not config.json's: {gate} [24, 8]"),
    ]:
        save_file(changed, source.hf / "model.safetensors")
        with pytest.raises(InputError) as error:
            inherit(source, architecture(), tmp_path)
        assert message in str(error.value)
    (tmp_path / "tokenizer").mkdir()
    (tmp_path / "tokenizer" / "tokenizer.json").write_text('{"model": {"vocab": {"other": 0}}}')
    with pytest.raises(UserError, match="embedding rows mean other tokens"):
        inherit(source, architecture(), tmp_path, inputs={"tokenizer": tmp_path / "tokenizer"})
    with pytest.raises(UserError, match="revision=<commit>"):
        inherit(source, architecture(), tmp_path, source="someone/some-model")
    with pytest.raises(InputError, match="no such directory"):
        inherit(source, architecture(), tmp_path, source="./nowhere")
    (source.hf / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(InputError, match="'gpt2'"):
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


def test_shared_feed_forward_is_cut_once(source, tmp_path):
    shared_ffn = pytest.importorskip("smallwright_shared_ffn.architecture", reason="shared_ffn is not installed")
    from smallwright_shared_ffn.config import SharedFFNConfig

    def shared(**values):
        keys = {key: SOURCE[key] for key in SOURCE if not key.endswith("token_id")}
        config = build(SharedFFNConfig, {**keys, "rms_norm_eps": 1e-6, **values}, "arch")
        return shared_ffn.SharedFFN(config)

    torch.manual_seed(0)
    parent = shared().hf_model_class()(shared().hf_config()).eval()
    parent.save_pretrained(source.hf)
    _, whole = inherit(source, shared(), tmp_path)
    assert torch.equal(whole(IDS).logits, parent(IDS).logits)
    summary, child = inherit(source, shared(num_hidden_layers=4, intermediate_size=16), tmp_path)
    assert summary["importance"]["neurons"]["kept"] == 16
    assert child.num_parameters() == shared(num_hidden_layers=4, intermediate_size=16).parameters()
    _, plain = inherit(source, architecture(), tmp_path)
    assert torch.equal(plain(IDS).logits, parent(IDS).logits)
    source.model.save_pretrained(source.hf)
    with pytest.raises(UserError, match="one feed-forward per layer"):
        inherit(source, shared(), tmp_path)


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


def test_released_configuration_format_is_read(tmp_path):
    """SmolLM2's files have RoPE's base at the top level, as transformers 4 wrote it."""
    from smallwright_inherited_init.family import read_config

    values = {**SOURCE, "model_type": "llama", "rope_theta": 100000, "rope_scaling": None, "torch_dtype": "bfloat16"}
    (tmp_path / "config.json").write_text(json.dumps(values))
    assert Dimensions.of(read_config(tmp_path), "source").rope_theta == 100000.0


def test_yaml_lists_every_setting():
    option = OmegaConf.load(files(conf) / "arch" / "inherited_init.yaml")
    initializer = dict(option.initializer)
    assert initializer.pop("name") == "inherited_init"
    assert set(initializer) == {field.name for field in dataclasses.fields(InheritedInitConfig)}
    build(InheritedInitConfig, initializer, "arch.initializer")
    gqa = pytest.importorskip("smallwright_gqa.config", reason="gqa is not installed")
    keys = {key: value for key, value in option.items() if key not in ("name", "initializer")}
    child = build(gqa.GQAConfig, keys, "arch")
    source = build(gqa.GQAConfig, {"size": option.initializer.source_size}, "arch")
    assert set(keys) == {field.name for field in dataclasses.fields(gqa.GQAConfig)}
    assert (child.num_hidden_layers, source.num_hidden_layers) == (4, 6)
    assert 3 * child.intermediate_size == 2 * source.intermediate_size
