"""The table of a sweep: a row a run, in ``sweep.json``, as Parquet, and as a page."""

import itertools
import json
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core import cli, pages, writing
from core import report as report_of_run
from core.errors import InputError, reading
from core.registry import Registry
from core.sweep import metrics
from core.sweep.plan import Planned

VERSION = 1
"""Of the schema of ``sweep.json``: raised when a key goes, or comes to mean something else."""
NAME = "sweep.json"
NOT_STARTED, FAILED, FINISHED = "not started", "failed", "finished"


class Table:
    """The rows of a sweep, in the user's order."""

    def __init__(
        self, planned: Sequence[Planned], folder: Path, name: str, module: str, arguments: Sequence[str]
    ) -> None:
        self._folder = folder
        earlier = _read(folder / NAME)
        self._earlier = {row["directory"]: row for row in _whole_rows(earlier)}
        began, self._seconds = _work_before(earlier, {run.directory.name for run in planned})
        self._began = time.monotonic()
        self._rows = {run.number: self._row(run) for run in planned}
        keys = dict.fromkeys(itertools.chain.from_iterable(run.point.values for run in planned))
        self._about = {
            "version": VERSION,
            "name": name,
            "command": shlex.join(["python", "-m", module, *arguments]),
            "started": began or _now(),
            "ended": None,
            "seconds": self._seconds,
            "store": str(Path(str(planned[0].config["store"])).resolve()),
            "directory": str(folder),
            "keys": list(keys),
        }

    def _row(self, run: Planned) -> dict[str, Any]:
        return {
            "number": run.number,
            "values": dict(run.point.values),
            "overrides": list(run.point.overrides),
            "status": NOT_STARTED,
            "error": None,
            "directory": run.directory.name,
            "headline": None,
            "seconds": None,
            "metrics": {},
        }

    def finished_before(self, run: Planned) -> bool:
        """Take over the row of a run that an earlier command finished, and say whether there was one."""
        report = self.read_report(run)
        if report is None or any(stage["status"] not in ("ran", "reused") for stage in report["stages"]):
            return False
        self.report(run, report)
        if earlier := self._earlier.get(run.directory.name):  # it has the seconds of when the run was made
            self._rows[run.number] |= {key: earlier[key] for key in ("headline", "seconds", "metrics")}
        return True

    def read_report(self, run: Planned) -> dict[str, Any] | None:
        """Return the report in a run's folder; None: there is none of this run, or a damaged one."""
        report = _read(run.directory / report_of_run.NAME)
        try:
            named = [(row["name"], row["status"], row["artifact"])[-1] for row in report["stages"]]
            metrics.main(report)
            own = report["version"] == report_of_run.VERSION and isinstance(report["headline"], str)
            own = own and isinstance(report["seconds"], int | float) and named == list(map(str, run.artifacts))
        except (LookupError, TypeError, AttributeError):
            return None
        return report if own else None

    def report(self, run: Planned, report: Mapping[str, Any]) -> dict[str, Any]:
        """Fill the row of a run from its report, and return it."""
        row = self._rows[run.number]
        failed = next((stage for stage in report["stages"] if stage["status"] == FAILED), None)
        row["status"] = FAILED if failed is not None else FINISHED
        row["error"] = f"stage {failed['name']} failed: {failed.get('error')}" if failed is not None else None
        row |= {key: report[key] for key in ("headline", "seconds")}
        row["metrics"] = metrics.of_report(report)
        return row

    def fail(self, run: Planned, reason: str) -> dict[str, Any]:
        """Fill the row of a run that has no report, and return it."""
        self._rows[run.number] |= {"status": FAILED, "error": reason}
        return self._rows[run.number]

    def content(self) -> dict[str, Any]:
        """Return what ``sweep.json`` holds."""
        rows = list(self._rows.values())
        return {**self._about, "metrics": metrics.names(row["metrics"] for row in rows), "runs": rows}

    def write(self) -> dict[str, Any]:
        """Write ``sweep.json`` and return what is in it."""
        self._about["seconds"] = self._seconds + time.monotonic() - self._began
        content = self.content()
        writing.write_json(self._folder / NAME, content)
        return content

    def close(self, registry: Registry) -> list[Path]:
        """Write the table as it is at the end, also as Parquet and as a page; return the files for people."""
        self._about["ended"] = _now()
        content = self.write()
        page = pages.attempt(registry, "sweep", content, self._folder / "sweep.html")
        return [path for path in (_parquet(content, self._folder), page) if path]


def columns(content: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return the columns of a sweep's flat table; values of numbers are numbers."""
    runs = content["runs"]
    found: dict[str, list[Any]] = {"number": [row["number"] for row in runs]}
    for key in content["keys"]:
        found[key] = _numbers([row["values"].get(key) for row in runs])
    for key in ("status", "error", "directory", "headline", "seconds"):
        found[key if key not in found else f"run.{key}"] = [row[key] for row in runs]
    for name in content["metrics"]:
        values = [row["metrics"].get(name) for row in runs]
        # A metric that counts something in one run and measures it in another is a number of one type here.
        whole = all(isinstance(value, int) for value in values if value is not None)
        found[name if name not in found else f"metric.{name}"] = [
            value if whole or value is None else float(value) for value in values
        ]
    return found


def _numbers(values: list[str | None]) -> list[Any]:
    """Return values as numbers, where all of them are."""
    for kind in (int, float):
        try:
            return [None if value is None else kind(value) for value in values]
        except ValueError:
            continue
    return list(values)


def _parquet(content: Mapping[str, Any], folder: Path) -> Path | None:
    path = folder / "sweep.parquet"
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        print('no sweep.parquet: pyarrow is not installed. pip install "smallwright-core[data]"', file=sys.stderr)
        return None
    try:
        with writing.replacing(path) as partial:
            pyarrow.parquet.write_table(pyarrow.table(columns(content)), partial)
    except Exception as error:  # sweep.json has all of it
        pages.warn("no sweep.parquet", error)
        return None
    return path


def _whole_rows(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of finished runs of an earlier table; the others, and damaged ones, are filled anew."""
    rows = content.get("runs") if content.get("version") == VERSION else None
    return [row for row in rows if _is_whole(row)] if isinstance(rows, list) else []


def _work_before(content: Mapping[str, Any], directories: set[str]) -> tuple[str | None, float]:
    """Return when the first command on these runs began, and how long all worked; None and 0 where there was none."""
    rows = content.get("runs") if content.get("version") == VERSION else None
    known = {str(row.get("directory")) for row in rows if isinstance(row, dict)} if isinstance(rows, list) else set()
    began, seconds = content.get("started"), content.get("seconds", 0.0)
    if not directories & known or not isinstance(began, str) or not metrics.is_number(seconds):
        return None, 0.0
    return began, seconds


def _is_whole(row: Any) -> bool:
    if not isinstance(row, dict) or row.get("status") != FINISHED or not isinstance(row.get("directory"), str):
        return False
    numbers = row.get("metrics")
    whole = isinstance(numbers, dict) and all(map(metrics.is_number, numbers.values()))
    return whole and isinstance(row.get("headline"), str) and metrics.is_number(row.get("seconds"))


def _read(path: Path) -> dict[str, Any]:
    """Return what an earlier command left; a damaged file is made anew."""
    if not path.exists():
        return {}
    try:
        with reading(path, "It is made anew."):
            content = json.loads(path.read_text(encoding="utf-8"))
    except InputError as error:
        print(cli.printable(f"warning: {error}"), file=sys.stderr)
        return {}
    return content if isinstance(content, dict) else {}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
