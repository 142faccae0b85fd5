"""A source in a local directory is refused while planning: no engine is loaded and nothing is made."""

import json
import math
import subprocess
import sys

import core.plan
import numpy as np
import pytest
from core import discovery
from core.errors import InputError, UserError
from core.sweep import single
from core.typed import build
from core.weights import ModelFolder
from inherited_support import word_tokenizer
from safetensors.numpy import load_file, save_file
from smallwright_decoder.architecture import DecoderArchitecture
from smallwright_decoder.config import DecoderConfig
from smallwright_decoder.config_json import MODELS, read_light
from smallwright_decoder.rope_scaling import LLAMA3, Scaling
from smallwright_inherited_init.config import InheritedInitConfig
from smallwright_inherited_init.family import Dimensions
from smallwright_inherited_init.source import read_config
from smallwright_inherited_init.stage import InheritedInit

for needed in ("gqa", "finemath", "tokenizer", "pretrain"):
    pytest.importorskip(f"smallwright_{needed}", reason=f"core.plan has no run without {needed}")
MODEL = {
    "model_type": "llama",
    "vocab_size": 96,
    "hidden_size": 128,
    "intermediate_size": 320,
    "num_hidden_layers": 6,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": True,
    "max_position_embeddings": 512,
}
GATE = "model.layers.2.mlp.gate_proj.weight"
COMMAND = ["+arch=inherited_init", "+data=finemath", "arch.initializer.source=model"]
GQA = {"num_hidden_layers": 4, "intermediate_size": 256}


def write_model(folder, **values):
    """Write a model of zeros whose files fit each other, without an engine."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({**MODEL, **values}))
    shapes = Dimensions.of(read_light(ModelFolder(folder, "")), "").shapes()
    save_file({name: np.zeros(shape, "<f2") for name, shape in shapes.items()}, folder / "model.safetensors")
    word_tokenizer(folder)


@pytest.fixture
def model(tmp_path, monkeypatch):
    write_model(tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "model"


def check(child=None, **settings):
    """Ask the initializer what core asks it while planning."""
    settings = {"source": "model", **settings}
    size = {key: value for key, value in MODEL.items() if key != "model_type"}
    child = DecoderArchitecture(build(DecoderConfig, {**size, **GQA, **(child or {})}, "arch"))
    InheritedInit(build(InheritedInitConfig, settings, "arch.initializer")).check_source(child)


def refusal(capsys, folder, *overrides):
    """Return the one line that core.plan ends with."""
    before = sorted(path.name for path in folder.iterdir())
    assert core.plan.main([*COMMAND, *overrides]) == 2
    assert sorted(path.name for path in folder.iterdir()) == before
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1
    assert not printed.out
    return printed.err


def test_a_source_that_fits_is_let_through(model, capsys):
    assert core.plan.main(COMMAND) == 0
    assert capsys.readouterr().out
    check()
    model.rename(model.parent / "hf")
    (model.parent / "model").mkdir()
    (model.parent / "hf").rename(model / "hf")  # an artifact
    check()
    check(source="someone/on-the-hub", revision="1" * 40)  # is not looked for


def test_a_teacher_teaches_the_child_and_not_the_source_that_the_run_trains_first(model):
    text = ["+arch=inherited_init", "+data=finemath", "tokenizer.path=model", "arch.vocab_size=96"]
    taught = ["pretrain.distill.teacher=model", "pretrain.distill.logits=stored"]
    installed, kept = discovery.load([]), "logits-corpus-all-256"
    alone, both, other = (
        {spec.name: spec for spec in single.composed([*text, *more], installed).stages}
        for more in ([], taught, [*taught, "pretrain.steps=9", "pretrain.seed=3"])
    )
    assert both["pretrain-source"].digest == alone["pretrain-source"].digest
    assert both["init"].digest == alone["init"].digest
    assert both["pretrain"].inputs.keys() - alone["pretrain"].inputs.keys() == {kept}
    inputs = {role: spec.name for role, spec in both[kept].inputs.items()}
    assert inputs == {"teacher": "model-teacher", "tokens": "tokens"}
    assert list(both).index("model-teacher") < list(both).index(kept) < list(both).index("pretrain")
    assert both[kept].digest == other[kept].digest, "what is stored is another student's, too"
    assert both["pretrain"].digest != other["pretrain"].digest


@pytest.mark.parametrize(
    ("child", "settings", "words"),
    [
        ({"hidden_size": 256, "head_dim": 32}, {}, "arch.hidden_size=256: larger than the source's 128. Set it to 128"),
        ({"num_hidden_layers": 7}, {}, "arch.num_hidden_layers=7: larger than the source's 6."),
        ({"rope_theta": 5000}, {}, "arch.rope_theta=5000.0: the source was trained with 10000.0. Set arch.rope_theta="),
        ({"num_key_value_heads": 1}, {}, "arch.num_key_value_heads=1: 4 query heads share a key/value head"),
        ({"num_key_value_heads": 4}, {}, "arch.num_key_value_heads=4: larger than the source's 2."),
        ({}, {"layers": [0, 1]}, "arch.initializer.layers=[0, 1]: must name arch.num_hidden_layers=4"),
        ({}, {"layers": [0, 1, 4, 9]}, "arch.initializer.layers=[0, 1, 4, 9]: must name"),
        ({"nope_interval": 3}, {}, "layer 2 of the child has position embedding (arch.nope_interval) false"),
        ({"sliding_window": 8}, {}, "layer 0 of the child has sliding window"),
        ({"ffn_groups": {"all": "all"}}, {}, "arch.ffn_groups: the layers of the child that share"),
        ({"vocab_size": 90}, {"vocabulary": "same"}, "tokenizer.json: not this run's tokenizer"),
    ],
)
def test_a_child_that_is_no_part_is_refused(model, child, settings, words):
    with pytest.raises(UserError) as error:
        check(child, **settings)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["arch.hidden_size=256"], ["arch.hidden_size=256: larger than the source's 128. Set it to 128 or less."]),
        (
            ["arch.rope_theta=5000", "arch.initializer.layers=[0,1,4,9]", "arch.intermediate_size=999"],
            [
                "arch.intermediate_size=999: larger than the source's 320.",
                "Also arch.rope_theta=5000.0: the source was trained with 10000.0. Set arch.rope_theta=10000.0.",
                "Also arch.initializer.layers=[0, 1, 4, 9]: must name arch.num_hidden_layers=6 of the source's layers",
            ],
        ),
    ],
)
def test_a_plan_names_every_setting_that_clashes(model, capsys, overrides, words):
    line = refusal(capsys, model.parent, *overrides)
    assert line.startswith(f"error: {words[0]}")
    assert all(part in line for part in words)


def test_a_plan_names_what_multi_head_attention_and_a_head_of_its_own_need(model, capsys):
    write_model(model, num_key_value_heads=4, tie_word_embeddings=False)
    line = refusal(capsys, model.parent, "arch.num_key_value_heads=2", "arch.tie_word_embeddings=true")
    assert "arch.num_attention_heads=4 over arch.num_key_value_heads=2: 2 query heads share" in line
    assert "Also arch.tie_word_embeddings=true: the source's embedding and head differ." in line


def test_what_nobody_set_is_the_sources(model, capsys):
    write_model(model, rms_norm_eps=9.999999747378752e-06, rope_theta=100000.0, head_dim=64, qk_norm=False)
    assert core.plan.main([*COMMAND, "--json", "arch.num_hidden_layers=3", "arch.intermediate_size=96"]) == 0
    planned = json.loads(capsys.readouterr().out)
    layer = 128 * 64 * (4 + 2 + 2 + 4) + 3 * 128 * 96 + 2 * 128
    rows = (planned["embedding_parameters"]) // 128
    assert planned["stored_parameters"] == 3 * layer + rows * 128 + 128


def test_a_number_that_was_rounded_to_float32_is_the_same(model):
    write_model(model, rms_norm_eps=9.999999747378752e-06)
    check({"rms_norm_eps": 1e-5})
    with pytest.raises(UserError, match=r"arch\.rms_norm_eps=1\.1e-05: the source was trained with"):
        check({"rms_norm_eps": 1.1e-5})


def test_an_experiment_counts_and_the_options_numbers_do_not(model, capsys):
    folder = model.parent / "hydra_conf" / "experiment"
    folder.mkdir(parents=True)
    (folder / "cut.yaml").write_text(
        "# @package _global_\ndefaults: [{/arch: inherited_init}]\narch: {num_hidden_layers: 3}\n"
    )
    assert core.plan.main(["+experiment=cut", *COMMAND[1:], "--json"]) == 0
    planned = json.loads(capsys.readouterr().out)
    layer = 128 * 32 * (4 + 2 + 2 + 4) + 3 * 128 * 320 + 2 * 128
    assert planned["stored_parameters"] == 3 * layer + planned["embedding_parameters"] + 128


def _config(**values):
    return lambda model: (model / "config.json").write_text(json.dumps({**MODEL, **values}))


def _weights(change):
    def act(model):
        weights = load_file(model / "model.safetensors")
        save_file({**change(weights)}, model / "model.safetensors")

    return act


def _cut(model):
    content = (model / "model.safetensors").read_bytes()
    (model / "model.safetensors").write_bytes(content[:-5])


BROKEN = {
    "not JSON": (lambda m: (m / "config.json").write_text('{"mod'), "config.json: cannot be read (Unterminated"),
    "nested": (lambda m: (m / "config.json").write_text("[" * 200_000), "config.json: cannot be read ("),
    "not text": (lambda m: (m / "config.json").write_bytes(b"\xff\xfe"), "config.json: cannot be read ("),
    "a list": (lambda m: (m / "config.json").write_text("[]"), "config.json: model type 'None' is not"),
    "another kind": (_config(model_type="gpt2"), "config.json: model type 'gpt2' is not of the Llama kind"),
    "no width": (_config(hidden_size=None), "config.json: has no hidden_size."),
    "width": (_config(hidden_size="128"), "config.json: hidden_size=128: must be a whole number from 1 to"),
    "layers": (_config(num_hidden_layers=10**9), "num_hidden_layers=1000000000: must be a whole number from 1 to"),
    "theta": (_config(rope_theta=10**400), "config.json: rope_theta=1000"),
    "nan": (_config(rms_norm_eps=float("nan")), "config.json: rms_norm_eps=nan: must be a finite number above 0"),
    "rope": (_config(rope_scaling=[1]), "config.json: rope_scaling=[1]: must be null or an object."),
    "heads": (_config(num_key_value_heads=3), "num_key_value_heads=3: must be a divisor of num_attention_heads=4."),
    "types": (_config(layer_types=["full_attention"]), "must be a list with a value for each of the 6 layers."),
    "bias": (_config(mlp_bias=True), "mlp_bias=true: biases of the output"),
    "no weights": (lambda m: (m / "model.safetensors").unlink(), "no *.safetensors file. Give a directory"),
    "pickle": (lambda m: (m / "model.safetensors").rename(m / "pytorch_model.bin"), "pytorch_model.bin is a pickle"),
    "truncated": (_cut, "model.safetensors: cannot be read (it has "),
    "header": (lambda m: (m / "model.safetensors").write_bytes(b"\xff" * 99), "model.safetensors: cannot be read ("),
    "missing": (_weights(lambda w: {k: v for k, v in w.items() if k != GATE}), f"missing weights: {GATE} [320, 128]"),
    "extra": (_weights(lambda w: {**w, "a.b": w[GATE]}), "weights that the model has no place for: a.b [320, 128]"),
    "shape": (
        _weights(lambda w: {**w, GATE: w[GATE][:9].copy()}),
        f"of another shape: {GATE} [9, 128] for",
    ),
    "integers": (_weights(lambda w: {**w, GATE: w[GATE].astype("i1")}), f"not F64, F32, BF16, F16: {GATE}"),
    "index": (lambda m: (m / "model.safetensors.index.json").write_text('{"weight_map": {"a": 5}}'), "no weight_map"),
    "shard": (
        lambda m: (m / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../b.safetensors"}}'),
        "model.safetensors.index.json: names b.safetensors, which is not there",
    ),
    "no tokenizer": (lambda m: (m / "tokenizer.json").unlink(), "tokenizer.json: not found, so it is not known"),
    "bad tokenizer": (lambda m: (m / "tokenizer.json").write_text("{}"), "tokenizer.json: is not a tokenizer"),
    "few rows": (lambda m: word_tokenizer(m, [f"t{i}" for i in range(200)]), "tokenizer.json: has id 199, and the"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_plan_refuses_a_broken_source(model, what):
    damage, words = BROKEN[what]
    damage(model)
    with pytest.raises(UserError) as error:
        check()
    assert str(error.value).startswith("arch.initializer.source=model: ")
    assert words in str(error.value)
    assert "\n" not in str(error.value)
    assert isinstance(error.value, InputError) or what == "bias"


@pytest.mark.parametrize("what", ["not JSON", "truncated", "no tokenizer"])
def test_a_plan_says_in_one_line_what_is_broken(model, capsys, what):
    damage, words = BROKEN[what]
    damage(model)
    line = refusal(capsys, model.parent)
    assert line.startswith("error: arch.initializer.source=model: ")
    assert words in line


def test_checking_a_source_loads_no_engine(model):
    code = "import core.plan, sys; core.plan.main(sys.argv[1:]); assert not {'torch', 'transformers'} & {*sys.modules}"
    word_tokenizer(model, [f"t{i}" for i in range(200)])
    ended = subprocess.run([sys.executable, "-c", code, *COMMAND], capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    assert "tokenizer.json: has id 199" in ended.stderr  # the last of all checks


WIDE = {**MODEL, "num_attention_heads": 64, "num_key_value_heads": None}
VARIANTS = [
    {},
    {"num_key_value_heads": 4, "head_dim": 16, "tie_word_embeddings": False, "rms_norm_eps": 1e-6},
    {"rope_theta": 5e5, "rope_scaling": {"type": "linear", "factor": 2.0}, "hidden_act": "gelu"},
    {"rope_parameters": {"rope_type": "yarn", "factor": 4.0, "rope_theta": 1e6}, "max_position_embeddings": 4096},
    {"rope_theta": 1e6, "rope_parameters": {"rope_type": "dynamic", "factor": 2.0}},
    {"use_sliding_window": True, "sliding_window": 64, "max_window_layers": 0},
    {"use_sliding_window": True, "sliding_window": 64, "max_window_layers": 3},
    {"sliding_window": 64, "layer_types": ["full_attention", "sliding_attention"] * 3},
]


@pytest.mark.parametrize("kind", MODELS)
def test_configurations_are_read_as_transformers_reads_them(tmp_path, kind):
    needed = {key: WIDE[key] for key in ("vocab_size", "hidden_size", "intermediate_size", "num_attention_heads")}
    for values in [*VARIANTS, {"no_rope_layers": [1, 1, 0] * 2}, {"no_rope_layer_interval": 2}, {"sliding_window": 9}]:
        if kind == "mistral" and "layer_types" in values:
            continue  # another model type
        written = {"model_type": kind, "num_hidden_layers": 6, **needed, **values}
        (tmp_path / "config.json").write_text(json.dumps(written))
        source = ModelFolder(tmp_path, "source")
        assert Dimensions.of(read_light(source), "") == Dimensions.of(read_config(source), ""), values
    read_config(source).save_pretrained(tmp_path)
    assert Dimensions.of(read_light(source), "") == Dimensions.of(read_config(source), "")


@pytest.mark.parametrize(
    "spelt_out",
    [
        {"beta_fast": 32.0, "beta_slow": 1.0},
        {"beta_fast": 32, "beta_slow": 1, "truncate": True, "attention_factor": 0.1 * math.log(4) + 1},
        {"mscale": 1.0, "mscale_all_dim": 0},
        {"partial_rotary_factor": 1.0, "attention_factor": None},
    ],
)
def test_a_yarn_whose_defaults_are_spelt_out_is_the_same(spelt_out):
    plain = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}
    assert Scaling.of({**plain, **spelt_out}) == Scaling.of(plain)


@pytest.mark.parametrize(
    ("parameters", "advice"),
    [
        (
            {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64},
            "arch.rope_scaling=yarn arch.rope_factor=4 arch.rope_original_max_position=64",
        ),
        ({"rope_type": "dynamic", "factor": 2.0}, "arch.rope_scaling=dynamic arch.rope_factor=2"),
        (
            {"rope_type": "llama3", "factor": 8.0, "original_max_position_embeddings": 32, **LLAMA3},
            "arch.rope_scaling=llama3 arch.rope_factor=8 arch.rope_original_max_position=32",
        ),
        ({"rope_type": "default"}, "arch.rope_scaling=none arch.rope_factor=1 arch.rope_original_max_position=null"),
        ({"rope_type": "yarn", "factor": 4.0, "beta_fast": 16.0}, None),
        ({"rope_type": "yarn", "factor": 4.0, "truncate": False}, None),
        ({"rope_type": "yarn", "factor": 4.0, "mscale": 1.0, "mscale_all_dim": 1.0}, None),
        ({"rope_type": "linear", "factor": 4.0}, None),
        ({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 2.0, "high_freq_factor": 4.0}, None),
    ],
)
def test_the_advice_for_a_scaling_can_be_followed_or_is_not_given(parameters, advice):
    scaling = Scaling.of(parameters)
    assert scaling.advice() == advice
    if advice and scaling.kind != "none":
        size = {key: value for key, value in MODEL.items() if key != "model_type"}
        settings = dict(part.removeprefix("arch.").split("=") for part in advice.split())
        numbers = {key: float(value) for key, value in settings.items() if key != "rope_scaling"}
        child = build(DecoderConfig, {**size, "rope_scaling": settings["rope_scaling"], **numbers}, "arch")
        assert Dimensions.planned(DecoderArchitecture(child)).rope_scaling == scaling


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"qk_norm": True},
        {"qkv_bias": True},
        {"qk_norm": True, "qkv_bias": True, "sliding_window": 8, "global_interval": 3, "nope_interval": 4},
        {"ffn_groups": {"middle": "1-2"}, "series_activation": 2, "augmented_shortcuts": 1, "activation": "relu2"},
        {"rope_scaling": "yarn", "rope_factor": 4.0},
        {"rope_scaling": "llama3", "rope_factor": 8.0, "rope_original_max_position": 32},
        {"rope_scaling": "dynamic", "rope_factor": 2.0},
    ],
)
def test_an_architecture_is_read_as_its_export(tmp_path, values):
    size = {key: value for key, value in MODEL.items() if key != "model_type"}
    child = DecoderArchitecture(build(DecoderConfig, {**size, **values}, "arch"))
    planned, exported = Dimensions.planned(child), Dimensions.of(child.hf_config(), "arch")
    assert planned == exported
    child.hf_config().save_pretrained(tmp_path)
    assert Dimensions.of(read_light(ModelFolder(tmp_path, "")), "") == exported
