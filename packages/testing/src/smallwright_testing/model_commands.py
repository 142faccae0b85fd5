"""What holds for a command on a model: it is light until it works, says how it ended, and leaves the model as it is."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
from core import discovery, named_model, store
from core.interfaces import ModelCommand, NamedModel

from smallwright_testing.base import HEAVY, Conformance
from smallwright_testing.models import one_thread, tiny_model

CHECK = """
import json, sys
from core import discovery, named_model
plugin, settings, plugin_files, model, heavy = json.loads(sys.argv[1])
registry = discovery.load(plugin_files)
entry = registry.get("model_commands", plugin)
command = entry.build(entry.settings(settings, ""))
command.environment()
command.check(named_model.resolve(model, registry))
print("loaded:", *sorted({name.partition(".")[0] for name in sys.modules} & set(heavy)))
"""


class ModelCommandConformance(Conformance):
    """Tests of a command, on a random Llama of 100,000 parameters with a tokenizer and a chat template. ::

    class TestMine(ModelCommandConformance):
        plugin = "mine"
    """

    kind = "model_commands"
    where = ""
    typed: ClassVar[str] = "Hello\n"
    """What stands on the standard input."""
    ends: ClassVar[bool] = True
    """False: it goes on until it is told to end, as a server does, and is not run here."""

    @classmethod
    def prepare(cls, folder: Path) -> Mapping[str, Any]:
        """Write files that the settings name, and return those settings; none by default."""
        return {}

    @pytest.fixture(scope="class")
    @classmethod
    def model(cls, tmp_path_factory: pytest.TempPathFactory) -> NamedModel:
        """The model."""
        folder = tiny_model(tmp_path_factory.mktemp("model")) / "hf"
        return named_model.resolve(str(folder), discovery.load(cls.plugin_files), cls.plugin_files)

    @classmethod
    def command(cls, folder: Path) -> ModelCommand:
        """Return the command with its settings."""
        entry = cls.entry()
        made: ModelCommand = entry.build(entry.settings({**cls.given(), **cls.prepare(folder)}, cls.where))
        return made

    def test_planning_imports_nothing_heavy(self, model: NamedModel, tmp_path: Path) -> None:  # type: ignore[override]
        settings = {**self.given(), **self.prepare(tmp_path)}
        arguments = [self.plugin, settings, list(self.plugin_files), str(model.directory), HEAVY]
        ended = subprocess.run(
            [sys.executable, "-c", CHECK, json.dumps(arguments)], capture_output=True, text=True, timeout=120
        )
        assert ended.returncode == 0, ended.stderr[-2000:]
        assert ended.stdout.splitlines()[-1].split() == ["loaded:"]

    def test_its_environment_is_text(self, tmp_path: Path) -> None:
        found = self.command(tmp_path).environment()
        assert all(isinstance(text, str) for pair in found.items() for text in pair), found

    def test_it_ends_with_a_code_and_leaves_the_model_as_it_was(
        self, model: NamedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if not self.ends:
            pytest.skip(f"{self.plugin} goes on until it is told to end")
        command = self.command(tmp_path)
        command.check(model)
        for name, value in command.environment().items():
            if name not in os.environ:
                monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "stdin", io.StringIO(self.typed))
        before = _digests(model.directory)
        with one_thread():
            code = command.run(model)
        assert type(code) is int, f"run() returned {code!r}, which is no exit code"
        assert code == 0
        assert _digests(model.directory) == before


def _digests(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): store.file_digest(path) for path in folder.rglob("*") if path.is_file()}
