"""Fixtures of the executors' tests: a recipe of toy steps over four files, run with any executor."""

import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from core import discovery, store
from core.data.executor import LocalExecutor
from core.data.recipe import LocalExecutorConfig, RecipeConfig
from core.data.runner import Recipe
from core.interfaces import Job

PLUGIN = ("executors_toy.py",)


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A working directory with the toy plugin and its input, and what tests do with them."""
    shutil.copy(Path(__file__).parent / "executors_toy.py", tmp_path)
    (tmp_path / "in").mkdir()
    (tmp_path / "traces").mkdir()
    for number in range(4):
        lines = [f"file {number} line {i} number {i % 7}" for i in range(20)] + [""]
        (tmp_path / "in" / f"{number}.txt").write_text("\n".join(lines))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "executors_toy", raising=False)
    monkeypatch.setenv("SMALLWRIGHT_PLUGINS", "executors")
    for variable in [name for name in os.environ if name.startswith("SLURM_")]:
        monkeypatch.delenv(variable)
    discovery.load(PLUGIN)
    notes = []

    def run(executor, name, **meddle):
        """Run the recipe into ``<name>/`` and return its summary."""
        output = tmp_path / name
        output.mkdir(exist_ok=True)
        traces = {"traces": str(tmp_path / "traces")} if meddle else {}
        steps = {"read_lines": {}, "meddle": {**traces, **meddle}, "drop": {}, "keep_first": {}}
        config = RecipeConfig(steps=steps, paths=(str(tmp_path / "in" / "*.txt"),))
        job = Job(
            name="data",
            output=output,
            inputs={},
            seed=0,
            plugin_files=PLUGIN,
            executor=executor,
            progress=lambda done, total, unit, note: notes.append(note),
        )
        return Recipe(config).run(job)

    def local(name="local", workers=1):
        return run(LocalExecutor(LocalExecutorConfig(workers=workers), PLUGIN), name)

    def content(name):
        """Digest of each file of the corpus."""
        paths = [path for part in ("documents", "rejected") for path in sorted((tmp_path / name / part).iterdir())]
        assert len(paths) == 4 * 5
        return {str(path.relative_to(tmp_path / name)): store.file_digest(path) for path in paths}

    def traces():
        """How often each file was worked on, and by what."""
        found = sorted((tmp_path / "traces").glob("*.txt.*"))
        counts = {f"{number}.txt": 0 for number in range(4)}
        for path in found:
            counts[f"{path.stem}"] += 1
        return counts, {path.read_text() for path in found}

    return SimpleNamespace(
        path=tmp_path, plugin=PLUGIN, run=run, local=local, content=content, traces=traces, notes=notes
    )
