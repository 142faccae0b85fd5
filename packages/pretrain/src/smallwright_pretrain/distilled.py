"""What the summary of a training says of its teacher. No torch."""

from collections.abc import Mapping, Sequence
from typing import Any

from core.interfaces import Job

from smallwright_pretrain.config import TorchTitanConfig
from smallwright_pretrain.distill_config import counted, flops_per_token
from smallwright_pretrain.segments import stages
from smallwright_pretrain.summary import thin

PARTS = {"cross_entropy_curve": "ce", "divergence_curve": "kl"}
"""Curves of the summary, by the key of the records."""


def flops(config: TorchTitanConfig, job: Job) -> float:
    """Return the FLOPs of the teacher's forward passes in a training; 0: there are none."""
    if config.distill is None or config.distill.logits == "stored":
        return 0.0
    teacher = counted(str(job.inputs["teacher"]))
    return sum(stage.tokens * flops_per_token(teacher, stage.seq_len) for stage in stages(config))


def curves(config: TorchTitanConfig, steps: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return ``distillation``: the teacher, and what the loss was mixed of; empty where there is none.

    Args:
        steps: Records of the logged steps.
    """
    if config.distill is None:
        return {}
    # A branch has steps of a training without a teacher before its own.
    parts = {name: thin([[row["step"], row[key]] for row in steps if key in row]) for name, key in PARTS.items()}
    of = {"teacher": config.distill.teacher, "logits": config.distill.logits, "top_k": config.distill.top_k}
    return {"distillation": {**of, **parts}}
