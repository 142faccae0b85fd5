"""``index.html`` in a folder of runs and sweeps: each with its headline, the newest first."""

import fcntl
import json
import urllib.parse
from pathlib import Path
from typing import Any

from core import writing

from smallwright_report import page, run_page, sweep_page

RUNS = "runs"
"""Name of the folder in which runs are listed whatever its place; a run elsewhere is not put into a list."""
KNOWN = ".index.json"
"""What is known of the runs, by folder, so that their reports are not read again at each run."""
KEYS = {"stamp", "name", "headline", "started", "failed"}
"""Of what is known of a run; other versions may know something else."""
SWEEP = "sweep.json"
LOCK = ".index.lock"


def write(folder: Path) -> Path:
    """List the runs of a folder and return the page. Runs that end at the same time do so one after another."""
    with open(folder / LOCK, "a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        return _write(folder)


def _write(folder: Path) -> Path:
    known = _read(folder / KNOWN) or {}
    runs: dict[str, dict[str, Any]] = {}
    for path in [*folder.glob("*/report.json"), *folder.glob(f"*/{SWEEP}")]:
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
    pages = (run_page.NAME, "report.json", sweep_page.NAME, SWEEP)
    page_name = next((page_name for page_name in pages if (folder / name / page_name).is_file()), "")
    return urllib.parse.quote(f"{name}/{page_name}")


def _entry(path: Path, stamp: int) -> dict[str, Any]:
    report = _read(path) or {}
    if path.name == SWEEP:
        return _sweep(path, stamp, report)
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


def _read(path: Path) -> Any:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        return value if isinstance(value, dict) else None
    except (OSError, ValueError):
        return None
