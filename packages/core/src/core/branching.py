"""A training that goes on from a checkpoint of a finished one: what must be the same, checked while planning."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core import entries
from core.errors import ConfigError, InputError
from core.interfaces import Branch
from core.kinds import GROUPS
from core.stage_spec import ArchitectureChoice, StageSpec, TokenizerChoice

MAY_CHANGE = ("rope_theta", "max_position_embeddings")
"""Settings of an architecture that change no weight."""


def of(
    branch: Branch, architecture: ArchitectureChoice, tokenizer: TokenizerChoice, inputs: Mapping[str, StageSpec]
) -> StageSpec:
    """Return the finished training as the input ``branch`` of another.

    Raises:
        core.errors.UserError: it is none, or of another model or tokenizer; or the run has another beginning, too.
    """
    owner = f"pretrain.branch_from={branch.artifact}"
    if "init" in inputs:
        raise ConfigError(f"{owner}: the run starts from a model, too (model= or arch.initializer). Leave one out.")
    spec = entries.finished(branch.artifact, "pretrain", owner)
    check_same_model(spec.made_as.get("arch") or {}, architecture.identity(), owner)
    _check_same_tokenizer(spec, tokenizer, owner)
    return spec


def check_same_model(made: Mapping[str, Any], here: Mapping[str, Any], owner: str) -> None:
    """Refuse another model than the one that was trained.

    Raises:
        core.errors.InputError: naming the first setting that differs.
    """
    for key in sorted({*made, *here} - {*MAY_CHANGE}):
        if made.get(key) != here.get(key):
            name = {"implementation": "arch", "plugin": "arch of", "artifact_version": "the version of arch"}.get(
                key, f"arch.{key}"
            )
            raise InputError(
                f"{owner}: was trained with {name}={made.get(key)}, and this run has {here.get(key)}. Set it as it was."
            )


def _check_same_tokenizer(spec: entries.FinishedSpec, tokenizer: TokenizerChoice, owner: str) -> None:
    made = (spec.made_as.get("inputs") or {}).get("tokenizer")
    if tokenizer.spec is None or made is None or made == tokenizer.spec.digest:
        return
    key = str(GROUPS["tokenizer"].entry)
    own = entries.input_of(spec, "tokenizer", "tokenizer", owner).place
    given = getattr(tokenizer.stage.config, key, None)
    if isinstance(tokenizer.spec, entries.FinishedSpec):
        given = tokenizer.spec.place
    if given is None:
        raise InputError(f"{owner}: was trained with another tokenizer than this run makes. Set tokenizer.{key}={own}.")
    entries.check_same_tokens(Path(given), own, owner)
