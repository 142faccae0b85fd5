"""How much each structure of the source matters: scores by which the smaller model's parts are ranked.

Letters of tensor names: docs/architectures.md.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from smallwright_inherited_init.calibration import BATCH, batches, loss_of
from smallwright_inherited_init.family import Dimensions

NORMS: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "l1": torch.Tensor.abs,
    "l2": torch.Tensor.square,
}
"""What a weight adds to the score of the structures that it belongs to; scores only rank, so no root is taken."""
NORM_NAMES = ("input_layernorm", "post_attention_layernorm")
"""The norms of a layer, whose outputs run through hidden channels."""
NO_CHANNELS = (".bias", ".scale", ".shift", "q_norm.weight", "k_norm.weight")
"""Weights that no hidden channel runs through."""
Progress = Callable[..., None]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Importance:
    """Scores of the source's structures, in float64; higher matters more, only order means something."""

    channels: torch.Tensor
    """Shape (D,)."""
    neurons: Mapping[str, torch.Tensor]
    """Shape (F,), by prefix of the source's feed-forward."""
    queries: Sequence[torch.Tensor]
    """Shape (K, G), by layer."""
    groups: Sequence[torch.Tensor]
    """Shape (K,), by layer: a key/value head with its query heads."""
    bottlenecks: Mapping[str, torch.Tensor]
    """Shape (P,), by prefix of the shortcut."""


def of_weights(
    energy: Callable[[str], torch.Tensor], source: Dimensions, layers: Sequence[int], weights: Sequence[str]
) -> Importance:
    """Add up what the single weights of each structure are worth.

    Args:
        energy: Worth of each number in the weight of this name, in its shape.
        layers: Kept layers; hidden channels are scored in these only.
        weights: Names of all weights of the source.
    """
    groups, queries, dim = source.num_key_value_heads, source.queries_per_group, source.head_dim
    query_scores, group_scores = [], []
    for layer in range(source.num_hidden_layers):
        there = f"model.layers.{layer}.self_attn"
        score_KG = energy(f"{there}.q_proj.weight").view(groups, queries, -1).sum(2)
        score_KG = score_KG + energy(f"{there}.o_proj.weight").sum(0).view(groups, queries, dim).sum(2)
        score_K = sum((energy(f"{there}.{part}_proj.weight").view(groups, -1).sum(1) for part in "kv"), score_KG.sum(1))
        if source.qkv_bias:
            bias_KG = energy(f"{there}.q_proj.bias").view(groups, queries, dim).sum(2)
            score_KG, score_K = score_KG + bias_KG, score_K + bias_KG.sum(1)
            score_K = sum((energy(f"{there}.{part}_proj.bias").view(groups, dim).sum(1) for part in "kv"), score_K)
        query_scores.append(score_KG)
        group_scores.append(score_K)
    ffns = dict.fromkeys(source.ffn(layer) for layer in range(source.num_hidden_layers))
    neurons = {
        ffn: energy(f"{ffn}.gate_proj.weight").sum(1)
        + energy(f"{ffn}.up_proj.weight").sum(1)
        + energy(f"{ffn}.down_proj.weight").sum(0)
        for ffn in ffns
    }
    shortcuts = [shortcut for layer in range(source.num_hidden_layers) for shortcut in source.shortcuts(layer)]
    bottlenecks = {s: energy(f"{s}.down_proj.weight").sum(1) + energy(f"{s}.up_proj.weight").sum(0) for s in shortcuts}
    channels = _channels(energy, source, layers, weights)
    return Importance(
        channels=channels, neurons=neurons, queries=query_scores, groups=group_scores, bottlenecks=bottlenecks
    )


def _channels(
    energy: Callable[[str], torch.Tensor], source: Dimensions, layers: Sequence[int], weights: Sequence[str]
) -> torch.Tensor:
    """Score each hidden channel over every kept weight that it runs through; shape (D,)."""
    score_D = torch.zeros(source.hidden_size, dtype=torch.float64)
    kept = tuple(f"model.layers.{layer}." for layer in layers)
    kept += tuple(f"{source.ffn(layer)}." for layer in layers)
    for name in weights:
        if name.startswith(("model.layers.", "model.shared_ffns.")) and not name.startswith(kept):
            continue
        if name.endswith(NO_CHANNELS):
            continue
        worth = energy(name)
        score_D += worth if worth.ndim == 1 else worth.sum(1 if _hidden_is_rows(name) else 0)
    return score_D


def _hidden_is_rows(name: str) -> bool:
    """Whether a matrix writes to the hidden channels; others read them, in their columns."""
    return name.endswith("up_proj.weight" if ".attention_shortcuts." in name else ("o_proj.weight", "down_proj.weight"))


def weight_norm(norm: str, weights: Mapping[str, torch.Tensor]) -> Callable[[str], torch.Tensor]:
    """Return the energies ``l1`` and ``l2`` (LLM-Pruner, arXiv 2305.11627; PanGu-pi Pro, arXiv 2402.02791)."""
    return lambda name: NORMS[norm](weights[name].double())


def gradient_energy(rule: str, model: Any, ids_BL: torch.Tensor, progress: Progress) -> Callable[[str], torch.Tensor]:
    """Return the energies of rules that look at the gradient of the loss, window by window.

    ``taylor`` is |weight * mean gradient|, the first-order change of the loss when the weight goes (PanGu-pi Pro; the
    element-wise first order of LLM-Pruner, arXiv 2305.11627, section 3.2). ``fisher`` is the sum of squared gradients
    of single windows, the diagonal of the empirical Fisher information (Theis et al., arXiv 1801.05787).
    """
    parameters = dict(model.named_parameters())
    total = {name: torch.zeros_like(parameter) for name, parameter in parameters.items()}
    for done, window_1L in enumerate(batches(ids_BL, model, size=1)):
        gradients = torch.autograd.grad(loss_of(model, window_1L), list(parameters.values()))
        for name, gradient in zip(parameters, gradients, strict=True):
            total[name] += gradient if rule == "taylor" else gradient.square()
        progress(done + 1, len(ids_BL), unit="windows", note=rule)
    with torch.no_grad():
        if rule == "taylor":
            for name, parameter in parameters.items():
                total[name].mul_(parameter).abs_().div_(len(ids_BL))
    return lambda name: total[name].double().cpu()


class Activations:
    """Sizes of what structures put out over calibration windows (Minitron, arXiv 2407.14679, section 2.2).

    Aggregated as that paper found best: the mean of absolute values over a window's tokens, then the L2 norm over
    windows. A feed-forward that layers share adds up all its calls.
    """

    def __init__(self) -> None:
        self.squares: dict[str, torch.Tensor] = {}

    def add(self, name: str, size_BLX: torch.Tensor) -> None:
        """Take in one call's output sizes of the structures X."""
        square_X = size_BLX.detach().double().abs().mean(1).square().sum(0).cpu()
        self.squares[name] = self.squares.get(name, torch.zeros_like(square_X)) + square_X

    def score(self, name: str) -> torch.Tensor:
        """Return the score of each structure of ``name``, shape (X,)."""
        return self.squares[name].sqrt()


@torch.no_grad()
def of_activations(
    model: Any, source: Dimensions, layers: Sequence[int], ids_BL: torch.Tensor, progress: Progress
) -> Importance:
    """Score by what structures put out: a head the norm of its output, a neuron the gate before its activation, a
    hidden channel the outputs of the norms. A shortcut's bottleneck, which Minitron has not, counts like a neuron.
    """
    seen, handles = Activations(), []
    groups, queries, dim = source.num_key_value_heads, source.queries_per_group, source.head_dim

    def output(module: str, name: str) -> None:
        hook = lambda _, __, out: seen.add(name, out)  # noqa: E731
        handles.append(model.get_submodule(module).register_forward_hook(hook))

    def heads(name: str) -> None:
        hook = lambda _, args: seen.add(name, args[0].unflatten(-1, (-1, dim)).norm(dim=-1))  # noqa: E731
        handles.append(model.get_submodule(f"{name}.o_proj").register_forward_pre_hook(hook))

    numbers = range(source.num_hidden_layers)
    norms = [f"model.layers.{layer}.{norm}" for layer in layers for norm in NORM_NAMES] + ["model.norm"]
    ffns = list(dict.fromkeys(source.ffn(layer) for layer in numbers))
    shortcuts = [shortcut for layer in numbers for shortcut in source.shortcuts(layer)]
    for norm in norms:
        output(norm, norm)
    for ffn in ffns:
        output(f"{ffn}.gate_proj", ffn)
    for shortcut in shortcuts:
        output(f"{shortcut}.down_proj", shortcut)
    for layer in numbers:
        heads(f"model.layers.{layer}.self_attn")
    try:
        for done, rows_BL in enumerate(batches(ids_BL, model)):
            model(input_ids=rows_BL, use_cache=False)
            progress(done + 1, -(-len(ids_BL) // BATCH), unit="batches", note="activation")
    finally:
        for handle in handles:
            handle.remove()
    query_scores = [seen.score(f"model.layers.{layer}.self_attn").view(groups, queries) for layer in numbers]
    return Importance(
        channels=torch.stack([seen.score(norm) for norm in norms]).sum(0),
        neurons={ffn: seen.score(ffn) for ffn in ffns},
        queries=query_scores,
        groups=[score_KG.sum(1) for score_KG in query_scores],
        bottlenecks={shortcut: seen.score(shortcut) for shortcut in shortcuts},
    )
