"""Learned masks: gates on the source's structures, trained to open for those that the loss needs.

Sheared LLaMA (Xia et al., arXiv 2310.06694, section 2.1): hard-concrete gates (Louizos et al., arXiv 1712.01312) under
a constraint that as many are open, in expectation, as the target shape has, kept by Lagrange multipliers; the target
falls from everything to the shape over the first fifth of the steps (theirs: 640 of 3,200). Here only the gates are
trained and the weights stay, so that kept rows are the source's; and at the end the gates of the highest scores are
kept, exactly as many as the target has.

Letters of tensor names: docs/architectures.md.
"""

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch

from smallwright_inherited_init.calibration import loss_of, without
from smallwright_inherited_init.config import InheritedInitConfig
from smallwright_inherited_init.family import Dimensions
from smallwright_inherited_init.importance import NORM_NAMES, Importance

TEMPERATURE = 2 / 3
STRETCH = (-0.1, 1.1)
INITIAL_LOGIT = 5.0
"""Gates start open: their logit in Sheared LLaMA's code."""
WARM_UP = 0.2
"""Share of the steps over which the target falls from everything to the shape."""
BATCH = 4
"""Windows of a step."""
CHANNELS = "channels"


@dataclasses.dataclass(frozen=True)
class Unit:
    """Gates of one kind at one place, of which each row keeps ``keep``."""

    shape: tuple[int, int]
    keep: int


def units(source: Dimensions, child: Dimensions, layers: Sequence[int], pool_heads: bool) -> dict[str, Unit]:
    """Return the gates to learn, by name: those of structures that the child has fewer of."""
    found = {CHANNELS: Unit((1, source.hidden_size), child.hidden_size)}
    for layer in layers:
        groups = child.num_key_value_heads if pool_heads else source.num_key_value_heads
        queries = source.num_attention_heads // groups
        found[f"queries.{layer}"] = Unit((groups, queries), child.queries_per_group)
        found[f"groups.{layer}"] = Unit((1, groups), child.num_key_value_heads)
        found[source.ffn(layer)] = Unit((1, source.intermediate_size), child.intermediate_size)
    return {name: unit for name, unit in found.items() if unit.keep < unit.shape[1]}


def sample(log_alpha: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return gates in [0, 1] from the hard-concrete distribution, in the shape of ``log_alpha``."""
    low, high = STRETCH
    noise = torch.rand(log_alpha.shape, generator=generator).clamp(1e-6, 1 - 1e-6).to(log_alpha.device)
    concrete = torch.sigmoid((noise.log() - (1 - noise).log() + log_alpha) / TEMPERATURE)
    return (concrete * (high - low) + low).clamp(0, 1)


def open_probability(log_alpha: torch.Tensor) -> torch.Tensor:
    """Return the probability that each gate is above 0."""
    low, high = STRETCH
    return torch.sigmoid(log_alpha - TEMPERATURE * math.log(-low / high))


@contextlib.contextmanager
def gated(model: Any, source: Dimensions, layers: Sequence[int], gates: Mapping[str, torch.Tensor]) -> Iterator[None]:
    """Multiply structures of the model by ``gates``, looked up at every call; a missing one is open.

    A closed hidden channel is left out of the norms' mean too: with gates of 0 and 1 the model computes what the cut
    one does.
    """
    dim, handles = source.head_dim, []

    def channels(_: Any, __: Any, output_BLD: torch.Tensor) -> torch.Tensor:
        return output_BLD * gates[CHANNELS][0] if CHANNELS in gates else output_BLD

    def norm(module: Any, inputs: tuple[torch.Tensor, ...], output_BLD: torch.Tensor) -> torch.Tensor:
        if CHANNELS not in gates:
            return output_BLD
        gate_D, x_BLD = gates[CHANNELS][0], inputs[0].float()
        mean_square_BL1 = x_BLD.square().sum(-1, keepdim=True) / (gate_D != 0).sum().clamp(min=1)
        return module.weight * (x_BLD * torch.rsqrt(mean_square_BL1 + module.variance_epsilon)) * gate_D

    def heads(layer: int) -> Callable[..., Any]:
        def hook(_: Any, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor]:
            x_BLA = inputs[0]
            for name in (f"queries.{layer}", f"groups.{layer}"):
                if name in gates:
                    gate = gates[name] if name.startswith("queries") else gates[name].T
                    gate_KG = gate.expand(-1, x_BLA.shape[-1] // dim // len(gate))
                    x_BLA = x_BLA * gate_KG.flatten().repeat_interleave(dim)
            return (x_BLA,)

        return hook

    def neurons(ffn: str) -> Callable[..., Any]:
        return lambda _, inputs: (inputs[0] * gates[ffn][0],) if ffn in gates else None

    places: list[tuple[str, Callable[..., Any]]] = [
        (f"model.layers.{layer}.{name}", norm) for layer in layers for name in NORM_NAMES
    ]
    places += [("model.norm", norm), ("model.embed_tokens", channels)]
    for layer in layers:
        output = f"model.layers.{layer}.self_attn.o_proj"
        handles.append(model.get_submodule(output).register_forward_pre_hook(heads(layer)))
        places += [(output, channels)] + [(f"{shortcut}.up_proj", channels) for shortcut in source.shortcuts(layer)]
    for ffn in dict.fromkeys(source.ffn(layer) for layer in layers):
        handles.append(model.get_submodule(f"{ffn}.down_proj").register_forward_pre_hook(neurons(ffn)))
        places.append((f"{ffn}.down_proj", channels))
    handles += [model.get_submodule(place).register_forward_hook(hook) for place, hook in places]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def learn(
    model: Any,
    source: Dimensions,
    child: Dimensions,
    layers: Sequence[int],
    ids_BL: torch.Tensor,
    config: InheritedInitConfig,
    seed: int,
    progress: Callable[..., None],
) -> dict[str, torch.Tensor]:
    """Train gates on the source without its dropped layers and return their logits, by the names of :func:`units`."""
    places = units(source, child, layers, config.key_value_heads == "mean")
    if not places:
        return {}
    generator = torch.Generator().manual_seed(seed)
    logits = {
        name: torch.full(unit.shape, INITIAL_LOGIT, device=model.device, requires_grad=True)
        for name, unit in places.items()
    }
    multipliers = {
        name: torch.zeros(2, unit.shape[0], device=model.device, requires_grad=True) for name, unit in places.items()
    }
    rate = config.mask_learning_rate
    optimizer = torch.optim.Adam(
        [
            {"params": list(logits.values()), "lr": rate},
            {"params": list(multipliers.values()), "lr": rate, "maximize": True},
        ]
    )
    model.requires_grad_(False)
    dropped = [layer for layer in range(source.num_hidden_layers) if layer not in layers]
    gates: dict[str, torch.Tensor] = {}
    with without(model, dropped), gated(model, source, layers, gates):
        for step in range(config.mask_steps):
            pruned = min(1.0, (step + 1) / (WARM_UP * config.mask_steps))
            gates |= {name: sample(logit, generator) for name, logit in logits.items()}
            rows = torch.randint(len(ids_BL), (BATCH,), generator=generator)
            loss = loss_of(model, ids_BL[rows].to(model.device))
            total = loss + sum(_constraint(logits[n], multipliers[n], unit, pruned) for n, unit in places.items())
            optimizer.zero_grad()
            total.backward()
            optimizer.step()
            progress(step + 1, config.mask_steps, unit="steps", note=f"masks, loss {loss.item():.3f}")
    return {name: logit.detach().double().cpu() for name, logit in logits.items()}


def _constraint(log_alpha: torch.Tensor, multipliers: torch.Tensor, unit: Unit, pruned: float) -> torch.Tensor:
    """Return the Lagrangian's terms: linear and quadratic in how far the share of open gates is from the target."""
    target = 1 - pruned * (1 - unit.keep / unit.shape[1])
    difference = open_probability(log_alpha).mean(1) - target
    return (multipliers[0] * difference + multipliers[1] * difference.square()).sum()


def of_masks(logits: Mapping[str, torch.Tensor], source: Dimensions, otherwise: Importance) -> Importance:
    """Return the gates' logits as scores; what has no gate keeps the score of another measure."""
    numbers = range(source.num_hidden_layers)
    shape = (source.num_key_value_heads, source.queries_per_group)
    return Importance(
        channels=logits[CHANNELS][0] if CHANNELS in logits else otherwise.channels,
        neurons={ffn: logits[ffn][0] if ffn in logits else score for ffn, score in otherwise.neurons.items()},
        queries=[logits.get(f"queries.{layer}", otherwise.queries[layer]).reshape(shape) for layer in numbers],
        groups=[logits[f"groups.{n}"][0] if f"groups.{n}" in logits else otherwise.groups[n] for n in numbers],
        bottlenecks=otherwise.bottlenecks,
    )
