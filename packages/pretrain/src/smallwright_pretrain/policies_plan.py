"""What planning asks before a policy may change the mixture of a training. No torch."""

from collections.abc import Sequence
from typing import Any

from core.errors import ConfigError
from core.interfaces import Architecture, MixturePolicy, SelectionPolicy
from core.stock import StockArchitecture

from smallwright_pretrain.config import TorchTitanConfig
from smallwright_pretrain.distill_config import counted
from smallwright_pretrain.mixture import of_stage
from smallwright_pretrain.plan import FORWARD_SHARE
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
    if config.distill is not None and config.distill.windows == "read":
        raise ConfigError(
            "policy: which windows are read is not known before the training. Set pretrain.distill.windows=all, or "
            "leave +policy out."
        )
    if isinstance(policy, SelectionPolicy):
        _check_selection(config, policy, corpora)
        return {}
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


def _check_selection(config: TorchTitanConfig, policy: SelectionPolicy, corpora: Sequence[str]) -> None:
    for key in ("pipeline_parallel", "tensor_parallel", "context_parallel"):
        if (split := getattr(config, key)) > 1:
            raise ConfigError(f"pretrain.{key}={split}: +policy measures whole sequences. Set pretrain.{key}=1.")
    if config.forgetting is not None:
        raise ConfigError(
            "pretrain.forgetting: measures windows by the order of the mixture, and +policy chooses among them. Set "
            "pretrain.forgetting=null."
        )
    if corpora and (unknown := sorted(set(policy.fenced) - set(corpora))):
        raise ConfigError(
            f"policy.fenced=[{', '.join(policy.fenced)}]: there is no corpus {', '.join(unknown)}. There are "
            f"{', '.join(corpora)}."
        )
    if corpora and set(corpora) <= set(policy.fenced):
        raise ConfigError(
            f"policy.fenced=[{', '.join(policy.fenced)}]: leaves no corpus to choose from. Fence fewer, or leave "
            "+policy out."
        )
    row = stages(config)
    for stage in row if corpora else ():
        for part in of_stage(stage, corpora, alone=len(row) == 1):
            if not part.wrap:
                raise ConfigError(
                    f"policy.candidates={policy.candidates}: goes through {part.corpus} {policy.candidates} times as "
                    "fast, and could train on its text twice, for which wrap=false is set. Leave wrap or +policy out."
                )
    if (named := policy.reference()) is None or (model := _reference(policy)) is None:
        return
    longest, most = max(stage.seq_len for stage in row), model.config.max_position_embeddings
    if most is not None and most < longest:
        raise ConfigError(
            f"policy.{named[0]}={named[1]}: reads {most} tokens at most, and sequences have {longest}. Set "
            f"pretrain.seq_len={most}."
        )


def _reference(policy: SelectionPolicy) -> StockArchitecture | None:
    named = policy.reference()
    return None if named is None else counted(named[1], f"policy.{named[0]}")


def flops_of_selection(config: TorchTitanConfig, architecture: Architecture, policy: MixturePolicy | None) -> float:
    """Return the FLOPs of choosing what is trained on, for each token that is; 0: nothing chooses."""
    if not isinstance(policy, SelectionPolicy):
        return 0.0
    models = [architecture, *([model] if (model := _reference(policy)) is not None else [])]
    row = stages(config)
    flops = sum(stage.tokens * model.flops_per_token(stage.seq_len) for stage in row for model in models)
    return policy.candidates * FORWARD_SHARE * flops / config.tokens


def memory_of_reference(config: TorchTitanConfig, policy: MixturePolicy | None) -> dict[str, int]:
    """Return what a model takes that measures the candidates, too, in bytes: its weights, whole on each rank."""
    model = _reference(policy) if isinstance(policy, SelectionPolicy) else None
    return {} if model is None else {"reference": (2 if config.precision == "bfloat16" else 4) * model.parameters()}


def with_selection(
    found: dict[str, Any], config: TorchTitanConfig, architecture: Architecture, policy: MixturePolicy | None
) -> dict[str, Any]:
    """Return a plan with what it takes to choose what is trained on; the same where nothing chooses."""
    if not isinstance(policy, SelectionPolicy):
        return found
    flops = flops_of_selection(config, architecture, policy)
    note = f"{policy.candidates} sequences are measured for each one that is trained on: {flops:.3g} FLOPs per token."
    memory = {**found["memory"], **memory_of_reference(config, policy)}
    return {
        **found,
        "extra_flops_per_token": found.get("extra_flops_per_token", 0.0) + flops,
        "memory": memory,
        "memory_bytes": sum(memory.values()),
        "notes": [*found["notes"], note],
    }
