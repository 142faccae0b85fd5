"""Which schedule of the learning rate a training has: one of ours by its name, or one of a plugin."""

import dataclasses
import functools
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from core import travel
from core.errors import ConfigError, nearest
from core.schedule import Schedule
from core.typed import setting

if TYPE_CHECKING:
    from core.registry import Registry

OURS = ("wsd", "cosine", "linear", "constant")
TRIED = 1000
"""Steps of a plugin's schedule that planning looks at, spread evenly."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PluginSchedule:
    """A schedule that a plugin registered with ``register_schedules``."""

    name: str = setting(min_length=1)
    settings: Mapping[str, Any] | None = None
    """Of the schedule."""
    by: Mapping[str, Any] | None = None
    """Who offers it; planning writes it."""
    made: Mapping[str, Any] | None = setting(None, identity=False)
    """Its classes, as another process builds them; planning writes it."""

    def share(self, step: int, steps: int, warmup_steps: int) -> float:
        """Return what the plugin's :meth:`core.schedule.Schedule.share` says."""
        assert self.made is not None, "planning finds the plugin"
        return _schedule(json.dumps(self.made)).share(step, steps, warmup_steps)


@functools.lru_cache(maxsize=16)
def _schedule(made: str) -> Schedule:
    schedule: Schedule = travel.rebuild(json.loads(made), "pretrain.schedule.settings")
    return schedule


def name_of(schedule: str | PluginSchedule) -> str:
    """Return the name by which users choose a schedule."""
    return schedule if isinstance(schedule, str) else schedule.name


def resolved(schedule: str | PluginSchedule, registry: "Registry", where: str) -> str | PluginSchedule:
    """Return a schedule with the classes of the plugin that has it.

    Args:
        where: Place of the setting, ``pretrain.schedule``.

    Raises:
        core.errors.UserError: there is none of that name, or it does not take these settings.
    """
    name = name_of(schedule)
    if name in OURS:
        if isinstance(schedule, PluginSchedule):
            raise ConfigError(f"{where}.name={name}: is no plugin's. Set {where}={name}.")
        return schedule
    known = registry.names("schedules")
    if name not in known:
        names = [*OURS, *known]
        raise ConfigError(f"{where}={name}: must be one of {', '.join(names)}.{nearest(name, names)}")
    entry = registry.get("schedules", name)
    given = {} if isinstance(schedule, str) else schedule.settings or {}
    config = entry.settings(given, f"{where}.settings")
    made = travel.describe(entry.build(config))
    assert made is not None
    return PluginSchedule(name=name, settings=made["values"], by=entry.identity(), made=made)


def check_shares(schedule: PluginSchedule, steps: int, warmup_steps: int, where: str) -> None:
    """Refuse a plugin's schedule that gives what is no share of the peak.

    Raises:
        core.errors.ConfigError: naming the first such step.
    """
    first = max(1, warmup_steps)
    for step in dict.fromkeys([*range(first, steps + 1, max(1, (steps - first) // TRIED)), steps]):
        try:
            share = schedule.share(step, steps, warmup_steps)
        except Exception as error:  # whatever a plugin raises
            raise ConfigError(
                f"{where}={schedule.name}: gives no rate for step {step} ({type(error).__name__}: {error})."
            ) from error
        if not (isinstance(share, int | float) and 0 <= share <= 1):
            raise ConfigError(f"{where}={schedule.name}: step {step} has {share} of the peak; it must be from 0 to 1.")
