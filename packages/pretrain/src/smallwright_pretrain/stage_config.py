"""Settings of one stage of a training, and what it takes from the stage before it."""

import dataclasses
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from core.typed import setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class StageConfig:
    """A part of a training with a mixture, a length of sequences and a batch of its own.

    What is not set is as in the stage before; in the first one, as in ``pretrain``.
    """

    tokens: int = setting(ge=1)
    """Length of the stage in tokens. It ends at the nearest whole batch; ``pretrain.steps`` scales all stages."""
    mixture: Mapping[str, Any] | None = None
    """As ``pretrain.mixture``."""
    seq_len: int | None = setting(None, ge=1, le=2**31 - 1)
    """As ``pretrain.seq_len``."""
    rope_theta: float | None = setting(None, gt=0)
    """Base of the rotary position embedding; None in the first stage: the architecture's. The model that comes out has
    the last stage's."""
    global_batch_size: int | None = setting(None, ge=1)
    """As ``pretrain.global_batch_size``."""
    micro_batch_size: int | None = setting(None, ge=1, identity=False)
    """As ``pretrain.micro_batch_size``: longer sequences may need a smaller one."""
    validation_interval: int | None = setting(None, ge=1, identity=False)
    """As ``pretrain.validation_interval``; the loss is also measured at the end of every stage."""

    @property
    def batch_tokens(self) -> int:
        """Tokens per optimizer step, of a stage in which every setting is said."""
        assert self.seq_len is not None
        assert self.global_batch_size is not None
        return self.seq_len * self.global_batch_size

    @property
    def length(self) -> Fraction:
        """Optimizer steps, before they are rounded."""
        return Fraction(self.tokens, self.batch_tokens)


def filled(stages: Mapping[str, StageConfig], first: Mapping[str, Any]) -> dict[str, StageConfig]:
    """Return the stages with every setting said that has a value, so that a value which was given is the same.

    Args:
        first: What holds where no stage has set it yet, by the names of the fields.
    """
    result, current = {}, dict(first)
    for name, stage in stages.items():
        own = {key: value for key, value in dataclasses.asdict(stage).items() if value is not None}
        current = {**current, **own}
        result[name] = StageConfig(**current)
    return result


def steps_of(stages: Mapping[str, StageConfig]) -> int:
    """Return the steps that the stages take by their tokens, at least one each."""
    return max(len(stages), round(sum((stage.length for stage in stages.values()), Fraction())))


def last_steps(stages: Mapping[str, StageConfig], steps: int) -> list[int]:
    """Return the last step of each stage in a run of ``steps``: all ends are scaled alike, then rounded.

    Every stage has a step at least, so there must be as many steps as stages.
    """
    lengths = [stage.length for stage in stages.values()]
    whole, done, ends = sum(lengths, Fraction()), Fraction(), [0]
    for number, length in enumerate(lengths, start=1):
        done += length
        left_to_others = len(lengths) - number
        ends.append(min(max(round(done * steps / whole), ends[-1] + 1), steps - left_to_others))
    return ends[1:]
