"""The page of a run, from its ``report.json`` alone."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core import alignment, headline
from core.entries import MODEL
from core.errors import InputError, reading
from core.report import GOES_ON

from smallwright_report import documents, evaluation, numbers, origin, page, said, starting, training

NAME = "report.html"
SECTIONS = (
    ("says", "What it says", said.blocks),
    ("evaluation", "Evaluation", evaluation.blocks),
    ("training", "Training", training.blocks),
    ("weights", "Starting weights", starting.blocks),
    ("documents", "Documents", documents.blocks),
    ("cost", "Time, memory and money", origin.costs),
    ("again", "To make it again", origin.again),
)


def of_folder(run: Path, run_id: str | None = None) -> Path | None:
    """Write the page beside the report of a run and return its path.

    Args:
        run: Folder of the run.
        run_id: Of the run whose page is wanted; where the folder has the report of another, or none, no page is made.

    Raises:
        InputError: the report is damaged.
    """
    path = run / "report.json"
    if not path.is_file():
        return None
    report = read(path)
    if run_id is not None and report.get("id") != run_id:
        return None
    return page.write(run / NAME, render(report))


def read(path: Path) -> dict[str, Any]:
    """Return a report.

    Raises:
        InputError: it is damaged, or of a version that this package does not know.
    """
    with reading(path, "Run its command again."):
        report = json.loads(path.read_text(encoding="utf-8"))
        version = report["version"]
    if version != 2:
        raise InputError(f"{path} has version {version}, and this smallwright-report reads version 2. Install another.")
    return report


def render(report: Mapping[str, Any]) -> str:
    """Return the whole page."""
    report = _named(report)
    sections = [
        {"anchor": anchor, "name": name, "blocks": blocks}
        for anchor, name, make in SECTIONS
        if (blocks := make(report))
    ]
    trouble = [f"{row['name']} failed: {row['error']}" for row in report["stages"] if row["status"] == "failed"]
    trouble += [
        f"{row['name']} has a partial result: {lack}. {GOES_ON}"
        for row in report["stages"]
        for lack in row.get("partial", ())
    ]
    values = {
        "title": report["name"],
        "headline": report["headline"],
        "trouble": [*trouble, *alignment.losses(report["eval"])],
        "tiles": _tiles(report),
        "contents": [(section["anchor"], section["name"]) for section in sections],
        "sections": sections,
    }
    charts = any(block.get("charts") for section in sections for block in section["blocks"])
    return page.fill("run.html", values, charts=charts)


def _named(report: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a report whose rows call the model that the run started from as people do, not after its stage."""
    if not report.get("started_from"):
        return report
    name = headline.entered(report["started_from"])

    def named(rows: Any) -> Any:
        if not isinstance(rows, list):  # documents, by corpus
            return rows
        return [{**row, "model": name} if row.get("model") == MODEL else row for row in rows]

    samples = {key: named(rows) for key, rows in report["samples"].items()}
    return {**report, "eval": named(report["eval"]), "samples": samples}


def _tiles(report: Mapping[str, Any]) -> list[dict[str, str]]:
    tiles = []

    def add(name: str, value: str, note: str = "") -> None:
        tiles.append({"name": name, "value": value, "note": note})

    if data := report.get("data"):
        add("documents kept", f"{data['documents']:,}", f"{numbers.count(data['characters'])} characters")
    if made := report.get("pretrain"):
        add(
            "stored parameters",
            numbers.count(made["stored_parameters"]),
            f"{numbers.count(made['executed_parameters'])} executed",
        )
        add("tokens trained on", numbers.count(made["tokens"]), f"{made['tokens_per_second']:,.0f} per second")
        if made.get("validation_loss") is not None:
            unigram = made.get("unigram_loss")
            error = made.get("validation_stderr")
            note = "nats per token" + ("" if error is None else f", standard error {error:.3f}")
            note += f"; word frequencies alone {unigram:.3f}" if unigram is not None else ""
            add("validation loss ↓", f"{made['validation_loss']:.3f}", note)
    add("this run", numbers.duration(report["seconds"]))
    return tiles
