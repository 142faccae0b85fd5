"""A model that a training learns from: what it must share with the run, checked while planning."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core import entries, names, store
from core.errors import ArtifactError, InputError
from core.interfaces import StoredLogits
from core.kinds import GROUPS
from core.registry import Entry, Registry
from core.stage_spec import StageSpec, TokenizerChoice

TEACHER = "model-teacher"
"""Name of the stage that brings it into the store: the same artifact as that of a model that a run starts from."""


def of(named: str, key: str, tokenizer: TokenizerChoice, registry: Registry, root: Path) -> entries.Model:
    """Return the model, whose artifact is the input ``teacher`` of a training.

    Args:
        named: An artifact, a folder of Hugging Face's format, or a hub id.
        key: Setting that names it, for messages.
        tokenizer: Of the run.
        registry: What is installed.
        root: The store.

    Raises:
        core.errors.UserError: there is none, it is damaged, or its tokenizer gives other ids than the run's.
    """
    owner = f"{key}={named}"
    model = entries.model(named, registry, owner)
    entries.check_own_numbers(model)
    _check_same_tokenizer(model, tokenizer, owner, root)
    return dataclasses.replace(model, spec=dataclasses.replace(model.spec, name=TEACHER))


def stored(
    work: StoredLogits,
    trainer: Entry,
    teacher: entries.Model,
    corpora: Mapping[str, StageSpec],
    content: Any,
    seed: int,
) -> StageSpec:
    """Return the stage in which a teacher goes through a corpus, the same for every training that asks for the same.

    Args:
        trainer: Whose work it is.
        corpora: Tokens of all corpora of the run, by role.
        content: What stands for the settings in the identity.
        seed: Of the training.
    """
    tokens = corpora.get(f"tokens-{work.corpus}") or corpora["tokens"]
    kind = type(work.stage)
    target = f"{kind.__module__}:{kind.__qualname__}"
    return StageSpec(
        name=work.role,
        folder="logits",
        label=names.shorten(f"{teacher.spec.label}-{tokens.label}"),
        entry=dataclasses.replace(
            trainer,
            kind="sources",
            name="stored_logits",
            target=target,
            config=None,
            artifact_version=work.artifact_version,
        ),
        config=work.stage.config,
        content=content,
        inputs={"teacher": teacher.spec, **(corpora if work.follows else {"tokens": tokens})},
        architecture=teacher.choice,
        seed=seed if work.follows else 0,
    )


def _check_same_tokenizer(model: entries.Model, tokenizer: TokenizerChoice, owner: str, root: Path) -> None:
    spec, key = tokenizer.spec, str(GROUPS["tokenizer"].entry)
    made = (model.spec.identity().get("inputs") or {}).get("tokenizer")
    if spec is None or made == spec.digest:
        return
    given = spec.place if isinstance(spec, entries.FinishedSpec) else getattr(tokenizer.stage.config, key, None)
    if given is None and _is_finished(spec.directory(root)):
        given = spec.directory(root)
    if given is None:
        raise InputError(
            f"{owner}: the run makes a tokenizer of its own, whose ids mean other texts than this model's. Set "
            f"tokenizer.{key}={model.folder.directory}."
        )
    entries.check_same_tokens(model.folder.directory, Path(given), owner)


def _is_finished(place: Path) -> bool:
    try:
        return store.load_manifest(place) is not None
    except ArtifactError:
        return False
