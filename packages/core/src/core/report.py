"""Write what a run did as ``report.json`` (docs/report_json.md). A plugin makes the page of it."""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core import answers, circumstances, curves, headline, lineage, receipt, samples, store, writing
from core.entries import MODEL
from core.errors import ArtifactError, UserError
from core.graph import StageSpec
from core.registry import Registry

VERSION = 2
"""Of the schema: raised when a key goes, or comes to mean something else. New keys do not raise it."""
NAME = "report.json"
GOES_ON = "The same command, given again, asks for what is missing."
"""What is said of a stage with a partial result."""
CURVED = ("pretrain", "posttrain")
"""Folders of the store whose stages leave ``metrics.jsonl``."""


def write(
    name: str,
    directory: Path,
    stages: Sequence[StageSpec],
    outcomes: Sequence[Any],
    config: Mapping[str, Any],
    root: Path,
    seconds: float,
    run_id: str | None = None,
    arguments: Sequence[str] = (),
    registry: Registry | None = None,
) -> tuple[dict[str, Any], Path]:
    """Collect the manifests of a run's stages and write the report, also of a run that failed.

    Args:
        run_id: What names the run and no other, as ``id`` of the report.
        arguments: Of the command that ran.
        registry: What is installed: its versions, and the items of its benchmarks.

    Returns:
        The report, and the path of its file.
    """
    collected = collect(name, stages, outcomes, config, root, seconds, registry)
    plugins = registry.versions() if registry is not None else {}
    made = circumstances.describe(arguments, time.time() - seconds, plugins)
    made |= {"store": str(root), "directory": str(directory), "seeds": _seeds(stages)}
    report = {"version": VERSION, "id": run_id, "headline": headline.sentence(collected), **collected, "made": made}
    writing.write_json(directory / NAME, report)
    return report, directory / NAME


def collect(
    name: str,
    stages: Sequence[StageSpec],
    outcomes: Sequence[Any],
    config: Mapping[str, Any],
    root: Path,
    seconds: float,
    registry: Registry | None = None,
) -> dict[str, Any]:
    """Return the report as plain data, without what :func:`write` adds of the command and the machine."""
    report: dict[str, Any] = {
        "name": name,
        "seconds": round(seconds, 3),
        "stages": [],
        "funnel": [],
        "eval": [],
        "posttrain": {},
        "curves": {},
        "samples": {"documents": {}, "items": [], "answers": [], "files": [], "parity": []},
        "costs": {},
        "model": None,
    }
    manifests = {spec.name: _manifest(spec.directory(root)) for spec in stages}
    by_name = {outcome.name: outcome for outcome in outcomes}
    for spec in stages:
        outcome, manifest = by_name.get(spec.name), manifests[spec.name]
        row: dict[str, Any] = {
            "name": spec.name,
            "status": outcome.status if outcome else "not started",
            "seconds": outcome.seconds if outcome else 0.0,
            "artifact": str(spec.directory(root)),
        }
        if outcome is not None and outcome.error:
            row["error"] = outcome.error
        if manifest is not None:
            said = {"seconds_when_made": "seconds", "peak_memory_bytes": "peak_memory_bytes", "commit": "git_commit"}
            row |= {key: manifest[name] for key, name in said.items() if name in manifest}
            if manifest.get("followed"):
                row["followed"] = manifest["followed"]
            if lacks := store.lacks(manifest):
                row["partial"] = lacks
            _place(report, spec, manifest)
            _show(report, spec, manifest, root, registry)
        elif spec.folder == "data":
            _add_corpus(report, spec, {"funnel": _unfinished_funnel(spec.directory(root))})
            report["samples"]["documents"][spec.label] = _documents(spec.directory(root))
        report["stages"].append(row)
    finished = [spec for spec in stages if manifests[spec.name] is not None]
    report["lineage"] = lineage.flat([spec.directory(root) for spec in finished], root)
    report["config"] = dict(config)
    return report


def _place(report: dict[str, Any], spec: StageSpec, manifest: Mapping[str, Any]) -> None:
    """Put a stage's summary where readers of the report look for it."""
    summary = manifest.get("summary") or {}
    if spec.folder == "eval":
        model = spec.inputs["model"].name
        report["eval"] += [{"model": model, **row} for row in summary.get("eval", [])]
    elif spec.folder == "posttrain":
        report["posttrain"][spec.name] = summary
    elif spec.folder == "data":
        _add_corpus(report, spec, summary)
    elif spec.name == MODEL:
        known = ("origin", "revision", "content", "model_type", "stored_parameters")
        report["started_from"] = {"label": spec.label, **{key: summary.get(key) for key in known}}
    else:
        report[spec.name] = summary


def _show(
    report: dict[str, Any], spec: StageSpec, manifest: Mapping[str, Any], root: Path, registry: Registry | None
) -> None:
    """Add what a page shows of a stage beyond its summary: curves, documents, items of tasks, costs."""
    artifact, summary = spec.directory(root), manifest.get("summary") or {}
    if spec.name == MODEL:  # its curves and costs are those of the run that made it
        report["model"] = _relative(artifact / "hf", root)
        return
    if spec.folder in CURVED:
        report["curves"][spec.name] = curves.of_stage(artifact, summary, per_token=spec.folder == "pretrain")
        report["model"] = _relative(artifact / "hf", root)
    if spec.folder == "pretrain":
        run = manifest.get("run")
        went_on = manifest.get("began", run) != run
        if costs := receipt.of_training(spec, summary, manifest.get("seconds"), went_on):
            report["costs"][spec.name] = costs
    if spec.folder == "data":
        report["samples"]["documents"][spec.label] = _documents(artifact)
    if spec.folder == "eval":
        model = spec.inputs["model"].name
        tasks = answers.of_stage(artifact, lambda task: _items(task, registry))
        report["samples"]["items"] += [{"model": model, **task} for task in tasks]
        report["samples"]["answers"] += [{"model": model, **said} for said in answers.said(artifact)]
        if file := samples.file_of(artifact):
            report["samples"]["files"].append({"model": model, "path": _relative(file, root)})
        if summary.get("parity"):
            report["samples"]["parity"].append({"model": model, **summary["parity"]})


def _relative(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def _items(task: str, registry: Registry | None) -> Path | None:
    """Return the file with the items of a task, where a plugin registered it as a benchmark."""
    try:
        return registry.get("benchmarks", task).resource() if registry is not None else None
    except (UserError, ImportError):
        return None


def _documents(artifact: Path) -> list[dict[str, Any]]:
    try:
        from core.data.picks import pick
    except ImportError:  # without the extra [data] nothing reads documents
        return []
    return pick(artifact)


def _add_corpus(report: dict[str, Any], spec: StageSpec, summary: Mapping[str, Any]) -> None:
    report["funnel"] += [{"corpus": spec.label, **row} for row in summary.get("funnel", [])]
    if "documents" in summary:
        data = report.setdefault("data", {"documents": 0, "characters": 0, "corpora": {}})
        data["documents"] += summary["documents"]
        data["characters"] += summary.get("characters", 0)
        data["corpora"][spec.label] = {key: value for key, value in summary.items() if key != "funnel"}


def _seeds(stages: Sequence[StageSpec]) -> dict[str, int]:
    return {spec.name: spec.seed for spec in stages}


def _manifest(artifact: Path) -> dict[str, Any] | None:
    try:
        return store.read_manifest(artifact)
    except ArtifactError:  # the stage that needed the artifact has failed with this reason
        return None


def _unfinished_funnel(artifact: Path) -> list[Any]:
    path = artifact / "funnel.json"
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    except ValueError:  # a report of what failed says at least the rest
        return []
