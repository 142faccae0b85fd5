"""What a sweep would do and cost, for ``core.plan -m``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core.planning import model, needs
from core.planning.model import Hardware
from core.sweep.plan import Planned, is_finished

MOST_LISTED = 24
"""Runs that a terminal shows one by one; ``--json`` has them all."""


def describe(planned: Sequence[Planned], hardware: Hardware) -> dict[str, Any]:
    """Return the plan of a sweep as plain data.

    Returns:
        ``directory``; ``runs`` (``number``, ``values``, ``directory``, ``finished``: whether all its stages are);
        ``stages`` by name: ``artifacts`` (how many different ones the runs need), ``finished`` of them, ``needed`` (by
        how many runs); ``trainings`` that are to be done, ``flops`` of those, ``hardware``: what they
        take, for each device and number of devices asked about, in ``hours`` and ``money``.
    """
    known: dict[Path, bool] = {}
    stages: dict[str, dict[str, Any]] = {}
    seen: set[Path] = set()
    counted: set[Path] = set()
    trainings = []
    for run in planned:
        for spec, artifact in zip(run.stages, run.artifacts, strict=True):
            row = stages.setdefault(spec.name, {"artifacts": 0, "finished": 0, "needed": 0})
            row["needed"] += 1
            if artifact in seen:
                continue
            seen.add(artifact)
            finished = is_finished(artifact, known)
            row["artifacts"] += 1
            row["finished"] += finished
            if spec.folder == "pretrain" and spec.architecture is not None and not finished:
                before = needs.beforehand([spec], Path(str(run.config["store"])), counted)
                trainings.append(model.describe(spec, hardware, before.flops))
    totals: dict[tuple[str, int], dict[str, Any]] = {}
    for training in trainings:
        for row in training["hardware"]:
            total = totals.setdefault((row["device"], row["devices"]), {"hours": 0.0, "money": 0.0})
            total["hours"] += row["hours"]
            total["money"] += row["money"]
    return {
        "directory": str(planned[0].directory.parent),
        "runs": [
            {
                "number": run.number,
                "values": dict(run.point.values),
                "directory": run.directory.name,
                "finished": all(is_finished(artifact, known) for artifact in run.artifacts),
            }
            for run in planned
        ],
        "stages": stages,
        "trainings": len(trainings),
        "flops": sum(training["flops"] for training in trainings),
        "hardware": [{"device": name, "devices": count, **total} for (name, count), total in totals.items()],
    }


def render(result: dict[str, Any]) -> str:
    """Show the plan of a sweep on a terminal."""
    runs = result["runs"]
    finished = sum(run["finished"] for run in runs)
    there = f", {finished:,} of them finished" if finished else ""
    number = "1 run" if len(runs) == 1 else f"{len(runs):,} runs"
    lines = [f"{number}{there}, in {result['directory']}", *_listed(runs), ""]
    for name, row in result["stages"].items():
        reused = f", {row['finished']:,} reused" if row["finished"] else ""
        needed = f" for {row['needed']:,} runs" if row["needed"] > row["artifacts"] else ""
        lines.append(f"{name:16} {row['artifacts']:,}{needed}: {row['artifacts'] - row['finished']:,} to make{reused}")
    if result["trainings"]:
        number = "1 training" if result["trainings"] == 1 else f"{result['trainings']:,} trainings"
        lines += ["", f"{number}: {result['flops']:.3g} FLOPs"]
    for row in result["hardware"]:
        lines.append(f"{row['devices']:,} x {row['device']}: {row['hours']:,.2f} hours, {row['money']:,.2f} US dollars")
    return "\n".join(lines)


def _listed(runs: Sequence[dict[str, Any]]) -> list[str]:
    """Return a line for each run, or for the first ones of many."""
    wide = len(str(len(runs)))
    lines = []
    for run in runs if len(runs) <= MOST_LISTED else runs[: MOST_LISTED - 1]:
        values = " ".join(f"{key}={value}" for key, value in run["values"].items()) or "a run"
        lines.append(f"  {run['number']:>{wide}}  {values}{', finished' if run['finished'] else ''}")
    left = len(runs) - len(lines)
    return [*lines, f"  and {left:,} more"] if left else lines
