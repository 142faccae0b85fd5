"""Each plugin can be installed beside core and its libraries alone, from wheels, and says which package is missing.

The environment has core's wheel, links to everything third-party, and none of the workspace's editable installs; each
other wheel is installed in a folder of its own, which is added where a command needs it.
"""

import ast
import functools
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).parents[2]
PACKAGES = {
    tomllib.loads(path.read_text())["project"]["name"]: path.parent
    for pattern in ("packages/*/pyproject.toml", "packages/*/*/pyproject.toml")
    for path in sorted(REPOSITORY.glob(pattern))
}
PLUGINS = [
    name
    for name, folder in PACKAGES.items()
    if name != "smallwright-core" and "[project.entry-points.smallwright]" in (folder / "pyproject.toml").read_text()
]
"""The others are libraries, which a plugin's dependencies bring."""
CHOICES = {
    "smallwright-arch-gqa": "+arch=gqa",
    "smallwright-arch-shared-ffn": "+arch=shared_ffn",
    "smallwright-arch-inherited-init": "+arch=inherited_init",
    "smallwright-data-dclm-edu": "+data=dclm_edu",
    "smallwright-data-executors": "+executor=ray",
    "smallwright-data-files": "+data=jsonl",
    "smallwright-data-finemath": "+data=finemath",
    "smallwright-data-fineweb": "+data=fineweb_edu",
    "smallwright-data-stack-edu": "+data=stack_edu",
    "smallwright-data-tokenizer": "tokenizer=bpe",
    "smallwright-eval": "eval=embedded",
    "smallwright-launchers": "+launcher=local",
    "smallwright-posttrain": "+posttrain=[sft,dpo]",
    "smallwright-pretrain": "pretrain=torchtitan",
    "smallwright-trackers": "+tracker=tensorboard",
}
"""An option of each package that brings one of its own; the others bring steps, or options below ``data``."""


ANSWER = """
import importlib, json, os, sys
from core import plugins, run

for line in sys.stdin:
    folder, paths, name, arguments = json.loads(line)
    child = os.fork()
    if child == 0:
        os.chdir(folder)
        for number, file in ((1, "said"), (2, "errors")):
            os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        sys.path[:0] = paths
        os.environ["PYTHONPATH"] = os.pathsep.join(paths)
        importlib.invalidate_caches()
        sys.exit(importlib.import_module(f"core.{name}").main(arguments))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
"""Answers a command after the other, each where only these folders of packages were added."""


def project(name):
    return tomllib.loads((PACKAGES[name] / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def wheels(build_wheel):
    return {name: build_wheel(folder) for name, folder in PACKAGES.items()}


@pytest.fixture(scope="module")
def site(wheels, empty_python, unpack, tmp_path_factory):
    """A Python with core and third-party packages, and a folder for each plugin's wheel."""
    root = tmp_path_factory.mktemp("isolated")
    core = empty_python(root / "venv")
    for name, wheel in wheels.items():
        unpack(wheel, core if name == "smallwright-core" else root / name)
    return root


@pytest.fixture(scope="module")
def isolated(site):
    """A process of that Python which has imported core's commands, and answers by forks of itself."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("SMALLWRIGHT_", "PYTHON"))}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([site / "venv" / "bin" / "python", "-c", ANSWER], env=environment, **pipes) as process:
        yield process
        process.stdin.close()


@pytest.fixture
def command(isolated, site, tmp_path):
    def call(name, *arguments, plugin=None):
        paths = []
        if plugin is not None:
            needed = {re.match(r"[\w-]+", line)[0] for line in project(plugin).get("dependencies", [])}
            libraries = sorted(needed & (PACKAGES.keys() - {"smallwright-core"}))
            paths = [str(site / name) for name in (plugin, *libraries)]
        isolated.stdin.write(json.dumps([str(tmp_path), paths, name, arguments]) + "\n")
        isolated.stdin.flush()
        code = int(isolated.stdout.readline())
        said, errors = ((tmp_path / name).read_text() for name in ("said", "errors"))
        return subprocess.CompletedProcess(arguments, code, said, errors)

    return call


@pytest.mark.slow
def test_wheels_hold_their_configs_and_data(wheels):
    for name, wheel in wheels.items():
        inside = set(zipfile.ZipFile(wheel).namelist())
        source = PACKAGES[name] / "src"
        files = {
            str(path.relative_to(source))
            for path in source.rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
        assert files <= inside, name
        for path in files:
            if path.endswith(".yaml") and "/conf/" in path:
                assert f"{path.split('/conf/')[0]}/conf/__init__.py" in inside, path


@pytest.mark.slow
@pytest.mark.parametrize("name", PLUGINS)
def test_a_plugin_works_beside_core_alone(name, command):
    (entry,) = project(name)["entry-points"]["smallwright"]
    listed = command("plugins", "--json", plugin=name)
    assert listed.returncode == 0, listed.stderr
    rows = json.loads(listed.stdout)
    assert {(row["name"], row["status"]) for row in rows} == {("core", "ok"), (entry, "ok")}
    assert any(row["offers"] or row["configs"] or row["observes"] for row in rows if row["name"] == entry)
    if name in CHOICES:
        composed = command("run", CHOICES[name], "--config", plugin=name)
        assert composed.returncode == 0, composed.stderr
        assert CHOICES[name].lstrip("+").split("=")[0] in yaml.safe_load(composed.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("name", CHOICES)
def test_core_alone_names_the_package_to_install(name, command):
    ended = command("run", CHOICES[name])
    assert ended.returncode == 2
    assert ended.stderr.endswith(f"pip install {name}\n")
    assert ended.stderr.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("plugin", "arguments", "missing", "package"),
    [
        (
            "smallwright-data-finemath",
            ["+data=finemath"],
            "steps 'read_warc', 'url_filter'",
            "smallwright-data-classifiers smallwright-data-dedup smallwright-data-extract smallwright-data-labels "
            "smallwright-data-quality smallwright-data-warc",
        ),
        (
            "smallwright-data-finemath",
            ["+data=finemath", "data.scorer=llm"],
            "data/scorer 'llm'",
            "smallwright-data-labels",
        ),
        ("smallwright-data-finemath", ["+data=finemath", "+arch=gqa"], "arch 'gqa'", "smallwright-arch-gqa"),
        ("smallwright-arch-gqa", ["+arch=gqa", "+data=finemath"], "data 'finemath'", "smallwright-data-finemath"),
    ],
)
def test_a_part_that_is_missing_is_named_with_its_package(plugin, arguments, missing, package, command):
    ended = command("run", *arguments, plugin=plugin)
    assert ended.returncode == 2
    assert f"no installed plugin offers {missing}" in ended.stderr
    assert ended.stderr.endswith(f"pip install {package}\n")


@pytest.mark.parametrize("name", PACKAGES)
def test_what_torchtitan_imports_and_torch_for_a_cpu_lacks_is_named_beside_it(name):
    lines = project(name).get("dependencies", [])
    assert not any(line.startswith("torchtitan") for line in lines) or any(line.startswith("triton") for line in lines)


installed = functools.cache(importlib.metadata.packages_distributions)


@pytest.mark.slow
@pytest.mark.parametrize("name", PACKAGES)
def test_a_package_declares_what_it_imports(name):
    """Also the imports inside functions, which no start would miss."""
    metadata = project(name)
    extras = [line for lines in metadata.get("optional-dependencies", {}).values() for line in lines]
    declared = {
        re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", line)[0]).lower()
        for line in [*metadata.get("dependencies", []), *extras]
    }
    if any("smallwright-core[data]" in line for line in metadata.get("dependencies", [])):
        data = project("smallwright-core")["optional-dependencies"]["data"]
        declared |= {re.match(r"[\w.-]+", line)[0].lower() for line in data}
    workspace = {path.name: [package] for package, folder in PACKAGES.items() for path in (folder / "src").iterdir()}
    distributions = {**installed(), **workspace}
    own = {path.name for path in (PACKAGES[name] / "src").iterdir()}
    undeclared = {}
    for path in (PACKAGES[name] / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                modules = [node.module]
            for module in {module.split(".")[0] for module in modules} - own - set(sys.stdlib_module_names):
                brought = {re.sub(r"[-_.]+", "-", found).lower() for found in distributions.get(module, [module])}
                if not brought & declared:
                    undeclared.setdefault(module, path.name)
    assert undeclared == {}
