"""The settings of a study: what is claimed, who is compared, and by which test."""

import dataclasses
import itertools
import math
import re
from collections.abc import Mapping
from typing import Literal

from core import names
from core.choices import key_of
from core.errors import ConfigError, nearest
from core.overrides import is_sweep
from core.sweep.points import SINGLE
from core.typed import setting

RANGE = re.compile(r"range\(\s*(?:(-?\d+)\s*,\s*)?(-?\d+)\s*\)")
MOST_SEEDS = 1000


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudyConfig:
    """A claim, the runs that it is about, and the test that decides it.

    The claim is always that each arm is better than the control, in ``metric`` and ``direction``.
    """

    claim: str = setting(min_length=1)
    """What the study is to show, in one sentence."""
    arms: Mapping[str, tuple[str, ...]] = setting(min_length=2)
    """What sets each arm apart: its name, and its overrides."""
    control: str = setting(min_length=1)
    """The arm that the others are compared with."""
    metric: str = setting(min_length=1)
    """What is compared: a name of the sweep's table, such as ``pretrain.validation_loss``."""
    direction: Literal["lower", "higher"]
    """Which values of the metric are better."""
    base: tuple[str, ...] = ()
    """Overrides that all arms share."""
    seeds: tuple[int, ...] | str = "range(0,5)"
    """The seeds, of which each arm gets all: a list, or ``range(0,5)``, which is 0 to 4."""
    seed_key: str = setting("pretrain.seed", min_length=1)
    """The setting that gets the seed. What it does not concern, such as the corpus, is made once."""
    test: Literal["permutation", "paired_t"] = "paired_t"
    """``permutation``: of the signs of the differences by seed, exact up to 16 seeds, with no assumption about their
    distribution; no fewer than 5 seeds can give p < 0.05. ``paired_t``: Student's; takes the differences for normal."""
    alpha: float = setting(0.05, gt=0, lt=0.5)
    """A p-value below it decides."""
    power: float = setting(0.8, gt=0, lt=1)
    """With which probability the number of seeds that is named would decide, if the difference is as large as seen."""
    smallest: float | None = setting(None, gt=0)
    """The smallest difference worth having, in the unit of the metric; None: any. Where the interval excludes it, the
    claim does not hold."""
    equal: Mapping[str, float] = setting(default_factory=dict, ge=0, lt=1)
    """What the arms must have in common for the comparison to be fair: metric to the share by which two may differ at
    most, as ``{pretrain.stored_parameters: 0.02}``."""

    def __post_init__(self) -> None:
        for name in self.arms:
            names.check(name, "arms")
        if self.control not in self.arms:
            guess = nearest(self.control, self.arms)
            raise ConfigError(f"control={self.control}: no such arm.{guess} Arms: {', '.join(self.arms)}.")
        object.__setattr__(self, "seeds", _seeds(self.seeds))
        for first, second in itertools.combinations(self.arms, 2):
            if self.arms[first] == self.arms[second]:
                raise ConfigError(f"arms.{second}: has the overrides of arms.{first}. Two arms must differ.")
        for name, overrides in self.arms.items():
            check_overrides(overrides, self.seed_key, f"arms.{name}: ")
            for override in overrides:
                if (key := key_of(override).partition(".")[0]) in SINGLE:
                    raise ConfigError(f"arms.{name}: {override}: {key} is one for all arms. Give it in base.")
        check_overrides(self.base, self.seed_key, "base: ")

    @property
    def all_seeds(self) -> tuple[int, ...]:
        """The seeds, written out."""
        assert isinstance(self.seeds, tuple)
        return self.seeds

    @property
    def others(self) -> tuple[str, ...]:
        """The arms that are compared with the control."""
        return tuple(name for name in self.arms if name != self.control)

    @property
    def sign(self) -> int:
        """What a difference is multiplied with so that more is better."""
        return 1 if self.direction == "higher" else -1


def check_overrides(overrides: tuple[str, ...], seed_key: str, where: str = "") -> None:
    """Refuse an override of what the study sets itself, and one that asks for several runs.

    Raises:
        ConfigError: naming it.
    """
    for override in overrides:
        if override.lstrip("+~").partition("=")[0] == seed_key:
            raise ConfigError(f"{where}{override}: the study sets {seed_key} itself. Give seeds=[...] instead.")
        if is_sweep(override):
            raise ConfigError(
                f"{where}{override}: several values, and a study has one run of an arm for each seed. Make an arm of "
                "each, or write a list in brackets."
            )


def _seeds(given: tuple[int, ...] | str) -> tuple[int, ...]:
    if isinstance(given, str):
        match = RANGE.fullmatch(given.strip())
        if match is None:
            raise ConfigError(f"seeds={given}: write a list, seeds=[0,1,2], or seeds=range(0,3).")
        first, last = int(match[1] or 0), int(match[2])
        if last - first > MOST_SEEDS:
            raise ConfigError(f"seeds={given}: {last - first} seeds; at most {MOST_SEEDS}.")
        seeds = tuple(range(first, last))
    else:
        seeds = given
    for seed in seeds:
        if not 0 <= seed <= 2**32 - 1:
            raise ConfigError(f"seeds={seed}: a seed is from 0 to {2**32 - 1}.")
        if seeds.count(seed) > 1:
            raise ConfigError(f"seeds: {seed} is named twice. The same run twice says nothing new; name it once.")
    if len(seeds) < 2:
        said = "one seed" if seeds else "no seeds"
        raise ConfigError(f"seeds: {said}, and a difference cannot be told from chance by it. Give at least 2.")
    return seeds


def least_for_permutation(alpha: float) -> int:
    """Return the fewest seeds with which a permutation test can give p < alpha: it has 2^n ways to set signs."""
    return math.floor(math.log2(1 / alpha)) + 1
