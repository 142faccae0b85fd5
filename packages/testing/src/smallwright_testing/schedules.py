"""What holds for a schedule of the learning rate: shares of the peak, and the same ones in every process."""

import math
from collections.abc import Sequence
from typing import ClassVar

from core.interfaces import Schedule

from smallwright_testing.base import Conformance


class ScheduleConformance(Conformance):
    """Tests of a schedule, on the lengths of some trainings. ::

    class TestMine(ScheduleConformance):
        plugin = "mine"
    """

    kind = "schedules"
    where = "pretrain.schedule.settings"
    lengths: ClassVar[Sequence[tuple[int, int]]] = ((1, 0), (7, 3), (48, 4), (1000, 10), (1000, 1000))
    """Steps of a training, and those of its warm-up."""

    @classmethod
    def schedule(cls) -> Schedule:
        """Return the schedule, made anew."""
        entry = cls.entry()
        made: Schedule = entry.build(entry.settings(cls.given(), cls.where))
        return made

    @classmethod
    def shares(cls, steps: int, warmup_steps: int) -> list[float]:
        """Return the rates behind the warm-up as shares of the peak."""
        made = cls.schedule()
        return [made.share(step, steps, warmup_steps) for step in range(max(1, warmup_steps), steps + 1)]

    def test_rates_are_shares_of_the_peak(self) -> None:
        for length in self.lengths:
            for share in self.shares(*length):
                assert isinstance(share, int | float)
                assert math.isfinite(share)
                assert 0 <= share <= 1, (length, share)

    def test_a_rate_follows_from_its_arguments_alone(self) -> None:
        """Ranks ask it singly and in any order, a resumed run in another process."""
        for steps, warmup_steps in self.lengths:
            forward = self.shares(steps, warmup_steps)
            made = self.schedule()
            backward = [made.share(step, steps, warmup_steps) for step in range(steps, max(1, warmup_steps) - 1, -1)]
            assert backward[::-1] == forward
