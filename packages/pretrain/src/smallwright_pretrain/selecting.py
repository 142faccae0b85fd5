"""How a policy is asked to choose among sequences, and how its choice is written down. No torch."""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from core.interfaces import SelectionPolicy

from smallwright_pretrain.selection_log import CHOSEN


def ask(
    policy: SelectionPolicy,
    step: int,
    losses: np.ndarray,
    reference: np.ndarray | None,
    fenced: np.ndarray,
    count: int,
    state: Mapping[str, Any],
) -> tuple[np.ndarray, dict[str, Any]]:
    """Return the places that are trained on, in order, and what the log says of the policy.

    Of the candidates that are fenced as many are trained on as without a policy, the first ones.

    Args:
        losses: Of the candidates, in nats per token, float64 of shape (N,).
        reference: The same of the reference.
        fenced: Which the policy does not see, bool of shape (N,).
        count: How many are trained on.
        state: What the policy remembers.
    """
    seen, kept = np.flatnonzero(~fenced), np.flatnonzero(fenced)
    kept = kept[: max(round(len(kept) * count / len(losses)), count - len(seen))]
    wanted = count - len(kept)
    policy.state, policy.told = dict(state), {}
    refused = {}
    try:
        others = None if reference is None else reference[seen].tolist()
        answer = [int(place) for place in policy.select(step, losses[seen].tolist(), others, wanted)]
        json.dumps([policy.told, policy.state])
        if len(answer) != wanted or len(set(answer)) != wanted or not all(0 <= one < len(seen) for one in answer):
            raise ValueError(f"the answer is no choice of {wanted} places below {len(seen)}")
    except Exception as error:  # a mistake of the policy must not end a training of weeks
        policy.state, policy.told = dict(state), {}
        refused = {"refused": f"{type(error).__name__}: {error}"}
        answer = (np.arange(wanted) * len(seen) // max(1, wanted)).tolist()
    return np.sort(np.concatenate([seen[answer], kept])), {**policy.told, **refused, "state": policy.state}


def line(
    places: np.ndarray,
    sources: np.ndarray,
    names: Sequence[str],
    losses: np.ndarray,
    reference: np.ndarray | None,
) -> dict[str, Any]:
    """Return what the log says of a choice.

    Args:
        places: That are trained on.
        sources: Number of each candidate's source.
        names: Of the sources.
        losses: As in :func:`ask`.
    """
    bits = np.zeros(len(losses), bool)
    bits[places] = True
    counts = np.bincount(sources[places], minlength=len(names)).tolist()
    said = {
        "after": None,
        "candidates": len(losses),
        CHOSEN: base64.b64encode(np.packbits(bits).tobytes()).decode(),
        "by_source": dict(zip(names, counts, strict=True)),
        "loss": [float(losses.mean()), float(losses[places].mean())],
    }
    if reference is not None:
        said["reference"] = [float(reference.mean()), float(reference[places].mean())]
    return said


def places(made: Mapping[str, Any]) -> np.ndarray:
    """Return the places that a line says."""
    bits = np.unpackbits(np.frombuffer(base64.b64decode(made[CHOSEN]), np.uint8), count=made["candidates"])
    return np.flatnonzero(bits)
