"""What the data-driven rules measure on: the source as a model, and windows of the run's training tokens.

Letters of tensor names: docs/architectures.md.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from core.errors import UserError
from core.interfaces import Job
from core.token_files import TokenShards

from smallwright_inherited_init.config import InheritedInitConfig
from smallwright_inherited_init.source import model_class
from smallwright_inherited_init.vocabulary import Vocabulary

BATCH = 8
"""Windows of a forward pass."""


def windows(job: Job, config: InheritedInitConfig, vocabulary: Vocabulary | None) -> torch.Tensor:
    """Return windows of the run's training tokens in the source's ids, shape (B, L), the same for the same seed.

    The held-out tokens stay unseen. Where the source has a tokenizer of its own, the windows' text is encoded by it.

    Args:
        vocabulary: How the run's ids and the source's go together; None: they are the same.

    Raises:
        core.errors.UserError: when the stage has no tokens, or too few.
    """
    asked = ", ".join(f"arch.initializer.{rule}" for rule in config.measured)
    shards = [TokenShards(folder, "train") for folder in job.tokens().values()]
    if not shards:
        raise UserError(f"{asked}: measured on the run's tokens, and this stage has none. Use first_last and l2.")
    length = config.calibration_length
    most = max(one.tokens for one in shards)
    if most < length:
        raise UserError(
            f"arch.initializer.calibration_length={length}: the run has {most} training tokens. Set it to {most} or "
            "less, or give more data."
        )
    generator = np.random.default_rng(job.seed)
    ends = np.cumsum([max(0, one.tokens - length + 1) for one in shards])
    places = generator.integers(0, ends[-1], config.calibration_sequences)
    found_BL = torch.from_numpy(np.stack([_window(shards, ends, int(place), length) for place in places]))
    if vocabulary is None or vocabulary.unchanged:
        return found_BL
    return _windows_of(vocabulary.in_source_ids(found_BL.tolist()), length, asked)


def _window(shards: Sequence[TokenShards], ends: np.ndarray, place: int, length: int) -> np.ndarray:
    """Return one of all windows of all corpora, which are as likely as their tokens."""
    corpus = int(np.searchsorted(ends, place, side="right"))
    start = place - int(ends[corpus - 1] if corpus else 0)
    return shards[corpus].read(start, start + length)


def _windows_of(ids: Sequence[int], length: int, asked: str) -> torch.Tensor:
    count = len(ids) // length
    if not count:
        raise UserError(f"{asked}: the calibration windows are {len(ids)} of the source's tokens. Take more sequences.")
    return torch.tensor(ids[: count * length]).view(count, length)


def load_model(config: Any, weights: Mapping[str, torch.Tensor]) -> Any:
    """Return the source as a model in float32, on a GPU where there is one."""
    model = model_class(config.model_type).from_pretrained(
        None, config=config, state_dict=dict(weights), dtype=torch.float32
    )
    return model.to("cuda" if torch.cuda.is_available() else "cpu").eval()


def batches(ids_BL: torch.Tensor, model: Any, size: int = BATCH) -> Iterator[torch.Tensor]:
    """Yield the windows on the model's device, ``size`` at a time."""
    for rows_BL in ids_BL.split(size):
        yield rows_BL.to(model.device)


def loss_of(model: Any, ids_BL: torch.Tensor) -> torch.Tensor:
    """Return the mean cross-entropy of the next tokens, in nats, with its graph."""
    logits_BLV = model(input_ids=ids_BL, use_cache=False).logits
    return torch.nn.functional.cross_entropy(logits_BLV[:, :-1].flatten(0, 1).float(), ids_BL[:, 1:].flatten())


@torch.no_grad()
def mean_loss(model: Any, ids_BL: torch.Tensor) -> float:
    """Return the mean loss over all windows, in nats per token."""
    total = sum(loss_of(model, rows_BL).double().item() * len(rows_BL) for rows_BL in batches(ids_BL, model))
    return total / len(ids_BL)


@contextlib.contextmanager
def without(model: Any, layers: Sequence[int]) -> Iterator[None]:
    """Take layers out of the model for a while: the hidden state passes them unchanged."""
    blocks = [model.model.layers[layer] for layer in layers]
    for block in blocks:
        block.forward = lambda hidden_states, *_, **__: hidden_states
    try:
        yield
    finally:
        for block in blocks:
            del block.forward
