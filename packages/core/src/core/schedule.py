"""What a schedule of the learning rate must answer, where a plugin brings one."""

from abc import ABC, abstractmethod
from typing import Any


class Schedule(ABC):
    """The rate of every step of a training, as a pure function.

    The same arguments give the same answer in every process: the plan prints it, each rank asks anew, and a longer
    training of the same settings goes on from the checkpoints of a shorter one as long as their rates are the same.
    """

    def __init__(self, config: Any = None) -> None:
        self.config = config

    @abstractmethod
    def share(self, step: int, steps: int, warmup_steps: int) -> float:
        """Return the rate of a step as a share of the peak, from 0 to 1.

        Args:
            step: From ``warmup_steps`` (from 1 without a warm-up) to ``steps``; before it the trainer warms up.
            steps: Of the whole training.
            warmup_steps: Over which the rate rises to the peak.
        """
