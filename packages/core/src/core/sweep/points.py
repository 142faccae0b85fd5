"""The runs of a sweep, out of a command line in Hydra's sweep grammar.

======================================= ==========================================================================
written                                 the values
======================================= ==========================================================================
``key=a,b``, ``key=choice(a,b)``        those named; ``eval.tasks=[a],[b]`` are two lists
``key=range(0,5)``, ``range(0,1,0.2)``  from the first up to, and without, the second
``group=glob(*)``, ``glob(*,exclude=x)``  the options of a config group whose names match
``key=interval(1,2)``                   ``--samples N`` values between the two; ``int(interval(1,9))`` whole numbers,
                                        ``tag(log,interval(1e-5,1e-2))`` as likely in each tenfold as in another
``sort(...)``, ``shuffle(...)``         the values in order, or in one that the seed chooses
======================================= ==========================================================================
"""

import dataclasses
import itertools
import math
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Glob, IntervalSweep, Override, RangeSweep, Sweep, Transformer
from hydra.errors import HydraException

from core import compose
from core.errors import ConfigError
from core.overrides import CLOSES, OVERRIDE, refuse_open, split, unmatched
from core.registry import Registry

MOST = 1000
"""Runs of a sweep, unless its user allows more: a slip in a range is seen before it costs a week."""
SINGLE = ("store", "run_dir", "name", "launcher")
"""Settings of the sweep as a whole."""
CALL = re.compile(r"(choice|range|interval|glob|sort|shuffle|tag|int|float|str|bool)\(.*\)", re.DOTALL)
"""Functions of Hydra's grammar that make or change a sweep."""
COUNTED = 100_000
"""Values of one range that are counted before it is refused; a range that nobody meant can have billions."""
TRIES = 1000
"""Draws for each sample, until one differs from those before."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Point:
    """One run of a sweep."""

    overrides: tuple[str, ...]
    """Its whole command line, without sweep grammar."""
    values: Mapping[str, str]
    """What differs from the other runs: key to value as written; the columns of the table."""

    def label(self) -> str:
        """Return what differs, for people: ``arch=gqa seed=1``."""
        return " ".join(f"{key}={value}" for key, value in self.values.items())


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Axis:
    """An override, with its values where it is a sweep."""

    written: str
    start: str = ""
    """What stands before the value: ``+arch=``."""
    key: str = ""
    values: Sequence[str] | None = None
    interval: IntervalSweep | None = None

    @property
    def swept(self) -> bool:
        return self.values is not None or self.interval is not None


def expand(
    overrides: Sequence[str], registry: Registry, *, samples: int | None = None, seed: int = 0, most: int = MOST
) -> list[Point]:
    """Return the runs that a command line in Hydra's sweep grammar asks for; the last sweep changes fastest.

    Args:
        overrides: As the user wrote them.
        registry: What is installed: the options that a glob over a group chooses among.
        samples: How many runs are drawn from the intervals; each draw has a value of every interval. The first ones
            stay when more are asked for.
        seed: What they are drawn from.
        most: The most runs.

    Raises:
        ConfigError: a sweep of no runs, of too many, or one that cannot be read.
    """
    if most < 1:
        raise ConfigError(f"--max-runs {most}: allow at least one.")
    axes = _last_ones([_axis(override, registry, seed, most) for override in overrides])
    intervals = [axis for axis in axes if axis.interval is not None]
    if samples is not None and (samples < 1 or not intervals):
        why = "draw at least one." if samples < 1 else "no setting has an interval to draw from: <key>=interval(1,2)."
        raise ConfigError(f"--samples {samples}: {why}")
    if intervals and samples is None:
        raise ConfigError(f"{intervals[0].written}: an interval has no number of values. Draw some: --samples 10.")
    free = [[(axis, value) for value in axis.values] for axis in axes if axis.values is not None]
    count = math.prod(map(len, free)) * (samples or 1)
    if count > most:
        asked = " ".join(axis.written for axis in axes if axis.swept)
        if any(len(values) >= COUNTED for values in free):  # no more were counted
            raise ConfigError(f"{asked}: at least {count:,} runs, more than {most:,}. Take fewer.")
        raise ConfigError(
            f"{asked}: {count:,} runs, more than {most:,}. Take fewer, or allow them: --max-runs {count}."
        )
    drawn = _draw(intervals, samples or 0, seed)
    place = sum(axis.values is not None for axis in axes[: axes.index(intervals[0])]) if intervals else len(free)
    before, behind = (list(itertools.product(*part)) for part in (free[:place], free[place:]))
    return [
        _point(axes, {axis.key: value for axis, value in (*first, *draw, *last)})
        for first in before
        for draw in (drawn if intervals else [()])
        for last in behind
    ]


def seed_of(overrides: Sequence[str]) -> int:
    """Return the one ``seed=`` of a command line, which draws and shuffles; 0 where there is none, or a sweep."""
    given = [match["value"] for match in map(OVERRIDE.match, overrides) if match and match["key"] == "seed"]
    return int(given[-1]) if given and given[-1] and given[-1].isdecimal() else 0


def _point(axes: Sequence[_Axis], chosen: Mapping[str, str]) -> Point:
    overrides = tuple(f"{axis.start}{chosen[axis.key]}" if axis.swept else axis.written for axis in axes)
    return Point(overrides=overrides, values={axis.key: chosen[axis.key] for axis in axes if axis.swept})


def _last_ones(axes: Sequence[_Axis]) -> list[_Axis]:
    """Leave out what a later override of the same key replaces, where one of them is a sweep."""
    swept = {axis.key for axis in axes if axis.swept}
    last = {axis.key: axis for axis in axes}
    return [axis for axis in axes if axis.key not in swept or axis is last[axis.key]]


def _axis(override: str, registry: Registry, seed: int, most: int) -> _Axis:
    """Read one override.

    Raises:
        ConfigError: it is a sweep that cannot be, naming it.
    """
    match = OVERRIDE.match(override)
    value = (match["value"] or "").strip() if match is not None else ""
    if match is None or match["prefix"] == "~" or not value:
        return _Axis(written=override)
    key = match["key"]
    fixed = _Axis(written=override, key=key)
    refuse_open(key, value)
    if (sign := unmatched(value)) is not None:
        wrong = f"the {sign} is not closed" if sign in CLOSES else f"the {sign} closes nothing"
        alone = f"'{key}=\"{value}\"'"
        raise ConfigError(f"{override}: {wrong}. Mend it, or put quotes where it belongs to one value: {alone}.")
    pieces = [piece.strip() for piece in split(value, ",")]
    if len(pieces) == 1 and CALL.fullmatch(value) is None:
        return fixed
    parsed = _parsed(override, key, value) if len(pieces) == 1 else None
    if parsed is not None and not parsed.is_sweep_override():
        return fixed
    if key.partition(".")[0] in SINGLE:
        raise ConfigError(f"{override}: {key.partition('.')[0]} is one for all runs of a sweep. Give one value.")
    start = override[: match.start("value")]
    swept = _Axis(written=override, start=start, key=key, values=pieces)
    if parsed is None:
        for piece in pieces:
            if not piece or _is_sweep(piece):
                wrong = f"{piece} is a sweep itself" if piece else "one is empty"
                raise ConfigError(f"{override}: of the values {wrong}. Write {key}=<value>,<value>.")
    elif isinstance(interval := parsed.value(), IntervalSweep):
        return dataclasses.replace(swept, values=None, interval=_checked(interval, override))
    else:
        swept = dataclasses.replace(swept, values=_values(parsed, override, key, value, registry, seed, most))
    return swept


def _parsed(override: str, key: str, value: str) -> Override:
    try:
        return OverridesParser.create().parse_override(f"{key}={value}")
    except (HydraException, TypeError, ValueError) as error:
        said = str(error.__cause__ or error).strip().splitlines()[0]
        raise ConfigError(f"{override}: cannot be read as a sweep: {said}") from error


def _is_sweep(value: str) -> bool:
    return CALL.fullmatch(value) is not None and _parsed(value, "key", value).is_sweep_override()


def _values(
    parsed: Override, override: str, key: str, value: str, registry: Registry, seed: int, most: int
) -> list[str]:
    """Return the values of a choice, a range or a glob."""
    sweep: Any = parsed.value()
    if isinstance(sweep, Glob):
        options = sorted(compose.option_index(registry).get(key.replace(".", "/"), {}))
        if not options:
            raise ConfigError(f"{override}: {key} is no group of options, and a glob chooses among those.")
        if not (chosen := sweep.filter(options)):
            raise ConfigError(f"{override}: no option of {key} matches. Installed: {', '.join(options)}.")
        return chosen
    assert isinstance(sweep, ChoiceSweep | RangeSweep)
    if isinstance(sweep, RangeSweep) and not sweep.step:
        raise ConfigError(f"{override}: steps of 0 never come to an end. Give another step.")
    if isinstance(sweep, ChoiceSweep) and any(isinstance(one, Sweep) for one in sweep.list):
        raise ConfigError(f"{override}: one of the values is a sweep itself. Write {key}=<value>,<value>.")
    shuffled, sweep.shuffle = sweep.shuffle, False  # Hydra's own order would be another each time
    try:
        values = list(map(_written, itertools.islice(parsed.sweep_iterator(), max(most + 1, COUNTED))))
    except (HydraException, ValueError, TypeError) as error:
        raise ConfigError(f"{override}: {str(error).splitlines()[0]}.") from error
    if not values:
        raise ConfigError(f"{override}: there is no value in it.")
    if value.startswith("choice("):
        written = [piece.strip() for piece in split(value[len("choice(") : -1], ",")]
        values = written if len(written) == len(values) else values
    if shuffled:
        random.Random(f"{seed} {key}").shuffle(values)
    return values


def _written(value: Any) -> str:
    """Return a value as a user would write it: ``0.9`` for the 0.8999999999999999 of a range in steps of 0.3."""
    return f"{value:.12g}" if isinstance(value, float) else str(Transformer.str(value))


def _checked(interval: IntervalSweep, override: str) -> IntervalSweep:
    low, high = interval.start, interval.end
    assert low is not None
    assert high is not None
    if not -math.inf < low < high < math.inf:
        raise ConfigError(f"{override}: from {low} to {high} there is nothing to draw: give two numbers, low and high.")
    if other := sorted(interval.tags - {"log"}):
        raise ConfigError(f"{override}: tag {other[0]}: of an interval only the tag log is known.")
    if "log" in interval.tags and low <= 0:
        raise ConfigError(f"{override}: tag log: needs numbers above 0.")
    return interval


def _draw(axes: Sequence[_Axis], samples: int, seed: int) -> list[tuple[tuple[_Axis, str], ...]]:
    """Return different draws, each with a value of every interval."""
    streams = [_stream(axis, seed) for axis in axes]
    drawn: dict[tuple[str, ...], None] = {}
    for _ in range(samples * TRIES if axes else 0):
        drawn[tuple(map(next, streams))] = None
        if len(drawn) == samples:
            break
    if axes and len(drawn) < samples:
        asked = " ".join(axis.written for axis in axes)
        raise ConfigError(f"{asked}: --samples {samples}: has only {len(drawn)} different values. Draw no more.")
    return [tuple(zip(axes, values, strict=True)) for values in drawn]


def _stream(axis: _Axis, seed: int) -> Iterator[str]:
    """Yield values of an interval; each has a stream of its own, so that another one beside it changes none."""
    assert axis.interval is not None
    source, low, high = random.Random(f"{seed} {axis.key}"), axis.interval.start, axis.interval.end
    assert low is not None
    assert high is not None
    whole, log = isinstance(low, int) and isinstance(high, int), "log" in axis.interval.tags
    while True:
        number = math.exp(source.uniform(math.log(low), math.log(high))) if log else source.uniform(low, high)
        yield str(math.floor(number)) if whole else f"{number:.6g}"
