"""A schedule that falls in steps, as that of DeepSeek LLM: registered as any plugin's would be."""

import dataclasses
from collections.abc import Mapping

from core.errors import ConfigError
from core.schedule import Schedule
from core.typed import setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class MultiStepConfig:
    """Where the rate falls."""

    levels: Mapping[str, float] = setting(default_factory=lambda: {"0.8": 0.316, "0.9": 0.1}, ge=0, le=1)
    """Share of the steps to the share of the peak that holds behind it. By default those of DeepSeek LLM (arXiv
    2401.02954, section 2.3)."""

    def __post_init__(self) -> None:
        for place in self.levels:
            try:
                inside = 0 < float(place) < 1
            except ValueError:
                inside = False
            if not inside:
                raise ConfigError(f"levels.{place}: must be a share of the steps between 0 and 1, such as 0.8.")


class MultiStep(Schedule):
    """Holds the peak, and falls to another level at each of some places."""

    config: MultiStepConfig

    def share(self, step: int, steps: int, warmup_steps: int) -> float:
        """See :meth:`core.schedule.Schedule.share`."""
        passed = [float(place) for place in self.config.levels if step > float(place) * steps]
        levels = {float(place): level for place, level in self.config.levels.items()}
        return levels[max(passed)] if passed else 1.0
