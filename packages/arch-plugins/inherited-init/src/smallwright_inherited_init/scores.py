"""The scores of layers, heads, neurons and channels as a report shows them, and which of them were kept."""

from collections.abc import Mapping, Sequence
from typing import Any

from smallwright_inherited_init.layer_choice import LayerChoice

MOST = 120
"""Structures shown of each group; of more, every n-th by score, of the kept ones and of those left out."""


def shown_scores(
    choice: LayerChoice, scores: Mapping[str, Sequence[float]], report: Mapping[str, Any]
) -> dict[str, list[list[Any]]]:
    """Return ``[place, score, kept]`` of structures, by the report's keys, such as ``neurons.3``; first ``layers``.

    Args:
        scores: Score of each structure.
        report: What was kept, by the same keys: ``indices``.
    """
    found = {"layers": _layers(choice)} if choice.scores else {}
    return found | {key: _thinned(values, set(report[key]["indices"])) for key, values in scores.items()}


def _layers(choice: LayerChoice) -> list[list[Any]]:
    assert choice.scores is not None
    kept = set(choice.kept)
    if choice.rule == "contiguous":  # a score is that of leaving out the stretch that begins there
        first = next((place for place in range(len(choice.scores)) if place not in kept), None)
        kept = set(range(len(choice.scores))) - {first}
    return [[place, _short(score), place in kept] for place, score in enumerate(choice.scores)]


def _thinned(values: Sequence[float], kept: set[int]) -> list[list[Any]]:
    order = sorted(range(len(values)), key=lambda place: values[place])
    stride = -(-len(values) // MOST)
    shown: list[int] = []
    for side in (True, False):
        shown += [place for place in order if (place in kept) is side][::stride]
    return [[place, _short(values[place]), place in kept] for place in sorted(shown)]


def _short(score: float) -> float:
    return float(f"{float(score):.4g}")
