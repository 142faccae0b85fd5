"""The stages of a training with their first and last steps, and what can run on without a new start of the ranks.

Everything here is a pure function of the settings, for planning and for training.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from core.errors import ConfigError
from core.interfaces import Architecture

from smallwright_pretrain.config import TorchTitanConfig
from smallwright_pretrain.rounds_config import NAME
from smallwright_pretrain.stage_config import last_steps, steps_of

ONLY = "all"
"""Name of the one stage of a training without ``stages``."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stage:
    """A part of the run in which nothing changes but the rate."""

    name: str
    first: int
    """Its first optimizer step, counted from 1 over the whole run."""
    last: int
    seq_len: int
    global_batch_size: int
    micro_batch_size: int | None
    rope_theta: float | None
    """None: the architecture's."""
    mixture: Mapping[str, Any] | None
    validation_interval: int
    wanted: int | None = None
    """Tokens that the settings ask for; None: they ask for steps."""
    round: int = 1
    """Of which round it is, from 1 on; those behind the first train on windows that were drawn, of no mixture."""

    @property
    def steps(self) -> int:
        return self.last - self.first + 1

    @property
    def batch_tokens(self) -> int:
        return self.seq_len * self.global_batch_size

    @property
    def sequences(self) -> int:
        return self.steps * self.global_batch_size

    @property
    def tokens(self) -> int:
        return self.steps * self.batch_tokens

    @property
    def kind(self) -> tuple[int, int, int | None, float | None, int]:
        """What the ranks are started with; stages of one kind that follow one another are one segment."""
        return self.seq_len, self.global_batch_size, self.micro_batch_size, self.rope_theta, self.round


@dataclasses.dataclass(frozen=True, kw_only=True)
class Segment:
    """A row of stages that the same ranks train one after another."""

    stages: tuple[Stage, ...]

    @property
    def first(self) -> int:
        return self.stages[0].first

    @property
    def last(self) -> int:
        return self.stages[-1].last

    @property
    def rope_theta(self) -> float | None:
        return self.stages[0].rope_theta

    def settings(self, config: TorchTitanConfig) -> TorchTitanConfig:
        """Return the settings with which the ranks train this segment; steps and schedule are the whole run's."""
        stage = self.stages[0]
        return dataclasses.replace(
            config,
            seq_len=stage.seq_len,
            global_batch_size=stage.global_batch_size,
            micro_batch_size=stage.micro_batch_size,
        )


def stages(config: TorchTitanConfig) -> tuple[Stage, ...]:
    """Return the stages of a run in their order; one where the settings have none; further rounds behind them."""
    first, *later = config.steps_of_rounds
    row = list(_declared(config, first))
    for number, steps in enumerate(later, start=2):
        begin = row[-1].last + 1
        round_ = {"name": NAME.format(number), "round": number, "wanted": None}
        row.append(dataclasses.replace(row[-1], first=begin, last=begin + steps - 1, **round_))
    return tuple(row)


def _declared(config: TorchTitanConfig, steps: int) -> tuple[Stage, ...]:
    if config.stages is None:
        return (
            Stage(
                name=ONLY if config.rounds is None else NAME.format(1),
                first=1,
                last=steps,
                seq_len=config.seq_len,
                global_batch_size=config.global_batch_size,
                micro_batch_size=config.micro_batch_size,
                rope_theta=None,
                mixture=config.mixture,
                validation_interval=config.validation_interval,
            ),
        )
    result, first = [], 1
    for (name, stage), last in zip(config.stages.items(), last_steps(config.stages, steps), strict=True):
        assert stage.seq_len is not None
        assert stage.global_batch_size is not None
        assert stage.validation_interval is not None
        result.append(
            Stage(
                name=name,
                first=first,
                last=last,
                seq_len=stage.seq_len,
                global_batch_size=stage.global_batch_size,
                micro_batch_size=stage.micro_batch_size,
                rope_theta=stage.rope_theta,
                mixture=stage.mixture,
                validation_interval=stage.validation_interval,
                wanted=stage.tokens,
            )
        )
        first = last + 1
    return tuple(result)


def borders(config: TorchTitanConfig) -> list[dict[str, Any]]:
    """Return where each stage begins and ends, for a summary."""
    return [{"name": stage.name, "first_step": stage.first, "last_step": stage.last} for stage in stages(config)]


def segments(config: TorchTitanConfig) -> tuple[Segment, ...]:
    """Return the rows of stages between which the ranks are started anew."""
    rows: list[list[Stage]] = []
    for stage in stages(config):
        if rows and rows[-1][-1].kind == stage.kind:
            rows[-1].append(stage)
        else:
            rows.append([stage])
    return tuple(Segment(stages=tuple(row)) for row in rows)


def stage_at(config: TorchTitanConfig, step: int) -> Stage:
    """Return the stage that step ``step`` belongs to; of a step behind the end, the last."""
    return next((stage for stage in stages(config) if step <= stage.last), stages(config)[-1])


def tokens_at(config: TorchTitanConfig, step: int) -> int:
    """Return the tokens trained on after ``step`` steps."""
    return sum(max(0, min(step, stage.last) - stage.first + 1) * stage.batch_tokens for stage in stages(config))


def validates(row: Sequence[Stage], step: int) -> bool:
    """Tell whether the loss is measured after ``step``: at each stage's interval, and at its end."""
    return any(
        stage.first <= step <= stage.last and (step == stage.last or step % stage.validation_interval == 0)
        for stage in row
    )


def with_theta(architecture: Architecture, stage: Stage) -> Architecture:
    """Return the architecture with the base of the rotary position embedding that a stage has.

    Raises:
        core.errors.ConfigError: the architecture has no setting of that name.
    """
    if stage.rope_theta is None:
        return architecture
    if not hasattr(architecture.config, "rope_theta"):
        raise ConfigError(
            f"pretrain.stages.{stage.name}.rope_theta={stage.rope_theta:g}: this architecture has no setting "
            "arch.rope_theta. Leave it out."
        )
    return type(architecture)(dataclasses.replace(architecture.config, rope_theta=stage.rope_theta))


def notes(config: TorchTitanConfig) -> list[str]:
    """Return what a user should know of how the stages were fitted to whole batches and to ``steps``."""
    if config.stages is None:
        return []
    own, first = steps_of(config.stages), config.steps_of_rounds[0]
    if first != own:
        of_round = "" if config.rounds is None else f", {first:,} of them in the first round"
        return [
            f"pretrain.steps={config.steps}{of_round}: the stages have tokens for {own:,} steps; all their ends are "
            f"scaled by {first / own:.6g}."
        ]
    moved = [(stage.name, stage.tokens - stage.wanted) for stage in stages(config) if stage.wanted is not None]
    off = [f"{name} {change:+,}" for name, change in moved if change]
    return [f"stages end at whole batches; tokens more or fewer than set: {', '.join(off)}."] if off else []
