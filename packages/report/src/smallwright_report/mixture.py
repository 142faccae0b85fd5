"""What the training read: the mixture as it was declared and as it was, and how often each corpus was read."""

from collections.abc import Mapping
from typing import Any

from smallwright_report import numbers

SHARES = ["stage", "corpus", "declared", "realised", "tokens"]
EPOCHS = ["corpus", "epochs", "tokens read", "tokens there are"]


def blocks(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the tables, none where there is one corpus and one stage: its epochs stand among the facts."""
    read = summary.get("mixture") or {}
    stages, corpora = read.get("stages") or [], read.get("corpora") or {}
    shares = [
        [stage["name"], name, _share(row["declared"]) or "by size", _share(row["realised"]), row["tokens"]]
        for stage in stages
        for name, row in stage["sources"].items()
    ]
    if len(shares) < 2:
        return []
    epochs = [[label, row["epochs"], row["tokens"], row["size"]] for label, row in corpora.items()]
    formats = dict.fromkeys(("declared", "realised"), "right")
    tables = (
        numbers.table(SHARES, shares, "The mixture: shares of each corpus in the tokens of a stage.", formats),
        numbers.table(EPOCHS, epochs, "How often each corpus was read in the whole training."),
    )
    return [{"kind": "table", "table": table, "folded": ""} for table in tables]


def _share(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.2f} %"
