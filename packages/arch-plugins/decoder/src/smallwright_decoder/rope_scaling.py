"""RoPE's scaling: when two configurations compute the same, and which settings of the decoder give it."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

SETTINGS = {"factor": "rope_factor", "original_max_position_embeddings": "rope_original_max_position"}
"""The decoder's setting for each number that it lets one choose."""
LLAMA3 = {"low_freq_factor": 1.0, "high_freq_factor": 4.0}
"""Constants of Llama 3.1's scaling, the same in every decoder that has it."""
KINDS = ("yarn", "dynamic", "llama3")
"""Scalings that the decoder has."""


@dataclasses.dataclass(frozen=True)
class Scaling:
    """A scaling by its kind and its numbers, those that Transformers takes when they are not given left out."""

    kind: str = "none"
    numbers: tuple[tuple[str, float], ...] = ()

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> "Scaling":
        """Read ``rope_parameters`` of a configuration."""
        kind = str(parameters.get("rope_type") or "default")
        if kind == "default":
            return cls()
        numbers = {
            key: float(value)
            for key, value in parameters.items()
            if key != "rope_theta" and isinstance(value, (int, float)) and not isinstance(value, bool)
        }
        if numbers.get("partial_rotary_factor") == 1.0:
            del numbers["partial_rotary_factor"]
        if kind == "yarn":
            numbers = _without_defaults(numbers)
            if parameters.get("truncate") is False:  # the ramp's ends are rounded unless this forbids it
                numbers["truncate"] = 0.0
        return cls(kind, tuple(sorted(numbers.items())))

    def advice(self) -> str | None:
        """Return the settings of the decoder that give this scaling; None: it has none that do."""
        if self.kind == "none":
            return "arch.rope_scaling=none arch.rope_factor=1 arch.rope_original_max_position=null"
        numbers = dict(self.numbers)
        fixed = LLAMA3 if self.kind == "llama3" else {}
        if self.kind not in KINDS or any(numbers.get(key) != value for key, value in fixed.items()):
            return None
        if not numbers.keys() <= {*SETTINGS, *fixed}:
            return None
        given = [f"arch.{SETTINGS[key]}={value:g}" for key, value in numbers.items() if key in SETTINGS]
        return " ".join([f"arch.rope_scaling={self.kind}", *given])

    def __str__(self) -> str:
        if self.kind == "none":
            return "none"
        return f"{self.kind} ({', '.join(f'{key} {value:g}' for key, value in self.numbers)})"


UNSCALED = Scaling()


def _without_defaults(numbers: dict[str, float]) -> dict[str, float]:
    """Return YaRN's numbers without those that say what holds anyhow (arXiv 2309.00071, and Transformers' code).

    The ramp is from 32 to 1 rotations. Attention is scaled by 0.1 ln(factor) + 1, or as ``attention_factor`` says, or
    by the ratio of two such values, where both ``mscale`` and ``mscale_all_dim`` are given.
    """
    kept = dict(numbers)
    for key, default in (("beta_fast", 32.0), ("beta_slow", 1.0)):
        if kept.get(key, default) in (default, 0.0):
            kept.pop(key, None)
    factor = kept.get("factor", 1.0)
    one, other = kept.pop("mscale", 0.0), kept.pop("mscale_all_dim", 0.0)
    usual = _attention(factor, 1.0)
    computed = _attention(factor, one) / _attention(factor, other) if one and other else usual
    attention = kept.pop("attention_factor", computed)
    if not math.isclose(attention, usual, rel_tol=1e-6):
        kept["attention_factor"] = attention
    return kept


def _attention(factor: float, scale: float) -> float:
    return 0.1 * scale * math.log(factor) + 1.0 if factor > 1 else 1.0
