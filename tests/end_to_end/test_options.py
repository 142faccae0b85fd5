"""The options that packages ship: a default is written once, in the settings' dataclass."""

import dataclasses
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest
import yaml
from core import catalog, compose, discovery, typed
from core.kinds import GROUPS

HERE = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def registry():
    return discovery.load()


def options(registry):
    """Every option that chooses something registered: its place, its settings, their dataclass."""
    for package in registry.config_packages:
        for group, kind in GROUPS.items():
            for path in sorted(Path(str(files(package))).glob(f"{group}/*.yaml")):
                node = yaml.safe_load(path.read_text())
                node = next(iter(node.values())) if group == "posttrain" else node
                if "steps" in node or "name" not in node:  # a recipe, or one that changes another option
                    continue
                name = node.pop("corpus", None) or node["name"]
                yield f"{group}/{path.name}", node, registry.get(kind.name, name).load_config()


def test_an_option_names_only_what_it_changes(registry):
    found = list(options(registry))
    assert len(found) > 10
    for place, node, config_class in found:
        fields = {field.name: field for field in dataclasses.fields(config_class)}
        for key, value in node.items():
            if key in fields:
                default = typed.identity(fields[key].default)
                assert value != default, f"{place}: {key} has the value of its default"
                assert value is not None, f"{place}: {key} says nothing"


@pytest.mark.slow
def test_what_is_printed_can_be_kept_and_gives_the_same_run(registry, tmp_path, monkeypatch):
    from core import show_config

    monkeypatch.chdir(tmp_path)
    asked = ["+arch=inherited_init", "+data=[finemath,fineweb]", "+posttrain=[sft,dpo]", "arch.qk_norm=true"]
    printed = show_config.render(compose.compose(asked, registry), registry)
    assert "# RMSNorm over each head of queries and keys" in printed
    (tmp_path / "hydra_conf" / "experiment").mkdir(parents=True)
    (tmp_path / "hydra_conf" / "experiment" / "kept.yaml").write_text(printed)
    again = show_config.render(compose.compose(["+experiment=kept"], registry), registry)
    assert again == printed
    assert yaml.safe_load(printed)["arch"]["initializer"]["layers"] == "first_last"


@pytest.mark.slow
def test_a_part_that_is_not_installed_is_shown_as_it_was_given(registry, monkeypatch):
    from core import show_config

    composed = compose.compose(["+arch=inherited_init", "+data=finemath", "data.steps.minhash.bands=9"], registry)
    monkeypatch.setenv("SMALLWRIGHT_DISABLE_PLUGINS", "gqa,dedup")
    printed = show_config.render(composed, discovery.load())
    assert "  name: gqa  # not installed: as given, without defaults" in printed
    shown = yaml.safe_load(printed)["data"]["steps"]["minhash"]
    assert (shown["use"], shown["bands"]) == ("minhash", 9)


def test_the_catalog_says_what_the_packages_bring():
    done = subprocess.run([sys.executable, HERE / "tools/write_catalog.py", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert catalog.install_hint("arch", "pangu_pi") == " Install it: pip install smallwright-arch-pangu-pi"
    assert catalog.install_hint("eval", "smollm2_base") == " Install it: pip install smallwright-eval"
    assert catalog.package_of("data/scorer", "rules") is not None
