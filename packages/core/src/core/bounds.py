"""The limits of a setting's numbers and the least length of its lists, declared beside its default."""

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any

from core.errors import ConfigError

LARGEST = 2**63 - 1
"""Largest whole number that a setting takes: libraries hold them in 64 bits."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bounds:
    """What a value must be; in a list or a mapping, each number.

    The names are those of pydantic: greater or equal, greater than, less or equal, less than.
    """

    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    min_length: int | None = None
    """Least number of items of a list or mapping, or of characters of a text."""

    def words(self) -> str:
        """Return the bounds as the help writes them, such as ``above 0 and at most 1``."""
        return ", ".join(filter(None, [self._number(), self._length()]))

    def check(self, value: Any, where: str, or_null: str = "") -> None:
        """Refuse a value outside of the bounds; None passes.

        Args:
            where: Place of the value in the configuration, for the message.
            or_null: What the message says where None would do, such as ``", or null"``.

        Raises:
            ConfigError: naming the first number that is too small or too large.
        """
        if self.min_length is not None and value is not None and len(value) < self.min_length:
            shown = "''" if value == "" else list(value) if isinstance(value, tuple) else value
            empty = self.min_length == 1
            raise ConfigError(f"{where}={shown}: must {'not be empty' if empty else f'be {self._length()}'}{or_null}.")
        for place, number in _numbers(value, where):
            if not self._admit(number):
                or_else = or_null if place == where else ""
                raise ConfigError(f"{place}={_shown(number)}: must be {self._number()}{or_else}.")

    def _number(self) -> str:
        if self.ge is not None and self.le is not None:
            return f"from {_shown(self.ge)} to {_shown(self.le)}"
        limits = (("at least", self.ge), ("above", self.gt), ("at most", self.le), ("below", self.lt))
        return " and ".join(f"{word} {_shown(limit)}" for word, limit in limits if limit is not None)

    def _length(self) -> str:
        if self.min_length is None:
            return ""
        return "not empty" if self.min_length == 1 else f"of length {self.min_length} or more"

    def _admit(self, number: float) -> bool:
        above = (self.ge is None or number >= self.ge) and (self.gt is None or number > self.gt)
        return above and (self.le is None or number <= self.le) and (self.lt is None or number < self.lt)


def _shown(number: float) -> str:
    return f"{number:.12g}" if isinstance(number, float) else str(number)


def check_finite(value: Any, where: str) -> None:
    """Refuse what no setting means: NaN, which passes every comparison, infinities, and integers beyond 64 bits.

    Raises:
        ConfigError: naming the first such number.
    """
    for place, number in _numbers(value, where):
        if isinstance(number, float) and not math.isfinite(number):
            raise ConfigError(f"{place}={number}: must be a finite number.")
        if isinstance(number, int) and abs(number) > LARGEST:
            raise ConfigError(f"{place}={number}: must be a whole number of 64 bits, at most {LARGEST}.")


def _numbers(value: Any, where: str) -> Iterator[tuple[str, float]]:
    """Yield each number of a value with its place."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        yield where, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _numbers(item, f"{where}.{key}")
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _numbers(item, f"{where}[{index}]")
