"""Gates of ``make check`` beside ruff and mypy: file length, direction of imports, circles, dependencies.

    python tools/gates.py

Packages are found in ``packages/``; a new one is checked without being listed anywhere.
"""

import json
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LONGEST = 400
"""Lines of a file."""
ENGINES = ("torch", "torchtitan", "transformers", "vllm", "trl", "lm_eval", "datasets", "fastwarc", "resiliparse")
"""What core must not import. DataTrove and PyArrow it may, in ``core.data``, with the extra ``data``."""
LIBRARIES = ("core", "smallwright_decoder", "smallwright_pretrain")
"""What another package may import. Pretraining is among them for the conformance kit, which stands on the trainer."""
KIT = "smallwright_testing"


def packages() -> dict[str, Path]:
    """Return the folder of each package by its import name."""
    folders = [file.parent for file in sorted(ROOT.glob("packages/**/pyproject.toml")) if ".venv" not in file.parts]
    return {next(folder.glob("src/*/__init__.py")).parent.name: folder for folder in folders}


def long_files() -> list[str]:
    """Return a line for each Python file that is too long."""
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    lengths = {name: len((ROOT / name).read_text().splitlines()) for name in listed.split() if (ROOT / name).exists()}
    return [
        f"{name}: {count} lines, at most {LONGEST}: split it."
        for name, count in sorted(lengths.items())
        if count > LONGEST
    ]


def wrong_imports(found: dict[str, Path]) -> list[str]:
    """Return what import-linter says against the arrows between packages and the circles inside them."""
    plugins = [name for name in found if name not in LIBRARIES]
    contracts: dict[str, dict[str, Any]] = {
        "core imports no plugin and no engine": {
            "type": "forbidden",
            "source_modules": ["core"],
            "forbidden_modules": [*(name for name in found if name != "core"), *ENGINES],
            "allow_indirect_imports": True,
            # The former place of the kit, until the next plugin API version.
            "ignore_imports": ["core.testing -> smallwright_testing", "core.testing.** -> smallwright_testing"],
            "unmatched_ignore_imports_alerting": "none",
        },
        "no plugin imports another, and none imports the kit": {
            "type": "independence",
            "modules": plugins,
        },
        "no library imports a plugin": {
            "type": "forbidden",
            "source_modules": [name for name in LIBRARIES if name in found and name != "core"],
            "forbidden_modules": plugins,
            "allow_indirect_imports": True,
        },
        "no circles inside a package": {"type": "acyclic_siblings", "ancestors": list(found)},
    }
    lines = ["[importlinter]", "root_packages =", *(f"    {name}" for name in found)]
    lines += ["include_external_packages = True", "exclude_type_checking_imports = True"]
    for number, (name, contract) in enumerate(contracts.items()):
        lines += [f"[importlinter:contract:{number}]", f"name = {name}"]
        for key, value in contract.items():
            lines.append(f"{key} = {value}" if not isinstance(value, list) else f"{key} =")
            lines += [f"    {part}" for part in value] if isinstance(value, list) else []
    with tempfile.NamedTemporaryFile("w", suffix=".ini") as file:
        file.write("\n".join(lines) + "\n")
        file.flush()
        code = (
            "import sys; from importlinter.cli import lint_imports as lint; sys.exit(lint(sys.argv[1], no_cache=True))"
        )
        ended = subprocess.run([sys.executable, "-c", code, file.name], cwd=ROOT, capture_output=True, text=True)
    return [] if ended.returncode == 0 else [ended.stdout + ended.stderr]


def wrong_dependencies(found: dict[str, Path]) -> list[str]:
    """Return a line for each dependency that a package states and does not use, or uses and has from nowhere.

    A recipe states the packages of its steps, which only its YAML names. What else is used without an import stands
    under ``[tool.deptry.per_rule_ignores]`` of the package, with the reason beside it.
    """
    said = []
    names = {
        tomllib.loads((folder / "pyproject.toml").read_text())["project"]["name"]: module
        for module, folder in found.items()
    }
    mapping = ",".join(f"{name}={module}" for name, module in names.items())
    for folder in found.values():
        with tempfile.NamedTemporaryFile(suffix=".json") as file:
            command = [
                sys.executable,
                "-m",
                "deptry",
                "src",
                "--no-ansi",
                "-pmnm",
                mapping,
                "-oddg",
                "test",
                "-i",
                "DEP003,DEP004",
            ]
            command += ["-o", file.name]
            subprocess.run(command, cwd=folder, capture_output=True, check=False)
            problems = json.loads(Path(file.name).read_text())
        for problem in problems:
            unused = problem["error"]["code"] == "DEP002"
            if unused and problem["module"] in names:
                continue
            place = problem["location"]["file"] + (f":{problem['location']['line']}" if not unused else "")
            said.append(f"{folder.relative_to(ROOT)}/{place}: {problem['error']['message']}")
    return said


def wrong_pythons(found: dict[str, Path]) -> list[str]:
    """Return a line for each package that names other versions of Python than core does."""
    named = {
        module: tomllib.loads((folder / "pyproject.toml").read_text())["project"]["requires-python"]
        for module, folder in found.items()
    }
    return [
        f"{found[module].relative_to(ROOT)}/pyproject.toml: requires-python {one}, core has {named['core']}."
        for module, one in named.items()
        if one != named["core"]
    ]


def main() -> int:
    """Print what is wrong and return 1, or 0."""
    found = packages()
    problems = [*long_files(), *wrong_imports(found), *wrong_dependencies(found), *wrong_pythons(found)]
    print("\n".join(problems) or f"gates: {len(found)} packages in order")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
