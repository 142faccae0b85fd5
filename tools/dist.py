"""Build the wheels of all packages into ``dist/`` and check that they can be installed and found.

    python tools/dist.py

twine reads what an index would show of them. Then they are installed into an empty environment, with tested versions of
what core needs and nothing else: every plugin must load there, since plugins import their engines only when chosen, and
the recipes must be found in a folder that is not the repository.
"""

import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"
PIP = ("-m", "pip", "install", "-q", "--disable-pip-version-check")


def build() -> list[Path]:
    """Return the wheels, made anew, of the packages as they lie here."""
    shutil.rmtree(DIST, ignore_errors=True)
    folders = [str(file.parent) for file in sorted(ROOT.glob("packages/**/pyproject.toml"))]
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*pip, "--no-build-isolation", "-w", str(DIST), *folders], check=True)
    return sorted(DIST.glob("*.whl"))


def install(wheels: list[Path], folder: Path) -> Path:
    """Return the Python of a new environment in ``folder`` that has the wheels and what core needs."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = folder / "bin/python"
    core = next(wheel for wheel in wheels if wheel.name.startswith("smallwright_core-"))
    locked = ("-c", str(ROOT / "constraints/cpu.txt"))
    data = tomllib.loads((ROOT / "packages/core/pyproject.toml").read_text())["project"]["optional-dependencies"][
        "data"
    ]
    subprocess.run([str(python), *PIP, *locked, str(core), *data], check=True)
    subprocess.run([str(python), *PIP, "--no-deps", *map(str, wheels)], check=True)
    return python


def faults(python: Path, folder: Path) -> list[str]:
    """Return a line for each thing that the installed wheels do not do in an empty folder."""

    def ask(*arguments: str) -> tuple[int, str]:
        ended = subprocess.run([str(python), "-m", *arguments], cwd=folder, capture_output=True, text=True)
        return ended.returncode, ended.stdout + ended.stderr

    code, said = ask("core.plugins")
    found = [line for line in said.splitlines() if re.search(r"\bfailed\b", line)]
    found += [f"core.plugins: exit code {code}: {said}"] if code else []
    for option in sorted(ROOT.glob("hydra_conf/*/*.yaml")):
        group, name = option.parent.name, option.stem
        if f"(option of {group}:" not in ask("core.plugins", "show", name)[1]:
            found.append(f"+{group}={name} is not found outside of the repository.")
    return found


def main() -> int:
    """Build and check; print what is wrong and return 1, or 0."""
    wheels = build()
    checked = subprocess.run([sys.executable, "-m", "twine", "check", "--strict", *map(str, wheels)]).returncode
    with tempfile.TemporaryDirectory() as folder:
        empty = Path(folder, "empty")
        empty.mkdir()
        found = faults(install(wheels, Path(folder, "venv")), empty)
    print("\n".join(found) or f"dist: {len(wheels)} wheels in order")
    return 1 if found or checked else 0


if __name__ == "__main__":
    sys.exit(main())
