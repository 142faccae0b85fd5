"""Which layers a child keeps, where nothing has to be measured. Light: planning asks, too."""

import dataclasses

from core.errors import UserError


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerChoice:
    """The kept layers, and what they were chosen by."""

    kept: list[int]
    rule: str
    scores: list[float] | None = None
    """Score of each layer; for ``contiguous`` of each run of dropped layers, by its first. None: not measured."""
    meaning: str = ""
    """What a score is, with its unit."""
    loss: float | None = None
    """Loss of the whole source on the same windows, where scores are losses."""


def select_layers(rule: str | tuple[int, ...], of: int, keep: int) -> LayerChoice:
    """Choose without measuring: both ends, or the list that was given.

    Raises:
        core.errors.UserError: when a list does not name ``keep`` layers of the source.
    """
    if rule == "first_last":
        first = -(-keep // 2)
        return LayerChoice(kept=[*range(first), *range(of - (keep - first), of)], rule="first_last")
    assert not isinstance(rule, str), f"{rule} must be measured"
    layers = list(rule)
    if len(layers) != keep or not all(0 <= layer < of for layer in layers):
        raise UserError(
            f"arch.initializer.layers={layers}: must name arch.num_hidden_layers={keep} of the source's "
            f"layers 0 to {of - 1}."
        )
    return LayerChoice(kept=layers, rule="list")
