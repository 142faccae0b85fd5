"""What a sweep would do and cost, for ``core.plan -m``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core.planning import model
from core.planning.model import Hardware
from core.sweep.plan import Planned, is_finished


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
                trainings.append(model.describe(spec, hardware))
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
    lines = [f"{len(runs):,} run{'s' if len(runs) > 1 else ''}{there}, in {result['directory']}", ""]
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
