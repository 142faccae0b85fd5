"""Settings that follow the model where nobody gives them: what its size was trained with, and a rate that does no harm.

Pure, and light: planning asks it before the settings are built, so what is given has not been checked yet.
"""

import math
from collections.abc import Mapping
from typing import Any

from core.architecture import Architecture
from core.defaults import Default
from core.planning.scaling import scaled_learning_rate

from smallwright_pretrain import precision
from smallwright_pretrain.config import STEPS, TorchTitanConfig

CONTINUED = 0.1
"""Share of a model's peak at which it is trained on: ours, for there the usual cosine ends. To begin with the least
rate of the model's own training, and to decay from there, was best for a 15B (arXiv 2407.07263: without warm-up, to a
hundredth of that rate)."""
PEAKS = ((50_000_000, TorchTitanConfig.learning_rate, 1024), (math.inf, 3e-4, 1_048_576))
"""The peak of a model of which nobody said it: of up to so many parameters, the rate, and the batch in tokens that it
is for. The first is this package's default; the second that of GPT-3 and LLaMA at up to 7 billion."""


def defaults(given: Mapping[str, Any], architecture: Architecture, continues: bool) -> dict[str, Default]:
    """Return settings of the training that ``given`` does not have, and why they are what they are.

    Args:
        given: What options, experiments and the command line say.
        architecture: The model.
        continues: Whether it is trained already, and this training goes on with it.
    """
    found: dict[str, Default] = {}
    if given.get("precision") == "auto":
        found["precision"] = precision.choose(architecture.parameters(), given.get("device") or "auto")
    published = architecture.training()
    if published is not None and not continues:
        found |= _of_size(given, published)
    if given.get("learning_rate") is None and (continues or published is not None):
        found["learning_rate"] = _rate(given, found, architecture, published, continues)
    return found


def _of_size(given: Mapping[str, Any], published: Mapping[str, Any]) -> dict[str, Default]:
    """Return lengths and batches as they were published, whole sequences of them."""
    source, found = published["source"], {}
    seq_len = _number(given, "seq_len")
    if seq_len is None:
        seq_len = published["seq_len"]
        found["seq_len"] = Default(seq_len, source)
    batch = _number(given, "global_batch_size")
    if batch is None:
        batch = max(1, published["batch_tokens"] // seq_len)
        found["global_batch_size"] = Default(batch, f"{published['batch_tokens']:,} tokens; {source}")
    if given.get("warmup_steps") is None:
        # A short run of a size is warmed up for a tenth of its steps, or it would never reach its rate.
        steps = _steps(given, batch * seq_len)
        warmup = min(published["warmup_steps"], max(10, steps // 10), steps // 2)
        of = "" if warmup == published["warmup_steps"] else f"a tenth of {steps:,} steps, published are "
        found["warmup_steps"] = Default(warmup, f"{of}{published['warmup_steps']:,}; {source}")
    if given.get("micro_batch_size") is None:
        found["micro_batch_size"] = Default(published["micro_batch_size"], source)
    return found


def _rate(
    given: Mapping[str, Any],
    found: Mapping[str, Default],
    architecture: Architecture,
    published: Mapping[str, Any] | None,
    continues: bool,
) -> Default:
    """Return the peak of the rate, by the square root of the batch where it is another one than the rate is for."""
    if published is not None:
        peak, batch, source = published["learning_rate"], published["batch_tokens"], published["source"]
    else:
        size = architecture.parameters()
        peak, batch = next((rate, tokens) for most, rate, tokens in PEAKS if size <= most)
        source = "its own was not published"
    here = {key: _number(given, key) for key in ("seq_len", "global_batch_size")}
    values = [found[key].value if key in found else here[key] or getattr(TorchTitanConfig, key) for key in here]
    tokens = math.prod(values)
    said = f"peak {peak:g} at {batch:,} tokens a step"
    rate = peak
    if tokens != batch:
        rate = scaled_learning_rate(peak, batch, tokens)
        said += f", by the square root for {tokens:,}"
    if continues:
        rate *= CONTINUED
        said += ", and a tenth of it, where a cosine ends, for a model that is trained already"
    return Default(float(f"{rate:.2g}"), f"{said}; {source}")


def _steps(given: Mapping[str, Any], batch_tokens: int) -> int:
    """Return how many steps the run will have, as far as what is given says it."""
    stages = given.get("stages")
    tokens = [stage.get("tokens") for stage in stages.values()] if isinstance(stages, Mapping) else []
    of_stages = sum(int(count) for count in tokens if isinstance(count, int | float)) // batch_tokens
    return _number(given, "steps") or of_stages or STEPS


def _number(given: Mapping[str, Any], key: str) -> int | None:
    """Return a number from 1 on that is given; None also where it is none, which the settings refuse later."""
    value = given.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 1 else None
