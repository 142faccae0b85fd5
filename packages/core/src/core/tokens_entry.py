"""Tokens that a run starts from: ``tokens=<artifact>``, or ``tokens={web: <artifact>, code: <artifact>}``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core import entries, hub, names, store
from core.errors import ConfigError, InputError, named_by_user
from core.kinds import GROUPS
from core.stage_spec import StageSpec
from core.token_files import SPLITS, TokenIndex, TokenShards, tokenizer_digest
from core.writing import files_in

ARTIFACT = str(GROUPS["tokens"].entry)
"""Setting of the group ``tokens`` that names what exists."""
READY = "ready"
"""The packer that makes an artifact of tokens that were made elsewhere."""
ENDINGS = (".ds", ".parquet")
"""Of its files."""


def artifacts(settings: Mapping[str, Any] | None) -> dict[str, entries.FinishedSpec]:
    """Return the tokens artifacts that the settings of the group ``tokens`` name, by role; empty: they name none.

    Raises:
        InputError: one is no finished artifact of tokens, or its files are not those of its index.
    """
    return {role: _artifact(place, role, owner) for role, place, owner in _named(settings) if not is_made(place)}


def made_elsewhere(settings: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the tokens that are no artifact yet, by role: folders of files of ids, and datasets of the hub."""
    return {role: place for role, place, _ in _named(settings) if is_made(place)}


def is_made(place: str) -> bool:
    """Whether a place has tokens that are to become an artifact first, and is none itself."""
    folder = Path(place)
    if folder.is_dir():
        made = (path.suffix in ENDINGS for path in files_in(folder))
        return not (folder / store.MANIFEST).exists() and any(made)
    return hub.is_id(place.partition("@")[0])


def _named(settings: Mapping[str, Any] | None) -> list[tuple[str, str, str]]:
    """Return role, place and what a user wrote, of each that is named."""
    places = (settings or {}).get(ARTIFACT)
    if places is None:
        return []
    if not isinstance(places, Mapping):
        return [("tokens", str(places), f"tokens={places}")]
    if not places:
        raise ConfigError(
            f"tokens.{ARTIFACT}={{}}: names no artifact. Write 'tokens={{web: <artifact>, code: <artifact>}}'."
        )
    return [
        (
            f"tokens-{names.check(str(label), f'a corpus of tokens.{ARTIFACT}')}",
            str(place),
            f"tokens.{ARTIFACT}.{label}={place}",
        )
        for label, place in places.items()
    ]


def written(specs: Mapping[str, entries.FinishedSpec]) -> str:
    """Return what a user wrote to name finished tokens, for messages: ``tokens=<place>``, of several the first."""
    role, spec = next(iter(specs.items()))
    return f"{role.replace('-', f'.{ARTIFACT}.', 1)}={spec.place}"


def check_beside(settings: Mapping[str, Any] | None, corpora: Mapping[str, StageSpec]) -> None:
    """Refuse tokens that exist and corpora of the same name in a run.

    Raises:
        ConfigError: naming the artifact.
    """
    for role, _, owner in _named(settings):
        if role == "tokens" and corpora:
            raise ConfigError(
                f"{owner}: a corpus stands beside it. Leave one out, or name the artifact to train on both: "
                "'tokens={<name>: <artifact>}'."
            )
        label = role.removeprefix("tokens-")
        if f"corpus-{label}" in corpora or (label == "corpus" in corpora):
            raise ConfigError(f"{owner}: the run has a corpus {label}. Name one otherwise.")


def nothing_uses(settings: Mapping[str, Any] | None) -> str:
    """Return the line that refuses tokens in a run without a training."""
    owner = _named(settings)[0][2]
    return f"{owner}: nothing uses them: add +arch=<architecture> or model=<model>."


def _artifact(place: str, role: str, owner: str) -> entries.FinishedSpec:
    spec = entries.finished(Path(place), "tokens", owner, name=role)
    with named_by_user(owner, spec.place):
        for split in SPLITS:
            TokenShards(spec.place, split)
    return spec


def tokenizer_of(specs: Mapping[str, entries.FinishedSpec]) -> entries.FinishedSpec:
    """Return the tokenizer that made all of some tokens artifacts.

    Raises:
        InputError: two were made by others, or the tokenizer of the first is not there any more, or is another now.
    """
    first, spec = next(iter(specs.items()))
    digest = TokenIndex.load(spec.place).tokenizer
    owner = written({first: spec})
    for role, other in specs.items():
        if TokenIndex.load(other.place).tokenizer != digest:
            raise InputError(
                f"{written({role: other})}: made by the tokenizer {_maker(other)}, and {owner} by {_maker(spec)}, "
                "which gives other ids. Make one of them anew with the other's: tokenizer=<its folder>."
            )
    made = entries.input_of(spec, "tokenizer", "tokenizer", owner)
    if tokenizer_digest(made.place) != digest:
        raise InputError(f"{owner}: its tokenizer {made.place} gives other ids than those of its index. Make it again.")
    return made


def _maker(spec: entries.FinishedSpec) -> str:
    """Return the name of the artifact of the tokenizer that made some tokens."""
    manifest = store.load_manifest(spec.place) or {}
    return Path(str(manifest.get("inputs", {}).get("tokenizer"))).name
