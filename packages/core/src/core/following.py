"""The records that a stage logs while it works, each told once.

A trainer appends to ``metrics.jsonl`` in its artifact, one object a line with its ``step``, and leaves what is no part
of the artifact in ``work/<any>/``: speeds in ``speed.jsonl``, scores of the model on the way in ``evaluations.jsonl``.
All are followed by the run's process, which tells its observers and trackers. A training that goes on where it was
killed writes the steps behind its checkpoint again: what was told of a run's folder is remembered there, and is not
told to it twice.
"""

import contextlib
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from core.writing import ENDING

METRICS = "metrics.jsonl"
"""File of an artifact with one object a line for each logged step."""
BESIDE = ("work/*/speed.jsonl", "work/*/evaluations.jsonl")
"""Files of an unfinished artifact with what depends on the machine: times, tokens per second, what was evaluated."""


class Following:
    """The records of one artifact, as they are written."""

    def __init__(self, artifact: Path, memory: Path) -> None:
        """Follow the files of an artifact, whether or not they are there yet.

        Args:
            artifact: Its folder.
            memory: File that remembers what was told.
        """
        self._artifact, self._memory = artifact, memory
        self._files: dict[Path, _File] = {}
        self._told = _recall(memory, artifact)
        self.unreadable = 0
        """Lines that were no JSON objects with a step."""

    def new(self) -> list[dict[str, Any]]:
        """Return what was written since the last call, whole lines only, by step and then as it was written."""
        found = []
        beside = [path for pattern in BESIDE for path in sorted(self._artifact.glob(pattern))]
        for path in (self._artifact / METRICS, *beside):
            self._files.setdefault(path, _File(path))
        for path, file in self._files.items():
            told = self._told.setdefault(str(path.relative_to(self._artifact)), {})
            for line in file.lines():
                if file.is_anew:
                    file.is_anew, file.before = False, dict(told)
                record = _record(line)
                if record is None:
                    self.unreadable += 1
                    continue
                # Several kinds of records can have one step, such as the loss of training and that of validation.
                kind = ",".join(sorted(record))
                if record["step"] <= file.before.get(kind, float("-inf")):
                    continue
                told[kind] = max(record["step"], told.get(kind, record["step"]))
                found.append(record)
        return sorted(found, key=lambda record: record["step"])

    def remember(self) -> None:
        """Keep what was told, for the run that goes on in the same folder."""
        partial = self._memory.with_name(self._memory.name + ENDING)
        with contextlib.suppress(OSError):  # without it the next run tells some again, and that is all
            partial.write_text(json.dumps({"artifact": str(self._artifact), "told": self._told}), encoding="utf-8")
            partial.replace(self._memory)

    def close(self) -> None:
        """Stop following."""
        for file in self._files.values():
            file.close()


class _File:
    """Lines of a file that is appended to, and may be replaced or cut by a writer that begins anew."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._partial = b""
        self.is_anew = False
        """Whether the next line is the first of a file that was replaced."""
        self.before: dict[str, float] = {}
        """Last step of each kind of record that was told before the file was as it is now."""

    def lines(self) -> Iterator[bytes]:
        """Yield the whole lines since the last call."""
        self._open()
        if self._file is None:
            return
        *whole, self._partial = (self._partial + self._file.read()).split(b"\n")
        yield from filter(None, whole)

    def _open(self) -> None:
        try:
            now = os.stat(self._path)
        except OSError:  # not there yet, or removed with the unfinished work: what is open can be read to its end
            return
        if self._file is not None:
            opened = os.fstat(self._file.fileno())
            if (now.st_dev, now.st_ino) == (opened.st_dev, opened.st_ino) and now.st_size >= self._file.tell():
                return
            self._file.close()
        try:
            self._file = open(self._path, "rb")  # noqa: SIM115 - closed in close()
        except OSError:
            self._file = None
        self._partial, self.is_anew = b"", True

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def _record(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    step = record.get("step") if isinstance(record, dict) else None
    is_number = isinstance(step, int | float) and not isinstance(step, bool) and math.isfinite(step)
    return record if is_number else None


def _recall(memory: Path, artifact: Path) -> dict[str, dict[str, float]]:
    """Return what was told of an artifact; nothing where the file is of another one, or cannot be read."""
    try:
        kept = json.loads(memory.read_text(encoding="utf-8"))
        if kept["artifact"] != str(artifact):
            return {}
        return {file: {kind: float(step) for kind, step in told.items()} for file, told in kept["told"].items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return {}
