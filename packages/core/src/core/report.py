"""Write what a run did: ``report.json`` for programs and ``report.html`` (one file, no network) for people."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core import lineage, report_html, store, writing
from core.errors import ArtifactError
from core.graph import StageSpec


def write(
    name: str,
    directory: Path,
    stages: Sequence[StageSpec],
    outcomes: Sequence[Any],
    config: Mapping[str, Any],
    root: Path,
    seconds: float,
    run_id: str | None = None,
) -> tuple[dict[str, Any], dict[str, Path]]:
    """Collect the manifests of a run's stages and write both reports, also of a run that failed.

    Args:
        run_id: What names the run and no other, as ``id`` of the report.

    Returns:
        The report, and the paths of the two files by ``json`` and ``html``.
    """
    report = {"id": run_id, **collect(name, stages, outcomes, config, root, seconds)}
    paths = {"json": directory / "report.json", "html": directory / "report.html"}
    writing.write_json(paths["json"], report)
    writing.write_text(paths["html"], report_html.render(report))
    return report, paths


def collect(
    name: str,
    stages: Sequence[StageSpec],
    outcomes: Sequence[Any],
    config: Mapping[str, Any],
    root: Path,
    seconds: float,
) -> dict[str, Any]:
    """Return the report as plain data.

    Its keys are ``stages``, ``funnel`` (rows, each with its ``corpus``), ``data`` (``documents`` and ``characters`` of
    all corpora, and of each in ``corpora``), ``tokenizer``, ``tokens``, ``init``, ``pretrain``, ``posttrain`` (by
    method), ``eval`` (rows, each with the ``model`` that it measured), ``lineage`` and ``config``.
    """
    report: dict[str, Any] = {
        "name": name,
        "seconds": round(seconds, 3),
        "stages": [],
        "funnel": [],
        "eval": [],
        "posttrain": {},
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
            said = {"seconds_when_made": "seconds", "peak_memory_bytes": "peak_memory_bytes"}
            row |= {key: manifest[name] for key, name in said.items() if name in manifest}
            _place(report, spec, manifest)
        elif spec.folder == "data":
            _add_corpus(report, spec, {"funnel": _unfinished_funnel(spec.directory(root))})
        report["stages"].append(row)
    finished = [spec for spec in stages if manifests[spec.name] is not None]
    report["lineage"] = {
        spec.name: tree for spec in finished if not _feeds(spec, finished) and (tree := _made_from(spec, root))
    }
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
    else:
        report[spec.name] = summary


def _add_corpus(report: dict[str, Any], spec: StageSpec, summary: Mapping[str, Any]) -> None:
    report["funnel"] += [{"corpus": spec.label, **row} for row in summary.get("funnel", [])]
    if "documents" in summary:
        data = report.setdefault("data", {"documents": 0, "characters": 0, "corpora": {}})
        data["documents"] += summary["documents"]
        data["characters"] += summary.get("characters", 0)
        data["corpora"][spec.label] = {key: value for key, value in summary.items() if key != "funnel"}


def _manifest(artifact: Path) -> dict[str, Any] | None:
    try:
        return store.read_manifest(artifact)
    except ArtifactError:  # the stage that needed the artifact has failed with this reason
        return None


def _made_from(spec: StageSpec, root: Path) -> dict[str, Any] | None:
    try:
        return lineage.made_from(spec.directory(root))
    except ArtifactError:  # the manifest of an input is damaged; the stage that needed it has failed with this reason
        return None


def _unfinished_funnel(artifact: Path) -> list[Any]:
    path = artifact / "funnel.json"
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    except ValueError:  # a report of what failed says at least the rest
        return []


def _feeds(spec: StageSpec, stages: Sequence[StageSpec]) -> bool:
    return any(spec in other.inputs.values() for other in stages)
