"""Rows of the score table and the log of single items, from what lm-eval returns."""

from collections.abc import Mapping
from typing import Any

HASH = 16
"""Hex digits that tell items apart."""
NOT_METRICS = ("alias", "name", "sample_len", "sample_count", "samples")


def chance_of(task: Any) -> float | None:
    """Return the mean over items of 1 / number of choices; None where answers are not chosen from a list."""
    if task.OUTPUT_TYPE != "multiple_choice":
        return None
    shares = [1 / len(task.doc_to_choice(doc)) for doc in task.eval_docs]
    return sum(shares) / len(shares)


def rows_of(
    answer: Mapping[str, Any], chances: Mapping[str, float | None], cut: Mapping[str, Mapping[str, int]]
) -> list[dict[str, Any]]:
    """Turn the answer of ``simple_evaluate`` into one row per task and metric.

    Args:
        answer: Of ``simple_evaluate``.
        chances: Of each task.
        cut: Of each task, what :func:`smallwright_eval.cuts.count` says.

    Returns:
        Objects with ``task``, ``metric`` (lm-eval's name; with its filter, where it has one), ``value``, ``stderr``
        (None where lm-eval has none), ``n`` (items), ``chance`` (of accuracies), ``higher_is_better``,
        ``num_fewshot``, ``cut_items`` and ``lost_fewshots``.
    """
    rows = []
    counts = {task: counted["effective"] for task, counted in answer["n-samples"].items()}
    for task, values in answer["results"].items():
        members = answer.get("group_subtasks", {}).get(task, [])
        for key, value in values.items():
            metric, _, selection = key.partition(",")
            if metric in NOT_METRICS or metric.endswith("_stderr") or not isinstance(value, (int, float)):
                continue
            stderr = values.get(f"{metric}_stderr,{selection}")
            rows.append(
                {
                    "task": task,
                    "metric": metric if selection in ("none", "") else f"{metric},{selection}",
                    "value": float(value),
                    "stderr": float(stderr) if isinstance(stderr, (int, float)) else None,
                    "n": counts.get(task) or sum(counts.get(member, 0) for member in members) or None,
                    "chance": chances.get(task) if metric.startswith("acc") else None,
                    "higher_is_better": answer.get("higher_is_better", {}).get(task, {}).get(metric, True),
                    "num_fewshot": answer.get("n-shot", {}).get(task),
                    **{
                        key: sum(cut.get(name, {}).get(key, 0) for name in {task, *members})
                        for key in ("cut_items", "lost_fewshots")
                    },
                }
            )
    return rows


def samples_of(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Turn logged samples into one object per item: ``task``, ``id``, ``correct``, ``loglikelihoods`` or ``answers``.

    ``loglikelihoods`` are in nats, one per choice, in the order of the choices; ``correct`` is the first metric.
    ``hash`` tells items of two sets apart that have the same task and id, and ``filter`` is there where the metrics of
    :func:`rows_of` name it.
    """
    log = []
    for task, samples in answer["samples"].items():
        for sample in sorted(samples, key=lambda sample: sample["doc_id"]):
            doc = sample["doc"]
            scores = {name: sample[name] for name in sample["metrics"]}
            first = next(iter(scores.values()), None)
            item: dict[str, Any] = {
                "task": task,
                "id": doc.get("id", sample["doc_id"]) if isinstance(doc, Mapping) else sample["doc_id"],
                "correct": bool(first) if isinstance(first, (bool, int, float)) else None,
                "metrics": {name: value for name, value in scores.items() if isinstance(value, (bool, int, float))},
                "hash": sample["doc_hash"][:HASH],
            }
            if sample.get("filter") not in (None, "none"):
                item["filter"] = sample["filter"]
            answers = [answer[0] for answer in sample["resps"]]
            if all(isinstance(answer, str) for answer in answers):
                item["answers"] = answers
            else:
                item["loglikelihoods"] = [
                    float(value[0] if isinstance(value, (list, tuple)) else value) for value in answers
                ]
            log.append(item)
    return log
