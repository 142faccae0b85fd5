"""What planning asks before a policy may change the mixture of a training. No torch."""

from collections.abc import Sequence
from typing import Any

from core.errors import ConfigError
from core.interfaces import MixturePolicy

from smallwright_pretrain.config import TorchTitanConfig
from smallwright_pretrain.mixture import of_stage
from smallwright_pretrain.segments import stages


def asked(config: TorchTitanConfig, policy: MixturePolicy, corpora: Sequence[str]) -> dict[str, Any]:
    """Return the steps between two questions to a policy: they change what is trained, and without it do not.

    Args:
        corpora: Labels of the run's corpora; none: they are not chosen yet.

    Raises:
        core.errors.ConfigError: it could change nothing, or give a corpus more than it has.
    """
    if config.rounds is not None:
        raise ConfigError(
            "policy: changes the mixture on the way, and the windows of pretrain.rounds are drawn from no mixture. "
            "Leave +policy out, or set pretrain.rounds=null."
        )
    seen = [name for name in corpora if name not in policy.fenced]
    if corpora and len(seen) < 2:
        raise ConfigError(
            f"policy: sees {', '.join(seen) or 'no corpus'}, and a mixture is of two or more. Add a corpus, fence less "
            "with policy.fenced, or leave +policy out."
        )
    row = stages(config)
    for stage in row if corpora else ():
        for part in of_stage(stage, corpora, alone=len(row) == 1):
            if not part.wrap and part.corpus in seen:
                raise ConfigError(
                    f"policy: could read {part.corpus} more than once, for which wrap=false is set. Fence it: "
                    f"policy.fenced=[{part.corpus}]."
                )
    return {"asked": [stage.validation_interval for stage in row]}
