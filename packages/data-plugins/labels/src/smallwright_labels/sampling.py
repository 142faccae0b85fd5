"""Which documents are labelled: a sample by hash of the id, within strata, balanced over bins of a preliminary score.

One pass over the whole corpus chooses it. A cell is a bin of a stratum: memory holds at most 16 bytes for each wanted
document of each cell, and the outcome is one threshold for each cell. The sample depends on ids and metadata alone,
never on the order of the documents or on the number of workers.
"""

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from core.data.by_hash import Smallest, id_hash
from core.errors import UserError
from core.writing import write_json
from datatrove.data import Document

SELECTION_FILE = "selection.json"
PURPOSE = "label"
"""Of the hash: see :func:`core.data.by_hash.id_hash`."""
LARGEST_BIN = 10
MOST_STRATA = 1000
NO_SCORE = "(none)"
ALL = "(all)"


def quotas(available: Mapping[str, int], sample: int, shares: Mapping[str, float] | None) -> dict[str, int]:
    """Divide a sample over bins.

    A bin that has fewer documents than its share gives all of them, and the others fill up in proportion to their
    shares, so that the sample is as large as it can be.

    Args:
        available: Documents of each bin.
        sample: Documents wanted.
        shares: Weight of each bin; a bin that is not named gets nothing. None: every bin weighs the same.
    """
    weights = {name: (1.0 if shares is None else shares.get(name, 0.0)) for name in available}
    open_bins = {name for name in available if weights[name] > 0 and available[name] > 0}
    given = dict.fromkeys(available, 0)
    left = sample
    while open_bins and left > 0:
        total = sum(weights[name] for name in open_bins)
        full = {name for name in open_bins if available[name] <= left * weights[name] / total}
        if not full:
            break
        for name in full:
            given[name] = available[name]
            left -= available[name]
        open_bins -= full
    if open_bins and left > 0:
        total = sum(weights[name] for name in open_bins)
        exact = {name: left * weights[name] / total for name in open_bins}
        given.update({name: math.floor(value) for name, value in exact.items()})
        rest = left - sum(given[name] for name in open_bins)
        for name in sorted(open_bins, key=lambda name: (given[name] - exact[name], name))[:rest]:
            given[name] += 1
    return given


@dataclasses.dataclass(frozen=True, kw_only=True)
class Selection:
    """A sample, as one threshold for each cell."""

    strata: str | None
    balance_by: str | None
    cells: dict[str, dict[str, dict[str, Any]]] | None
    """Stratum to bin to ``documents``, ``wanted`` and ``threshold``. None: every document is labelled."""

    @classmethod
    def make(cls, config: Any, documents: Iterable[Document]) -> "Selection":
        """Choose the sample.

        Args:
            config: Settings ``sample``, ``strata``, ``balance_by``, ``balance_shares``.
            documents: The whole corpus; texts are not looked at.

        Raises:
            UserError: no document has the score, or there are too many strata to be what was meant.
        """
        if config.sample is None:
            return cls(strata=config.strata, balance_by=config.balance_by, cells=None)
        cells: dict[str, dict[str, Smallest]] = {}
        for document in documents:
            stratum, score_bin = _cell(document, config.strata, config.balance_by)
            bins = cells.setdefault(stratum, {})
            if len(cells) > MOST_STRATA:
                raise UserError(
                    f"strata={config.strata}: more than {MOST_STRATA} different values; name a metadata key with few, "
                    "such as language."
                )
            if score_bin not in bins:
                bins[score_bin] = Smallest(config.sample)
            bins[score_bin].add(id_hash(document.id, PURPOSE))
        if config.balance_by is not None and cells and not any(set(bins) - {NO_SCORE} for bins in cells.values()):
            raise UserError(
                f"balance_by={config.balance_by}: no document has a number in metadata[{config.balance_by!r}]; put the "
                "classifier that gives the preliminary score before this step, or leave balance_by out."
            )
        chosen: dict[str, dict[str, dict[str, Any]]] = {}
        for stratum, bins in sorted(cells.items()):
            available = {name: cell.seen for name, cell in bins.items() if name != NO_SCORE or not config.balance_by}
            wanted = quotas(available, config.sample, config.balance_shares)
            chosen[stratum] = {
                name: {
                    "documents": bins[name].seen,
                    "wanted": wanted.get(name, 0),
                    "threshold": bins[name].threshold(wanted.get(name, 0)),
                }
                for name in sorted(bins)
            }
        return cls(strata=config.strata, balance_by=config.balance_by, cells=chosen)

    def has(self, document: Document) -> bool:
        """Say whether a document belongs to the sample."""
        if self.cells is None:
            return True
        stratum, score_bin = _cell(document, self.strata, self.balance_by)
        threshold = self.cells[stratum][score_bin]["threshold"]
        return threshold is not None and id_hash(document.id, PURPOSE) <= threshold

    def report(self) -> dict[str, Any]:
        """Return documents and how many of them were wanted, by stratum and bin."""
        return {
            stratum: {name: {"documents": cell["documents"], "wanted": cell["wanted"]} for name, cell in bins.items()}
            for stratum, bins in (self.cells or {}).items()
        }

    def save(self, work: Path) -> None:
        """Write the selection into a folder."""
        write_json(work / SELECTION_FILE, dataclasses.asdict(self))

    @classmethod
    def load(cls, work: Path) -> "Selection":
        """Read the selection of a folder."""
        return cls(**json.loads((work / SELECTION_FILE).read_text(encoding="utf-8")))


def _cell(document: Document, strata: str | None, balance_by: str | None) -> tuple[str, str]:
    stratum = ALL if strata is None else str(document.metadata.get(strata, NO_SCORE))
    if balance_by is None:
        return stratum, ALL
    score = document.metadata.get(balance_by)
    if isinstance(score, bool) or not isinstance(score, (int, float)):
        return stratum, NO_SCORE
    if isinstance(score, float) and not math.isfinite(score):  # an int can be too large for isfinite
        return stratum, NO_SCORE
    return stratum, str(round(min(max(score, 0), LARGEST_BIN)))
