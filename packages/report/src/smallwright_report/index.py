"""``index.html`` in a folder of runs: each with its headline, the newest first."""

import json
from pathlib import Path
from typing import Any

from core import writing

from smallwright_report import page, run_page

RUNS = "runs"
"""Name of the folder in which runs are listed whatever its place; a run elsewhere is not put into a list."""
KNOWN = ".index.json"
"""What is known of the runs, by folder, so that their reports are not read again at each run."""


def write(folder: Path) -> Path:
    """List the runs of a folder and return the page."""
    known = _read(folder / KNOWN) or {}
    runs: dict[str, dict[str, Any]] = {}
    for path in folder.glob("*/report.json"):
        stamp = path.stat().st_mtime_ns
        entry = known.get(path.parent.name)
        if not isinstance(entry, dict) or entry.get("stamp") != stamp:
            entry = _entry(path, stamp)
        runs[path.parent.name] = entry
    writing.write_json(folder / KNOWN, runs)
    shown = [
        {**entry, "link": f"{name}/{run_page.NAME if (folder / name / run_page.NAME).is_file() else 'report.json'}"}
        for name, entry in runs.items()
    ]
    shown.sort(key=lambda entry: entry["started"], reverse=True)
    return page.write(folder / "index.html", page.fill("index.html", {"title": "Runs", "runs": shown}, charts=False))


def _entry(path: Path, stamp: int) -> dict[str, Any]:
    report = _read(path) or {}
    failed = next((row["name"] for row in report.get("stages", ()) if row.get("status") == "failed"), "")
    return {
        "stamp": stamp,
        "name": str(report.get("name", path.parent.name)),
        "headline": str(report.get("headline", "A run of an earlier version.")),
        "started": str(report.get("made", {}).get("started", "")),
        "failed": failed,
    }


def _read(path: Path) -> Any:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        return value if isinstance(value, dict) else None
    except (OSError, ValueError):
        return None
