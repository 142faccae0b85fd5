"""What a training drew for its rounds, chose for its batches and forgot."""

from collections.abc import Mapping
from typing import Any

from smallwright_report import numbers

ROUNDS = ["round", "corpus", "windows before", "drawn", "mean loss", "of those drawn"]
FORGOTTEN = ["corpus", "windows", "forgotten", "mean rise of the loss"]
CHOSEN = ["sequences", "number", "mean loss", "by the reference"]
LOSSES = dict.fromkeys((*ROUNDS[4:], *CHOSEN[2:], FORGOTTEN[3]), 3)
"""Decimals, by column."""


def blocks(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the tables of a pretraining that has them."""
    tables = []
    if drawn := [_round(made, name, own) for made in summary.get("rounds") or [] for name, own in _parts(made).items()]:
        about = "Windows that a round drew from the one before, by the softmax of their loss at its end."
        tables.append(numbers.table(ROUNDS, drawn, about, LOSSES))
    if chosen := summary.get("selection"):
        counts = (("looked at", chosen["candidates"]), ("trained on", chosen["chosen"]))
        losses = zip(chosen["loss"], chosen.get("reference") or (None, None), strict=True)
        rows = [[*count, *pair] for count, pair in zip(counts, losses, strict=True)]
        about = f"Sequences that the policy {chosen['policy']} chose among."
        tables.append(numbers.table(CHOSEN, rows, about, LOSSES))
    if found := summary.get("forgetting"):
        forgotten = [[name, own["windows"], own["forgotten"], own["rise"]] for name, own in found["by_source"].items()]
        about = (
            f"Windows whose loss at step {found['step']:,} is more than {found['margin']:g} nats per token above that "
            "when they had been trained on."
        )
        tables.append(numbers.table(FORGOTTEN, forgotten, about, {**LOSSES, "forgotten": "percent"}))
    return [{"kind": "table", "table": table, "folded": ""} for table in tables]


def _parts(made: Mapping[str, Any]) -> Mapping[str, Any]:
    return made["by_source"] if len(made["by_source"]) == 1 else {**made["by_source"], "all": made}


def _round(made: Mapping[str, Any], name: str, own: Mapping[str, Any]) -> list[Any]:
    return [made["round"], name, own["windows"], own["drawn"], own["mean_loss"], own["mean_loss_drawn"]]
