"""``index.html`` in a folder of runs, sweeps, studies and comparisons: each with its headline, the newest first."""

import fcntl
import json
import urllib.parse
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core import writing
from core.errors import InputError, reading

from smallwright_report import page, run_page, sweep_page

RUNS = "runs"
"""Name of the folder in which runs are listed whatever its place; a run elsewhere is not put into a list."""
KNOWN = ".index.json"
"""What is known of the runs, by folder, so that their reports are not read again at each run."""
KEYS = {"stamp", "name", "headline", "started", "failed"}
"""Of what is known of a run; other versions may know something else."""
SWEEP = "sweep.json"
OTHERS = {"study.json": "study", "compare.json": "comparison"}
"""What else a folder can be. The folder of a study has the table of its runs too, and is a study."""
LOCK = ".index.lock"


def write(folder: Path) -> Path:
    """List the runs of a folder and return the page. Runs that end at the same time do so one after another."""
    with open(folder / LOCK, "a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        return _write(folder)


def _write(folder: Path) -> Path:
    known = _read(folder / KNOWN) or {}
    runs: dict[str, dict[str, Any]] = {}
    for path in [path for name in ("report.json", SWEEP, *OTHERS) for path in folder.glob(f"*/{name}")]:
        try:
            stamp = path.stat().st_mtime_ns
        except OSError:  # deleted since the folder was read
            continue
        entry = known.get(path.parent.name)
        if not isinstance(entry, dict) or entry.keys() != KEYS or entry["stamp"] != stamp:
            entry = _entry(path, stamp)
        runs[path.parent.name] = entry
    writing.write_json(folder / KNOWN, runs)
    shown = [{**entry, "link": _link(folder, name)} for name, entry in runs.items()]
    shown.sort(key=lambda entry: entry["started"], reverse=True)
    return page.write(folder / "index.html", page.fill("index.html", {"title": "Runs", "runs": shown}, charts=False))


def _link(folder: Path, name: str) -> str:
    made = [known for name in OTHERS for known in (name.replace(".json", ".html"), name)]
    pages = (*made, run_page.NAME, "report.json", sweep_page.NAME, SWEEP)
    page_name = next((page_name for page_name in pages if (folder / name / page_name).is_file()), "")
    return urllib.parse.quote(f"{name}/{page_name}")


def _entry(path: Path, stamp: int) -> dict[str, Any]:
    try:
        with reading(Path(path.parent.name, path.name), "Run its command again."):
            content = json.loads(path.read_text(encoding="utf-8"))
    except InputError as error:
        return {"stamp": stamp, "name": path.parent.name, "headline": str(error), "started": "", "failed": ""}
    report = content if isinstance(content, dict) else {}
    if path.name == SWEEP:
        return _sweep(path, stamp, report)
    if path.name in OTHERS:
        return _other(path, stamp, report)
    failed = next((row["name"] for row in report.get("stages", ()) if row.get("status") == "failed"), "")
    return {
        "stamp": stamp,
        "name": str(report.get("name", path.parent.name)),
        "headline": str(report.get("headline", "A run of an earlier version.")),
        "started": str(report.get("made", {}).get("started", "")),
        "failed": failed,
    }


def _sweep(path: Path, stamp: int, data: dict[str, Any]) -> dict[str, Any]:
    """Return the entry of a sweep; its runs lie in its own folder, and are listed on its page."""
    try:
        headline = sweep_page.headline(data)
    except (LookupError, TypeError, AttributeError):
        headline = "A sweep of another version."
    return {
        "stamp": stamp,
        "name": f"{data.get('name', path.parent.name)} (sweep)",
        "headline": headline,
        "started": str(data.get("started", "")),
        "failed": "",
    }


def _other(path: Path, stamp: int, data: dict[str, Any]) -> dict[str, Any]:
    """Return the entry of a study or a comparison; the latter has no date, so that it comes out the same each time."""
    made = data.get("made")
    written = datetime.fromtimestamp(stamp / 1e9, UTC).isoformat(timespec="seconds")
    return {
        "stamp": stamp,
        "name": f"{data.get('name', path.parent.name)} ({OTHERS[path.name]})",
        "headline": str(data.get("sentence", "Of another version.")),
        "started": str(made.get("started", written) if isinstance(made, dict) else written),
        "failed": "",
    }


def _read(path: Path) -> Any:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        return value if isinstance(value, dict) else None
    except (OSError, ValueError):
        return None
