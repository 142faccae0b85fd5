"""Which layers a smaller model keeps."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from smallwright_inherited_init.calibration import batches, mean_loss, without
from smallwright_inherited_init.layer_choice import LayerChoice

Progress = Callable[..., None]


def measure_layers(rule: str, model: Any, ids_BL: torch.Tensor, keep: int, progress: Progress) -> LayerChoice:
    """Choose by what the source does on calibration windows; of equals, the first layers are kept."""
    if rule == "block_influence":
        scores = block_influence(model, ids_BL)
        return LayerChoice(
            kept=_highest(scores, keep), rule=rule, scores=scores, meaning="block influence, 1 - mean cosine"
        )
    layers, loss = len(model.model.layers), mean_loss(model, ids_BL)
    run = 1 if rule == "perplexity" else layers - keep
    scores = losses_without(model, ids_BL, run, progress) if run else []
    if rule == "perplexity":
        meaning = "loss without the layer, nats per token"
        return LayerChoice(kept=_highest(scores, keep), rule=rule, scores=scores, meaning=meaning, loss=loss)
    first = min(range(len(scores)), key=lambda start: (scores[start], -start)) if scores else layers
    kept = [layer for layer in range(layers) if not first <= layer < first + run]
    meaning = f"loss without {run} layers from this one on, nats per token"
    return LayerChoice(kept=kept, rule=rule, scores=scores, meaning=meaning, loss=loss)


@torch.no_grad()
def block_influence(model: Any, ids_BL: torch.Tensor) -> list[float]:
    """Return for each layer 1 - E[cos(x, layer(x))] over tokens (ShortGPT, arXiv 2403.03853, section 2.3)."""
    blocks = model.model.layers
    cosine = [0.0] * len(blocks)

    def watch(index: int) -> Callable[..., None]:
        def hook(_: Any, inputs: tuple[torch.Tensor, ...], output_BLD: torch.Tensor) -> None:
            input_BLD = inputs[0].double()
            cosine[index] += torch.cosine_similarity(input_BLD, output_BLD.double(), dim=-1).sum().item()

        return hook

    handles = [block.register_forward_hook(watch(index)) for index, block in enumerate(blocks)]
    try:
        for rows_BL in batches(ids_BL, model):
            model(input_ids=rows_BL, use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
    return [1.0 - total / ids_BL.numel() for total in cosine]


def losses_without(model: Any, ids_BL: torch.Tensor, run: int, progress: Progress) -> list[float]:
    """Return the loss without each run of ``run`` neighbouring layers, by the first of them.

    A run of 1 is Shortened LLaMA's measure (arXiv 2402.02834, section 3.2, as a loss instead of its exponential); a
    longer one is Minitron's (arXiv 2408.11796, section 3).
    """
    starts = len(model.model.layers) - run + 1
    losses = []
    for start in range(starts):
        with without(model, range(start, start + run)):
            losses.append(mean_loss(model, ids_BL))
        progress(start + 1, starts, unit="layers", note=f"loss {losses[-1]:.3f}")
    return losses


def _highest(scores: Sequence[float], keep: int) -> list[int]:
    return sorted(sorted(range(len(scores)), key=lambda layer: -scores[layer])[:keep])
