"""The learning rate of every step, as a pure function: what the plan prints is what the optimizer gets.

Steps count from 1. The warm-up rises from 0 and reaches the peak at its own last step; the decay begins at the peak and
ends at exactly ``min_lr_factor`` of it, at the last step of the run. That is how nanotron (SmolLM2) and lit-gpt
(MobiLlama) count; TorchTitan's own decay takes one step more and ends above.
"""

import math
from collections.abc import Callable, Mapping

from smallwright_pretrain.config import TorchTitanConfig
from smallwright_pretrain.schedule_config import PluginSchedule, name_of

SHAPES: Mapping[str, Callable[[float], float]] = {
    "linear": lambda progress: 1 - progress,
    "sqrt": lambda progress: 1 - math.sqrt(progress),
    "cosine": lambda progress: 0.5 * (1 + math.cos(math.pi * progress)),
}
"""What is left of the way from the peak to the end, by how much of the decay is done; both from 0 to 1.

``sqrt`` is 1-sqrt of Haegele et al. (arXiv 2405.18392, section 3), ``cosine`` that of Loshchilov and Hutter (arXiv
1608.03983, section 3) without restarts.
"""


def learning_rate(config: TorchTitanConfig, step: int) -> float:
    """Return the rate of optimizer step ``step``, counted from 1."""
    return config.learning_rate * factor(config, step)


def factor(config: TorchTitanConfig, step: int) -> float:
    """Return the rate of a step as a share of the peak."""
    warmup, decay = config.warmup_steps, config.decay_steps
    if step < warmup:
        return step / warmup
    begin = config.steps - decay
    if isinstance(config.schedule, PluginSchedule):
        left = config.schedule.share(min(step, config.steps), config.steps, warmup)
    elif step <= begin or decay == 0:
        return 1.0
    else:
        left = SHAPES[_shape(config)](min(1.0, (step - begin) / decay))
    return config.min_lr_factor + (1 - config.min_lr_factor) * left


def describe(config: TorchTitanConfig) -> str:
    """Return the schedule in words."""
    decay, name = config.decay_steps, name_of(config.schedule)
    ending = f", held, then {_shape(config)} over the last {decay:,} steps" if decay else ", held to the end"
    if isinstance(config.schedule, PluginSchedule):
        ending = ", then as the plugin has it,"
    elif config.last_at_peak == config.warmup_steps:
        ending = f", then {_shape(config)}"
    to = f" to {learning_rate(config, config.steps):.3g} at step {config.steps:,}" if decay else ""
    return f"{name}: up to {config.learning_rate:.3g} at step {config.warmup_steps:,}{ending}{to}"


def _shape(config: TorchTitanConfig) -> str:
    if config.schedule == "wsd":
        return config.decay_type or "linear"
    return name_of(config.schedule)
