"""What failed in this sweep: other runs that need it fail with the same reason, without trying again."""

import json
from collections.abc import Iterable
from pathlib import Path

from core import writing
from core.errors import reading


class Failures:
    """Artifacts that could not be made, in files of the sweep's folder: processes on several machines look there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "failed"

    def forget(self) -> None:
        """Begin anew: the same command tries again what failed."""
        writing.remove(self._folder)

    def add(self, artifact: Path, reason: str) -> None:
        """Note why an artifact could not be made."""
        self._folder.mkdir(parents=True, exist_ok=True)
        writing.write_json(self._file(artifact), reason)

    def reason(self, artifacts: Iterable[Path]) -> str | None:
        """Return why one of the artifacts could not be made; None: none of them has failed."""
        found = next((file for file in map(self._file, artifacts) if file.is_file()), None)
        if found is None:
            return None
        with reading(found, "Run the sweep's command again."):
            return str(json.loads(found.read_text(encoding="utf-8")))

    def _file(self, artifact: Path) -> Path:
        return self._folder / f"{artifact.parent.name}-{artifact.name}.json"
