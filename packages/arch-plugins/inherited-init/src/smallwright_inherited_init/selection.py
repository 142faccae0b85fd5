"""Which layers, heads, feed-forward neurons and hidden channels a smaller model keeps, and their weights.

Structures that are coupled share one index set: a feed-forward neuron is a row of the gate and up projections and a
column of the down projection; a head is rows of query, key and value and columns of the output projection; a hidden
channel runs through every matrix of the model. Indices stay in their order, so keeping everything changes nothing.

Shape suffixes: V vocabulary, H hidden channels, F feed-forward neurons, K key/value groups, Q query heads of a group,
D head dimension.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import torch

from smallwright_inherited_init.family import Dimensions

ENERGY: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "l1": torch.Tensor.abs,
    "l2": torch.Tensor.square,
}
"""What a weight adds to the score of the structures that it belongs to; scores only rank, so no root is taken."""


def highest(scores: torch.Tensor, keep: int) -> torch.Tensor:
    """Return the indices of the ``keep`` highest of ``scores``, rising; of equals, the first."""
    return torch.sort(scores, descending=True, stable=True).indices[:keep].sort().values


@dataclasses.dataclass
class Inheritance:
    """Weights of a smaller model, chosen from those of a larger one."""

    weights: Mapping[str, torch.Tensor]
    source: Dimensions
    child: Dimensions
    layers: list[int]
    norm: str
    """``l1`` or ``l2``."""
    report: dict[str, Any] = dataclasses.field(default_factory=dict)
    """What was kept, for each structure: how many, of how many, and their share of the total score."""

    def build(self, progress: Callable[..., None]) -> dict[str, torch.Tensor]:
        """Return the child's weights under Hugging Face's names; ``progress`` is called once per layer."""
        channels = self._keep("channels", self._channel_scores(), self.child.hidden_size)
        state = {"model.norm.weight": self.weights["model.norm.weight"][channels]}
        embedding_VH = self.weights["model.embed_tokens.weight"]
        state["model.embed_tokens.weight"] = embedding_VH[:, channels]
        if not self.child.tie_word_embeddings:
            state["lm_head.weight"] = self.weights.get("lm_head.weight", embedding_VH)[:, channels]
        for new, old in enumerate(self.layers):
            here, there = f"model.layers.{new}", f"model.layers.{old}"
            for norm in ("input_layernorm", "post_attention_layernorm"):
                state[f"{here}.{norm}.weight"] = self.weights[f"{there}.{norm}.weight"][channels]
            self._attention(state, f"{here}.self_attn", f"{there}.self_attn", old, channels)
            if f"{self.child.ffn(new)}.gate_proj.weight" not in state:
                self._feed_forward(state, new, old, channels)
            progress(new + 1, len(self.layers), unit="layers")
        return {name: weight.contiguous().clone() for name, weight in state.items()}

    def _energy(self, weight: torch.Tensor) -> torch.Tensor:
        return ENERGY[self.norm](weight.double())

    def _keep(self, what: str, scores: torch.Tensor, keep: int) -> torch.Tensor:
        kept = highest(scores, keep)
        share = (scores[kept].sum() / scores.sum()).item() if scores.sum() > 0 else 1.0
        self.report[what] = {"kept": keep, "of": len(scores), "share": round(share, 6), "indices": kept.tolist()}
        return kept

    def _channel_scores(self) -> torch.Tensor:
        """Score of each hidden channel over every kept matrix that it runs through; shape (H,)."""
        score_H = torch.zeros(self.source.hidden_size, dtype=torch.float64)
        kept = {f"model.layers.{layer}." for layer in self.layers}
        for name, weight in self.weights.items():
            if name.startswith("model.layers.") and not name.startswith(tuple(kept)):
                continue
            along = 0 if weight.ndim == 1 or "o_proj" in name or "down_proj" in name else 1
            energy = self._energy(weight)
            score_H += energy if energy.ndim == 1 else energy.sum(1 - along)
        return score_H

    def _attention(
        self, state: dict[str, torch.Tensor], here: str, there: str, layer: int, channels: torch.Tensor
    ) -> None:
        groups, dim = self.source.num_key_value_heads, self.source.head_dim
        queries = self.source.num_attention_heads // groups
        query, key, value, output = (self.weights[f"{there}.{part}_proj.weight"] for part in "qkvo")
        query_score_KQ = self._energy(query).view(groups, queries, -1).sum(2)
        query_score_KQ += self._energy(output).sum(0).view(groups, queries, dim).sum(2)
        group_score_K = query_score_KQ.sum(1)
        group_score_K += self._energy(key).view(groups, -1).sum(1) + self._energy(value).view(groups, -1).sum(1)

        kept_groups = self._keep(f"key_value_heads.{layer}", group_score_K, self.child.num_key_value_heads)
        per_group = self.child.num_attention_heads // self.child.num_key_value_heads
        kept_queries = torch.cat([g * queries + highest(query_score_KQ[g], per_group) for g in kept_groups.tolist()])
        self.report[f"query_heads.{layer}"] = {
            "kept": len(kept_queries),
            "of": groups * queries,
            "indices": kept_queries.tolist(),
        }
        query_rows, group_rows = (
            (heads[:, None] * dim + torch.arange(dim)).flatten() for heads in (kept_queries, kept_groups)
        )
        state[f"{here}.q_proj.weight"] = query[query_rows][:, channels]
        state[f"{here}.k_proj.weight"] = key[group_rows][:, channels]
        state[f"{here}.v_proj.weight"] = value[group_rows][:, channels]
        state[f"{here}.o_proj.weight"] = output[channels][:, query_rows]

    def _feed_forward(self, state: dict[str, torch.Tensor], new: int, old: int, channels: torch.Tensor) -> None:
        there, here = self.source.ffn(old), self.child.ffn(new)
        gate_FH, up_FH, down_HF = (self.weights[f"{there}.{part}_proj.weight"] for part in ("gate", "up", "down"))
        score_F = self._energy(gate_FH).sum(1) + self._energy(up_FH).sum(1) + self._energy(down_HF).sum(0)
        name = "neurons" if self.source.shared_ffn else f"neurons.{old}"
        neurons = self._keep(name, score_F, self.child.intermediate_size)
        state[f"{here}.gate_proj.weight"] = gate_FH[neurons][:, channels]
        state[f"{here}.up_proj.weight"] = up_FH[neurons][:, channels]
        state[f"{here}.down_proj.weight"] = down_HF[channels][:, neurons]
