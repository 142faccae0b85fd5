"""Files of a model repository on the Hugging Face hub, with errors in one line. Nothing that comes with them is run."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from core.errors import InputError, MissingPluginError, NotAtHand

DESCRIPTION = ("*.json", "*.jinja", "*.model", "merges.txt", "vocab.txt")
"""What says what a model is: its configuration and its tokenizer. Some megabytes."""
WEIGHTS = ("*.safetensors",)


def snapshot(
    name: str, revision: str | None, patterns: Sequence[str], where: str, kind: Literal["model", "dataset"] = "model"
) -> Path:
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
    try:
        from huggingface_hub import constants, snapshot_download
        from huggingface_hub.errors import (
            GatedRepoError,
            HfHubHTTPError,
            HFValidationError,
            HTTPError,
            LocalEntryNotFoundError,
            RepositoryNotFoundError,
            RevisionNotFoundError,
        )
    except ModuleNotFoundError as error:
        raise MissingPluginError(f"{where}={name}: pip install 'smallwright-core[hub]' ({error}).") from None
    at = "" if kind == "model" else f"{kind}s/"
    said = f"{where}={name}" + (f"@{revision}" if revision else "")
    if not is_id(name):
        raise InputError(f"{said}: no such folder, and no hub id (owner/name).")
    if constants.HF_HUB_OFFLINE and re.fullmatch(r"[0-9a-f]{40}", revision or ""):
        kept = Path(constants.HF_HUB_CACHE, f"{kind}s--{name.replace('/', '--')}", "snapshots", str(revision))
        if kept.is_dir():
            return kept
    try:
        return Path(snapshot_download(name, repo_type=kind, revision=revision, allow_patterns=list(patterns)))
    except HFValidationError:
        raise InputError(f"{said}: no such folder, and no hub id (owner/name).") from None
    except GatedRepoError:
        raise InputError(
            f"{said}: access must be asked for at {constants.ENDPOINT}/{at}{name}, and HF_TOKEN set."
        ) from None
    except RepositoryNotFoundError:
        private = "" if os.environ.get("HF_TOKEN") else " For a private one set HF_TOKEN."
        raise InputError(f"{said}: there is no such folder, and the hub has no such {kind}.{private}") from None
    except RevisionNotFoundError:
        raise InputError(f"{said}: the hub has no revision {revision} of it.") from None
    except LocalEntryNotFoundError as error:
        offline = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else f"{constants.ENDPOINT} cannot be reached"
        raise NotAtHand(
            f"{said}: there is no such folder, it is not in the hub's cache here, and {offline}."
        ) from error
    except (HfHubHTTPError, HTTPError, OSError) as error:  # HTTPError: of the client below, as of a broken line
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise InputError(f"{said}: there is no such folder, and the hub did not give it: {reason}") from error


def is_id(name: str) -> bool:
    """Whether a name can be a repository's, ``owner/name``; a path that is written as one is none."""
    return name.count("/") == 1 and not name.startswith((".", "/", "~")) and all(name.split("/"))
