"""What the training read: the mixture as it was declared and as it was, and how often each corpus was read."""

from collections.abc import Mapping
from typing import Any

from smallwright_report import numbers

SHARES = ["stage", "corpus", "declared", "realised", "tokens"]
DECISIONS = ["after step", "policy", "reason", "mixture from there on"]
EPOCHS = ["corpus", "epochs", "tokens read", "tokens there are"]


def blocks(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the tables, none where there is one corpus and one stage: its epochs stand among the facts."""
    read = summary.get("mixture") or {}
    stages, corpora = read.get("stages") or [], read.get("corpora") or {}
    shares = [
        [stage["name"], name, _share(row["declared"]) or _undeclared(stage), _share(row["realised"]), row["tokens"]]
        for stage in stages
        for name, row in stage["sources"].items()
    ]
    if len(shares) < 2:
        return []
    epochs = [[label, row["epochs"], row["tokens"], row["size"]] for label, row in corpora.items()]
    formats = dict.fromkeys(("declared", "realised"), "right")
    tables: tuple[Any, ...] = (
        numbers.table(SHARES, shares, "The mixture: shares of each corpus in the tokens of a stage.", formats),
        numbers.table(EPOCHS, epochs, "How often each corpus was read in the whole training."),
    )
    if decided := [_decision(line) for line in read.get("decisions") or []]:
        tables += (numbers.table(DECISIONS, decided, "What changed the mixture on the way.", {}),)
    return [{"kind": "table", "table": table, "folded": ""} for table in tables]


def _undeclared(stage: Mapping[str, Any]) -> str:
    return "drawn by loss" if stage.get("drawn") else "by size"


def _decision(line: Mapping[str, Any]) -> list[Any]:
    made_by = f"{line['policy']}, {line['name']}" if "name" in line else line["policy"]
    if line["after"] is None:
        return [line["step"], made_by, f"not taken: {line.get('refused', '')}", "as before"]
    shares = ", ".join(f"{name} {_share(share)}" for name, share in line["after"].items())
    return [line["step"], made_by, line.get("reason", ""), shares]


def _share(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.2f} %"
