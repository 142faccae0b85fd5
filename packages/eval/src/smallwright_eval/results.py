"""Rows of the score table, from what lm-eval returns and from the single items behind it."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from core.cli import printable
from core.errors import InputError

from smallwright_eval import cuts, samples, statistics

NOT_METRICS = ("alias", "name", "sample_len", "sample_count", "samples")
WHOLE = 1e-9
"""How far the mean over items may be from the score, where the score is that mean."""
OVER_ITEMS, OVER_TASKS = "mean over items", "mean over tasks"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measured:
    """The items of one task."""

    items: Sequence[Mapping[str, Any]]
    """Of :func:`smallwright_eval.samples.of_task`."""
    chances: Sequence[float] | None
    """Of each item, 1 / number of choices; None where answers are not chosen from a list."""
    clusters: tuple[str, Sequence[str]] | None
    """Of :func:`smallwright_eval.statistics.clusters_of`."""
    several: Mapping[tuple[str, str], Sequence[Sequence[float]]] = dataclasses.field(default_factory=dict)
    """By metric and filter, of each item the scores of its parts: each instruction of a prompt, say."""

    def values(self, metric: str, selection: str) -> list[float]:
        """Return the scores of the items; empty where the metric has none."""
        wanted = selection if selection not in ("none", "") else None
        of_filter = [item for item in self.items if item["filter"] == wanted]
        found = [item["metrics"][metric] for item in of_filter if metric in item["metrics"]]
        return found if len(found) == len(of_filter) else []

    def counts(self) -> dict[str, int]:
        """Return ``cut_items``, ``lost_fewshots`` and ``empty_answers`` of the task."""
        items = list({item["id"]: item for item in self.items}.values())  # a filter sees the same answers again
        return {
            "cut_items": sum(item["cut"] for item in items),
            "lost_fewshots": sum(item["lost_fewshots"] for item in items),
            "empty_answers": sum(not any(map(str.strip, item["answers"])) for item in items if item.get("answers")),
        }


def measured(name: str, task: Any, answer: Mapping[str, Any], seen: cuts.Seen, group: str | None) -> Measured:
    """Return the items of a task out of the answer of ``simple_evaluate``.

    Args:
        group: Name by which a task of a group was asked.
    """
    logged = sorted(answer["samples"].get(name, []), key=lambda sample: sample["doc_id"])
    shots = answer.get("n-shot", {}).get(name) or 0
    docs = [sample["doc"] for sample in {sample["doc_id"]: sample for sample in logged}.values()]
    chosen = task.OUTPUT_TYPE == "multiple_choice"
    shared = (task.config.metadata or {}).get("cluster")
    return Measured(
        items=list(samples.of_task(name, task, logged, shots, seen, group)),
        chances=[1 / len(task.doc_to_choice(doc)) for doc in docs] if chosen else None,
        clusters=statistics.clusters_of([doc for doc in docs if isinstance(doc, Mapping)], shared),
        several=_several(logged),
    )


def _several(logged: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], list[list[float]]]:
    found: dict[tuple[str, str], list[list[float]]] = {}
    for sample in logged:
        for metric in sample["metrics"]:
            parts = sample[metric]
            if isinstance(parts, list) and parts and all(isinstance(one, (bool, int, float)) for one in parts):
                found.setdefault((metric, sample.get("filter") or "none"), []).append([float(one) for one in parts])
    return found


def check_answers(name: str, task: Any, items: Sequence[Mapping[str, Any]]) -> None:
    """Say how many items have no right answer among their choices: lm-eval counts whatever is chosen as wrong.

    Raises:
        InputError: none has one, as in test splits whose answers are not published.
    """
    if task.OUTPUT_TYPE != "multiple_choice" or task.multiple_target:
        return
    lost = [item["id"] for item in items if item["label"] is None]
    if lost and len(lost) == len(items):
        raise InputError(
            f"eval.tasks: no item of {name} has a right answer among its choices, so that every score would be 0. Some "
            "data sets publish no answers of their test split: take another split."
        )
    if lost:
        shown = printable(", ".join(lost[:5]))[:300]
        print(
            f"{name}: {len(lost)} of {len(items)} items have no right answer among their choices, and count as wrong: "
            f"{shown}{', ...' if len(lost) > 5 else ''}",
            flush=True,
        )


def rows_of(
    answer: Mapping[str, Any], found: Mapping[str, Measured], groups: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Turn the answer of ``simple_evaluate`` into one row per task and metric.

    Args:
        answer: Of ``simple_evaluate``.
        found: The items of each task.
        groups: lm-eval's, by name.

    Returns:
        Objects with ``task``, ``metric`` (lm-eval's name; with its filter, where it has one), ``value``, ``n`` (items),
        ``chance`` (of accuracies), ``higher_is_better``, ``num_fewshot``, what
        :func:`smallwright_eval.statistics.of_items` says, ``clustered_by``, and :meth:`Measured.counts`. Of a group
        also ``aggregated`` (how its tasks were), ``mean_over_items`` and ``mean_over_tasks``.
    """
    rows = []
    for task, values in answer["results"].items():
        members = [task] if task in found else [one.task_name for one in groups[task].get_all_tasks()]
        for key, value in values.items():
            metric, _, selection = key.partition(",")
            if metric in NOT_METRICS or metric.endswith("_stderr") or not isinstance(value, (int, float)):
                continue
            stderr = values.get(f"{metric}_stderr,{selection}")
            by_size = None if task in found else _by_size(groups[task], metric)
            counts = [found[name].counts() for name in members]
            rows.append(
                {
                    "task": task,
                    "metric": metric if selection in ("none", "") else f"{metric},{selection}",
                    "value": float(value),
                    "n": sum(len({item["id"] for item in found[name].items}) for name in members) or None,
                    "higher_is_better": answer.get("higher_is_better", {}).get(task, {}).get(metric, True),
                    "num_fewshot": answer.get("n-shot", {}).get(task),
                    **_sure(metric, selection, float(value), stderr, {name: found[name] for name in members}, by_size),
                    **{name: sum(one[name] for one in counts) for name in ("cut_items", "lost_fewshots")},
                    "empty_answers": sum(one["empty_answers"] for one in counts),
                }
            )
    return rows


def _by_size(group: Any, metric: str) -> bool:
    """Return whether a group's tasks weigh as many items as they have: lm-eval's ``weight_by_size``."""
    return next((bool(one.weight_by_size) for one in group.aggregate_metric_list or () if one.metric == metric), True)


def _sure(
    metric: str, selection: str, value: float, stderr: Any, of: Mapping[str, Measured], by_size: bool | None
) -> dict[str, Any]:
    """Return how sure a score is, of a task or of the tasks of a group; ``by_size`` is None of a task."""
    parts = {name: one.values(metric, selection) for name, one in of.items()}
    values = [one for part in parts.values() for one in part]
    told = interval(value, float(stderr) if isinstance(stderr, (int, float)) else None)
    if by_size is None and (several := next(iter(of.values())).several.get((metric, selection))):
        flat = [(one, str(item)) for item, scores in enumerate(several) for one in scores]
        if len(several) >= statistics.FEWEST_CLUSTERS and abs(fmean(one for one, _ in flat) - value) <= WHOLE:
            told |= statistics.of_items(*zip(*flat, strict=True)) | {"clustered_by": "item"}
    if not all(parts.values()):
        return told
    chances = _chances(metric, of)
    over_tasks = fmean(map(fmean, parts.values()))
    if by_size is None:
        if abs(fmean(values) - value) > WHOLE:
            return told
        field, clusters = next(iter(of.values())).clusters or (None, None)
        chance = fmean(chances) if chances else None
        return told | statistics.of_items(values, clusters, chances) | {"chance": chance, "clustered_by": field}
    told |= {"mean_over_items": fmean(values), "mean_over_tasks": over_tasks}
    # A test of guessing counts right items, however the score is put together.
    tested = statistics.of_items(values, None, chances)
    told |= {key: tested[key] for key in ("p_value", "p_test")}
    if by_size:
        told |= {"aggregated": OVER_ITEMS, "chance": fmean(chances) if chances else None}
        if len(of) >= statistics.FEWEST_CLUSTERS:
            names = [name for name, part in parts.items() for _ in part]
            clustered = statistics.of_items(values, names)
            told |= {key: clustered[key] for key in ("stderr_clustered", "clusters", "low", "high", "interval")}
            told["clustered_by"] = "task"
    else:
        told["aggregated"] = OVER_TASKS
        by_task = [_chances(metric, {name: one}) for name, one in of.items()]
        told["chance"] = fmean(fmean(one) for one in by_task if one) if all(by_task) else None
    return told


def _chances(metric: str, of: Mapping[str, Measured]) -> list[float] | None:
    if not metric.startswith("acc"):
        return None
    known = [one.chances for one in of.values()]
    return None if any(one is None for one in known) else [chance for one in known for chance in one or ()]


def interval(value: float, stderr: float | None, chance: float | None = None) -> dict[str, Any]:
    """Return what is known of a score by its standard error alone."""
    known = stderr is not None and math.isfinite(stderr)
    half = statistics.Z * stderr if known and stderr is not None else 0.0
    return {
        "stderr": stderr if known else None,
        "stderr_clustered": None,
        "clusters": None,
        "clustered_by": None,
        "low": value - half if known else None,
        "high": value + half if known else None,
        "interval": "normal" if known else None,
        "chance": chance,
        "p_value": None,
        "p_test": None,
        "aggregated": None,
        "mean_over_items": None,
        "mean_over_tasks": None,
    }


def notes(rows: Sequence[Mapping[str, Any]], partial: Sequence[str] = ()) -> list[str]:
    """Return what a reader of the scores must know first: that a judge rated a part of the answers alone, or none.

    Args:
        partial: A line for each task whose judge did not answer, which is told elsewhere.
    """
    told = {line.partition(":")[0] for line in partial}
    return [
        f"{row['task']}: PARTIAL RESULT: a judge gave {row['value']:.0%} of the ratings, which the scores rest on; the "
        "log says why"
        for row in rows
        if row["metric"] == "judged" and row["value"] < 1 and row["task"] not in told
    ]
