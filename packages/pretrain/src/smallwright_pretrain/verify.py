"""Log-probabilities of the same prompts by TorchTitan, Transformers and vLLM, and how far apart they are.

Letters of tensor names: docs/architectures.md.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.interfaces import Architecture
from core.token_files import TokenShards

TOLERANCE = 1e-3
"""Largest difference of a log-probability, in nats: in float32, memory layout and kernels explain no more."""

LOOKED_AT = 1000
"""Documents of a corpus among which prompts are looked for."""

Prompts = list[list[int]]
LogProbabilities = list[list[float]]


def fixed_prompts(tokens: Sequence[Path], longest: int = 64, count: int = 4) -> Prompts:
    """Return the starts of the first ``count`` validation documents, or of training documents when there are none.

    Each has 2 to ``longest`` ids and lies in one document; of several corpora they are taken in turn.

    Args:
        tokens: Tokens artifacts, one a corpus.
    """
    prompts: Prompts = []
    for split in ("validation", "train"):
        shards = [TokenShards(folder, split) for folder in tokens]
        turns = itertools.product(range(min(LOOKED_AT, max(one.documents for one in shards))), shards)
        for document, one in turns:
            if len(prompts) == count:
                return prompts
            start, end = one.bounds(document) if document < one.documents else (0, 0)
            if end - start >= 2:
                prompts.append(one.read(start, min(end, start + longest)).tolist())
    return prompts


def titan_log_probabilities(
    architecture: Architecture, state: Mapping[str, Any], prompts: Prompts, seq_len: int
) -> LogProbabilities:
    """Compute with the TorchTitan model, unsharded on the CPU in float32.

    Args:
        state: Unsharded weights under TorchTitan's names.
        seq_len: Training sequence length in tokens.
    """
    import torch

    from smallwright_pretrain.attention import DocumentAttention, document_mask
    from smallwright_pretrain.weights import unsharded

    model = unsharded(architecture.titan_config(inner_attention=DocumentAttention.Config(), seq_len=seq_len))
    model.load_state_dict({name: value.float() for name, value in state.items()})
    model.eval()

    def logits(ids_BL: torch.Tensor) -> torch.Tensor:
        positions_BL = torch.arange(ids_BL.shape[1])[None]
        mask_B1LL = document_mask(positions_BL, torch.float32)
        return model(ids_BL, positions=positions_BL, attention_masks=mask_B1LL)

    return [_log_probabilities(logits, prompt) for prompt in prompts]


def hf_log_probabilities(hf_class: Any, folder: Path, prompts: Prompts) -> LogProbabilities:
    """Compute with the checkpoint in ``folder``, read back by Transformers in float32."""
    import torch

    model = hf_class.from_pretrained(folder, dtype=torch.float32).eval()
    return [_log_probabilities(lambda ids_BL: model(input_ids=ids_BL).logits, prompt) for prompt in prompts]


def _log_probabilities(logits: Any, prompt: list[int]) -> list[float]:
    import torch

    ids_BL = torch.tensor([prompt])
    with torch.no_grad():
        log_probs_BLV = torch.log_softmax(logits(ids_BL).float(), dim=-1)
    return log_probs_BLV[0, :-1].gather(1, ids_BL[0, 1:, None])[:, 0].tolist()


def largest_difference(first: LogProbabilities, second: LogProbabilities) -> float:
    """Return the largest absolute difference, or infinity when anything is not a number or is missing."""
    largest = 0.0
    for one, other in zip(first, second, strict=True):
        for a, b in zip(one, other, strict=True):
            difference = abs(a - b)
            largest = max(largest, difference if math.isfinite(difference) else math.inf)
    return largest


def compare(log_probabilities: Mapping[str, LogProbabilities]) -> dict[str, float]:
    """Return the largest difference of each engine to the first one, as ``{"TorchTitan - vLLM": 2e-6}``."""
    names: Sequence[str] = list(log_probabilities)
    reference = log_probabilities[names[0]]
    return {f"{names[0]} - {name}": largest_difference(reference, log_probabilities[name]) for name in names[1:]}
