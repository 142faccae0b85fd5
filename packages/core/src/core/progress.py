"""Progress of a stage: the stage writes events to a file, the runner shows them as a bar or as lines."""

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from core.headline import duration

PROGRESS_FILE_VARIABLE = "SMALLWRIGHT_PROGRESS_FILE"


class ProgressWriter:
    """Write how far a stage is. Without a runner (a stage used as a library) it writes nowhere."""

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self._path = path or os.environ.get(PROGRESS_FILE_VARIABLE)
        self._last = 0.0

    def __call__(
        self, done: float, total: float | None = None, unit: str = "", note: str = "", device: str = "", count: int = 1
    ) -> None:
        """Report ``done`` of ``total`` units; at most ten events a second are written, the last one always.

        Args:
            device: What the work runs on, ``cpu`` or the name of a GPU, for the cost so far; empty: none is counted.
            count: How many of them.
        """
        now = time.monotonic()
        if self._path is None or (now - self._last < 0.1 and done != total):
            return
        self._last = now
        with open(self._path, "a", encoding="utf-8") as file:
            event = {"done": done, "total": total, "unit": unit, "note": note, "device": device, "count": count}
            file.write(json.dumps(event) + "\n")


class ProgressBar:
    """Follow a progress file and draw it: a bar on a terminal, a line every ten seconds elsewhere."""

    LINE_EVERY_SECONDS = 10.0

    def __init__(self, path: Path, label: str, cost: Callable[[str, int, float], str] | None = None) -> None:
        """Follow a file that is there.

        Args:
            cost: Says the money so far, of a device, how many there are, and the seconds since the work began.
        """
        self._label, self._cost = label, cost
        self._began = time.monotonic()
        self._first: tuple[float, float] | None = None
        """When the work began, as its first event with a total says, and what was done then by an earlier process."""
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
        now, done, total = time.monotonic(), event["done"], event["total"]
        self._first = self._first or ((now, done) if total else None)
        note = ", ".join(filter(None, [event["note"], self._spent(event, now)]))
        if self._tty:
            if self._bar is None:
                unit = f" {event['unit']}"
                self._bar = tqdm(desc=self._label, unit=unit, leave=False, dynamic_ncols=True, initial=done)
            self._bar.total = total
            self._bar.n = done
            self._bar.set_postfix_str(note, refresh=True)
        elif now - self._last_line > self.LINE_EVERY_SECONDS:
            self._last_line = now
            of = f" of {total:,.10g}" if total else ""
            said = ", ".join(filter(None, [note, self._left(done, total, now)]))
            print(f"  {self._label}: {done:,.10g}{of} {event['unit']} {said}".rstrip(), file=sys.stderr)

    def _spent(self, event: Mapping[str, Any], now: float) -> str:
        device = event.get("device")
        return self._cost(device, event.get("count", 1), now - self._began) if self._cost and device else ""

    def _left(self, done: float, total: float | None, now: float) -> str:
        """Say how long the rest takes at the speed so far."""
        if self._first is None or not total:
            return ""
        began, before = self._first
        if done <= before or done >= total:
            return ""
        return f"{duration((total - done) * (now - began) / (done - before))} left"

    def close(self) -> None:
        """Stop following and remove the bar."""
        if self._bar is not None:
            self._bar.close()
        self._file.close()
