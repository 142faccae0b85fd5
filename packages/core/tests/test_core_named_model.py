"""What a user can name as the model of a command, and how its line is read."""

import dataclasses
import json
import shutil

import pytest
from core import chat, discovery, entries, model_cli, named_model, report, store
from core.errors import ConfigError, InputError
from core.typed import build, setting

numpy_files = pytest.importorskip("safetensors.numpy", reason="safetensors is not installed")
SHAPE = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 10}
PLUGIN = """
import dataclasses
from core.hooks import hookimpl
from core.interfaces import ModelCommand
from core.typed import setting

PLUGIN_API_VERSION = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    times: int = setting(1, ge=1)
    told: str = ""


class Say(ModelCommand):
    def environment(self):
        return {"SAID_BY": "say"}

    def run(self, model):
        import os
        for _ in range(self.config.times):
            print(model.label, len(model.plugin_files), os.environ["SAID_BY"], self.config.told)
        return 3


@hookimpl
def register_model_commands(register):
    register("say", "{stem}:Say", config="{stem}:Settings")
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Some settings of a command."""

    engine: tuple[str, ...] = ("one",)
    batch: tuple[int, ...] = setting((1,), ge=1)
    temperature: float | None = None
    text: str = ""
    seed: int = 0


@pytest.fixture(scope="module")
def registry():
    return discovery.load()


@pytest.fixture
def model(tmp_path, monkeypatch):
    """A folder of a family that Transformers, which these tests do without, has; it is where the commands start."""
    import numpy

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(entries, "known_to_transformers", lambda model_type: model_type == "llama")
    folder = tmp_path / "given"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", **SHAPE}))
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"vocab": {str(n): n for n in range(10)}}}))
    numpy_files.save_file({"embed": numpy.zeros((10, 8), "f4")}, folder / "model.safetensors")
    return folder


def artifact(model, kind, name):
    """Make an artifact of a store out of the model's folder."""
    place = model.parent / "store" / kind / name
    place.mkdir(parents=True)
    shutil.copytree(model, place / "hf")
    record = {"stage": kind, "folder": kind, "identity": {"implementation": kind}, "inputs": {}, "external_files": []}
    store.finish(place, record)
    return place


def run_of(model, *artifacts, made_in="store"):
    folder = model.parent / "runs" / "mine"
    folder.mkdir(parents=True)
    stages = [{"name": place.parent.name, "artifact": str(place)} for place in artifacts]
    found = {"version": report.VERSION, "stages": stages, "made": {"store": made_in}}
    (folder / report.NAME).write_text(json.dumps(found))
    return folder


def test_a_folder_and_an_artifact_are_what_they_are(model, registry):
    found = named_model.resolve("given", registry)
    assert (found.directory.resolve(), found.artifact, found.architecture, found.label) == (model, None, None, "given")
    assert found.planned.parameters() == 80
    place = artifact(model, "posttrain", "sft-0123456789ab")
    for named in (place, place / "hf"):
        found = named_model.resolve(str(named), registry)
        assert (found.directory, found.artifact, found.label) == (place / "hf", place, "sft")


def test_a_run_is_its_last_model_or_that_of_a_stage(model, registry):
    base = artifact(model, "pretrain", "base-0123456789ab")
    aligned = artifact(model, "posttrain", "sft-0123456789ab")
    evaluated = model.parent / "store/eval/e-0123456789ab"
    folder = run_of(model, base, aligned, evaluated)
    assert named_model.resolve(str(folder), registry).artifact == aligned
    assert named_model.resolve(f"{folder}:pretrain", registry).artifact == base
    with pytest.raises(InputError, match=r"the run has the models pretrain, posttrain, and none of 'dpo'"):
        named_model.resolve(f"{folder}:dpo", registry)
    moved = model.parent / "elsewhere"
    (model.parent / "store").rename(moved)
    with pytest.raises(InputError, match=r"its model .* is not in the store any more"):
        named_model.resolve(str(folder), registry)
    text = (folder / report.NAME).read_text()
    (folder / report.NAME).write_text(text.replace('"store": "store"', f'"store": "{moved}"'))
    assert named_model.resolve(str(folder), registry).artifact == moved / "posttrain" / aligned.name


@pytest.mark.parametrize(
    ("make", "named", "message"),
    [
        (lambda m: None, "nothing", r"no such folder, and no hub id"),
        (lambda m: (m / "model.safetensors").unlink(), "given", r"no \*\.safetensors file"),
        (lambda m: (m.parent / "r/logs").mkdir(parents=True), "r", r"model=r: the run has no report\.json"),
        (lambda m: run_of(m), "runs/mine", "the run made no model"),
        (lambda m: run_of(m).joinpath(report.NAME).write_text("{"), "runs/mine", r"report\.json is damaged"),
    ],
)
def test_what_is_no_model_is_one_line(model, registry, make, named, message):
    make(model)
    with pytest.raises(InputError, match=message) as refused:
        named_model.resolve(named, registry)
    assert "\n" not in str(refused.value)


def test_words_are_read_as_those_of_a_run():
    words = ["engine=one,two", "batch=4", "temperature=1e-1", 'text="a, b"', "seed=null"]
    values = model_cli.parsed(words, Settings)
    assert values == {"engine": ["one", "two"], "batch": [4], "temperature": 0.1, "text": "a, b", "seed": None}
    assert model_cli.parsed(["batch=[1,8]", "text=~/x y"], Settings) == {"batch": [1, 8], "text": "~/x y"}
    config = build(Settings, {"temperature": 0.5, "batch": [2]}, "")
    assert model_cli.changed(config, ["seed=3"]) == dataclasses.replace(config, seed=3)
    with pytest.raises(ConfigError, match=r"seed='x': expected int"):
        model_cli.changed(config, ["seed=x"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["temperature"], r"temperature: no setting\. Write key=value"),
        (["+seed=1"], r"\+seed=1: no setting"),
        (["seed=1", "seed=2"], "seed: set twice"),
        (["batch=[1"], r"the \[ is not closed"),
    ],
)
def test_a_word_that_cannot_be_read_is_one_line(words, message):
    with pytest.raises(ConfigError, match=message) as refused:
        model_cli.parsed(words, Settings)
    assert "\n" not in str(refused.value)


def test_a_command_of_another_name_is_asked_for_by_it(model, capsys, monkeypatch):
    monkeypatch.delenv("SAID_BY", raising=False)
    (model.parent / "say_plugin.py").write_text(PLUGIN.replace("{stem}", "say_plugin"))
    given = ["given", "--by", "say", "--plugin", "say_plugin.py"]
    assert chat.main([*given, "times=2"]) == 3
    assert capsys.readouterr().out == "given 1 say \ngiven 1 say \n"
    assert chat.main([*given, "times=0"]) == 2
    assert capsys.readouterr().err == "error: times=0: must be at least 1.\n"
    assert chat.main([*given, "tmes=2"]) == 2
    assert "tmes: unknown key. Did you mean 'times'?" in capsys.readouterr().err
    assert chat.main(["given", "--by", "sya"]) == 2
    assert "no installed plugin offers model_commands 'sya'" in capsys.readouterr().err
    monkeypatch.delenv("SAID_BY", raising=False)


def test_an_option_is_a_setting(model, capsys, monkeypatch):
    (model.parent / "told_plugin.py").write_text(PLUGIN.replace("{stem}", "told_plugin"))
    words = ["given", "--by", "say", "--plugin", "told_plugin.py", "--told", "a, b=c"]
    assert model_cli.main("chat", "x", words, {"told": "a text"}) == 3
    assert capsys.readouterr().out == "given 1 say a, b=c\n"
    assert model_cli.main("chat", "x", [*words, "told=d"], {"told": "a text"}) == 2
    assert "told: given as an option and as a setting" in capsys.readouterr().err
    monkeypatch.delenv("SAID_BY", raising=False)


def test_a_model_and_the_options_that_have_no_default_are_asked_for_by_their_names(model, capsys):
    text = PLUGIN.replace("{stem}", "asks_plugin").replace('told: str = ""', "told: str")
    (model.parent / "asks_plugin.py").write_text(text)
    words = ["given", "--by", "say", "--plugin", "asks_plugin.py"]
    assert model_cli.main("chat", "x", words, {"told": "a text"}) == 2
    assert capsys.readouterr().err == "error: --told TOLD: not given: a text.\n"
    with pytest.raises(SystemExit):
        chat.main([])
    assert capsys.readouterr().err.endswith("the following arguments are required: model\n")
