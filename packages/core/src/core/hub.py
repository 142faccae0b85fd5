"""What is asked of the Hugging Face hub, with its errors in one line. Nothing that comes from there is run."""

import contextlib
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from core.errors import InputError, MissingPluginError, NotAtHand

DESCRIPTION = ("*.json", "*.jinja", "*.model", "merges.txt", "vocab.txt")
"""What says what a model is: its configuration and its tokenizer. Some megabytes."""
WEIGHTS = ("*.safetensors",)
Kind = Literal["model", "dataset"]


def client(owner: str) -> Any:
    """Return ``huggingface_hub``, with its ``constants``, ``errors`` and ``utils``.

    Args:
        owner: What needs it, for the message.

    Raises:
        MissingPluginError: it is not installed.
    """
    try:
        import huggingface_hub
        import huggingface_hub.constants
        import huggingface_hub.errors
        import huggingface_hub.utils
    except ModuleNotFoundError as error:
        raise MissingPluginError(f"{owner}: pip install 'smallwright-core[hub]' ({error}).") from None
    return huggingface_hub


@contextlib.contextmanager
def asking(
    said: str,
    name: str,
    kind: Kind = "model",
    revision: str | None = None,
    *,
    or_folder: bool = True,
    missing: str,
    then: str = "",
) -> Iterator[None]:
    """Turn what the hub's client raises into one line.

    Args:
        said: What the user wrote, with which the line begins.
        name: ``owner/name`` of the repository.
        kind: Of the repository.
        revision: Commit, branch or tag.
        or_folder: Whether the user could have named a folder instead.
        missing: What is not done, for the case that the hub cannot be reached.
        then: A sentence for that case, of what to do.

    Raises:
        InputError: the hub has no such repository or revision, or wants a token.
        NotAtHand: it cannot be reached, or refused for a reason of its own.
    """
    hub = client(said)
    errors, place = hub.errors, hub.constants.ENDPOINT
    what, folder = "model" if kind == "model" else "data set", "there is no such folder, and " if or_folder else ""
    try:
        yield
    except errors.HFValidationError as error:
        no_id = "no such folder, and no hub id" if or_folder else f"no name of a {what} on the hub"
        raise InputError(f"{said}: {no_id} (owner/name).") from error
    except errors.GatedRepoError as error:
        asked = f"{place}/{'' if kind == 'model' else f'{kind}s/'}{name}"
        raise InputError(f"{said}: access must be asked for at {asked}, and HF_TOKEN set.") from error
    except errors.RepositoryNotFoundError as error:
        private = "" if os.environ.get("HF_TOKEN") else " For a private one set HF_TOKEN."
        raise InputError(f"{said}: {folder}the hub has no such {what}.{private}") from error
    except errors.RevisionNotFoundError as error:
        raise InputError(f"{said}: the hub has no revision {revision} of it.") from error
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
        reason = "HF_HUB_OFFLINE is set" if hub.constants.HF_HUB_OFFLINE else f"{place} cannot be reached"
        raise NotAtHand(f"{said}: {folder}{missing}: {reason}.{then}") from error
    except (errors.HfHubHTTPError, errors.HTTPError, OSError) as error:
        reason = _first_lines(error)
        if isinstance(error, errors.HTTPError) and not isinstance(error, errors.HfHubHTTPError):  # nothing answered
            reason = f"{place} cannot be reached ({reason})"
        raise NotAtHand(f"{said}: {folder}{missing}: {reason.rstrip('.')}.{then}") from error


def snapshot(name: str, revision: str | None, patterns: Sequence[str], where: str, kind: Kind = "model") -> Path:
    """Return the local folder of a repository at a revision, after what is missing of it was downloaded.

    Args:
        name: ``owner/name``.
        revision: Commit, branch or tag; None: the main branch.
        patterns: Files to have, as :data:`DESCRIPTION`.
        where: Setting that names it, for messages.
        kind: Of the repository.

    Returns:
        A folder of the hub's cache; it is named by the commit.

    Raises:
        InputError: the hub has no such repository or revision, or wants a token.
        NotAtHand: it cannot be reached.
    """
    hub = client(f"{where}={name}")
    said = f"{where}={name}" + (f"@{revision}" if revision else "")
    if not is_id(name):
        raise InputError(f"{said}: no such folder, and no hub id (owner/name).")
    if hub.constants.HF_HUB_OFFLINE and re.fullmatch(r"[0-9a-f]{40}", revision or ""):
        kept = Path(hub.constants.HF_HUB_CACHE, f"{kind}s--{name.replace('/', '--')}", "snapshots", str(revision))
        if kept.is_dir():
            return kept
    with asking(said, name, kind, revision, missing="it is not in the hub's cache here"):
        return Path(hub.snapshot_download(name, repo_type=kind, revision=revision, allow_patterns=list(patterns)))


def is_id(name: str) -> bool:
    """Whether a name can be a repository's, ``owner/name``; a path that is written as one is none."""
    return name.count("/") == 1 and not name.startswith((".", "/", "~")) and all(name.split("/"))


def _first_lines(error: BaseException) -> str:
    """Return what an error says, without the advice that the client adds to it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2]) if lines else type(error).__name__
