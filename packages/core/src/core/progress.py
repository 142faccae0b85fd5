"""Progress of a stage: the stage writes events to a file, the runner shows them as a bar or as lines."""

import json
import os
import sys
import time
from pathlib import Path

from tqdm import tqdm

PROGRESS_FILE_VARIABLE = "SMALLWRIGHT_PROGRESS_FILE"


class ProgressWriter:
    """Write how far a stage is. Without a runner (a stage used as a library) it writes nowhere."""

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self._path = path or os.environ.get(PROGRESS_FILE_VARIABLE)
        self._last = 0.0

    def __call__(self, done: float, total: float | None = None, unit: str = "", note: str = "") -> None:
        """Report ``done`` of ``total`` units; at most ten events a second are written, the last one always."""
        now = time.monotonic()
        if self._path is None or (now - self._last < 0.1 and done != total):
            return
        self._last = now
        with open(self._path, "a", encoding="utf-8") as file:
            file.write(json.dumps({"done": done, "total": total, "unit": unit, "note": note}) + "\n")


class ProgressBar:
    """Follow a progress file and draw it: a bar on a terminal, a line every ten seconds elsewhere."""

    LINE_EVERY_SECONDS = 10.0

    def __init__(self, path: Path, label: str) -> None:
        self._label = label
        self._file = open(path, encoding="utf-8")  # noqa: SIM115 - closed in close()
        self._bar: tqdm | None = None
        self._partial = ""
        self._last_line = time.monotonic()
        self._tty = sys.stderr.isatty()

    def update(self) -> None:
        """Draw the newest event, if there is one."""
        text = self._partial + self._file.read()
        *lines, self._partial = text.split("\n")
        if not lines:
            return
        event = json.loads(lines[-1])
        if self._tty:
            if self._bar is None:
                self._bar = tqdm(desc=self._label, unit=f" {event['unit']}", leave=False, dynamic_ncols=True)
            self._bar.total = event["total"]
            self._bar.n = event["done"]
            self._bar.set_postfix_str(event["note"], refresh=True)
        elif time.monotonic() - self._last_line > self.LINE_EVERY_SECONDS:
            self._last_line = time.monotonic()
            of = f" of {event['total']:,.10g}" if event["total"] else ""
            done = f"{event['done']:,.10g}{of}"
            print(f"  {self._label}: {done} {event['unit']} {event['note']}".rstrip(), file=sys.stderr)

    def close(self) -> None:
        """Stop following and remove the bar."""
        if self._bar is not None:
            self._bar.close()
        self._file.close()
