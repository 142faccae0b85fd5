"""Which heads, feed-forward neurons and hidden channels a smaller model keeps, and their weights.

Structures that are coupled share one index set: a feed-forward neuron is a row of the gate and up projections and a
column of the down projection; a head is rows of query, key and value, with their biases, and columns of the output
projection; a hidden channel runs through every matrix of the model. Norms of queries and keys are of the head's
dimension, which stays. Indices stay in their order, so keeping everything changes nothing.

Letters of tensor names: docs/architectures.md.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from smallwright_inherited_init.compatibility import ffn_members
from smallwright_inherited_init.family import Dimensions
from smallwright_inherited_init.importance import NORM_NAMES, Importance


def highest(scores: torch.Tensor, keep: int) -> torch.Tensor:
    """Return the indices of the ``keep`` highest of ``scores``, rising; of equals, the first."""
    return torch.sort(scores, descending=True, stable=True).indices[:keep].sort().values


@dataclasses.dataclass
class Inheritance:
    """Weights of a smaller model, chosen from those of a larger one."""

    weights: Mapping[str, torch.Tensor]
    source: Dimensions
    child: Dimensions
    layers: Sequence[int]
    """The source's layer for each of the child's."""
    importance: Importance
    pool_heads: bool = False
    """Average neighbouring key/value heads instead of ranking them."""
    vocabulary: Callable[[torch.Tensor], torch.Tensor] = lambda weight_VD: weight_VD
    """Rows of the child's embedding and head out of the source's."""
    report: dict[str, Any] = dataclasses.field(default_factory=dict)
    """What was kept, for each structure: how many, of how many, and their share of the total score."""
    scores: dict[str, list[float]] = dataclasses.field(default_factory=dict)
    """What was ranked, by the keys of the report."""

    def build(self, progress: Callable[..., None]) -> dict[str, torch.Tensor]:
        """Return the child's weights under Hugging Face's names; ``progress`` is called once per layer."""
        channels_D = self._keep("channels", self.importance.channels, self.child.hidden_size)
        state = {"model.norm.weight": self.weights["model.norm.weight"][channels_D]}
        embedding_VD = self.weights["model.embed_tokens.weight"]
        state["model.embed_tokens.weight"] = self.vocabulary(embedding_VD)[:, channels_D]
        if not self.child.tie_word_embeddings:
            head_VD = self.weights.get("lm_head.weight", embedding_VD)
            state["lm_head.weight"] = self.vocabulary(head_VD)[:, channels_D]
        for new, old in enumerate(self.layers):
            here, there = f"model.layers.{new}", f"model.layers.{old}"
            for norm in NORM_NAMES:
                state[f"{here}.{norm}.weight"] = self.weights[f"{there}.{norm}.weight"][channels_D]
            self._attention(state, new, old, channels_D)
            for ours, theirs in zip(self.child.shortcuts(new), self.source.shortcuts(old), strict=True):
                self._shortcut(state, ours, theirs, channels_D)
            progress(new + 1, len(self.layers), unit="layers")
        for ffn, members in ffn_members(self.source, self.child, self.layers).items():
            self._feed_forward(state, ffn, members, channels_D)
        return {name: weight.contiguous().clone() for name, weight in state.items()}

    def _keep(self, what: str, scores: torch.Tensor, keep: int) -> torch.Tensor:
        kept = highest(scores, keep)
        self._tell(what, scores, kept)
        return kept

    def _tell(self, what: str, scores: torch.Tensor, kept: torch.Tensor) -> None:
        self.scores[what] = scores.tolist()
        total = scores.clamp(min=0).sum()  # learned gates can score below 0
        share = (scores.clamp(min=0)[kept].sum() / total).item() if total > 0 else 1.0
        self.report[what] = {"kept": len(kept), "of": len(scores), "share": round(share, 6), "indices": kept.tolist()}

    def _attention(self, state: dict[str, torch.Tensor], new: int, old: int, channels_D: torch.Tensor) -> None:
        here, there = f"model.layers.{new}.self_attn", f"model.layers.{old}.self_attn"
        groups_K, queries_N = self._heads(old)
        rows_A = self._rows(queries_N)
        output_DA = self.weights[f"{there}.o_proj.weight"]
        state[f"{here}.o_proj.weight"] = output_DA[channels_D][:, rows_A]
        for part in "qkv":
            weight = self.weights[f"{there}.{part}_proj.weight"]
            cut = weight[rows_A] if part == "q" else self._key_value(weight, groups_K)
            state[f"{here}.{part}_proj.weight"] = cut[:, channels_D]
            if self.source.qkv_bias:
                bias = self.weights[f"{there}.{part}_proj.bias"]
                state[f"{here}.{part}_proj.bias"] = bias[rows_A] if part == "q" else self._key_value(bias, groups_K)
        if self.source.qk_norm:
            for part in "qk":
                state[f"{here}.{part}_norm.weight"] = self.weights[f"{there}.{part}_norm.weight"]

    def _heads(self, old: int) -> tuple[torch.Tensor | None, torch.Tensor]:
        """Return the kept key/value heads, None where neighbours are averaged, and the kept query heads."""
        keep, per_group = self.child.num_key_value_heads, self.child.queries_per_group
        score_KG = self.importance.queries[old]
        groups_K: torch.Tensor | None
        if self.pool_heads:
            groups_K, score_KG = None, score_KG.reshape(keep, -1)
            pooled = self.source.num_key_value_heads // keep
            self.report[f"key_value_heads.{old}"] = {"kept": keep, "of": keep * pooled, "means_of": pooled}
            groups = list(range(keep))
        else:
            groups_K = self._keep(f"key_value_heads.{old}", self.importance.groups[old], keep)
            groups = groups_K.tolist()
        width = score_KG.shape[1]
        queries_N = torch.cat([group * width + highest(score_KG[group], per_group) for group in groups])
        self._tell(f"query_heads.{old}", score_KG.flatten(), queries_N)
        return groups_K, queries_N

    def _rows(self, heads_N: torch.Tensor) -> torch.Tensor:
        """Return the rows of a projection that belong to these heads, shape (A,)."""
        dim = self.source.head_dim
        return (heads_N[:, None] * dim + torch.arange(dim)).flatten()

    def _key_value(self, weight: torch.Tensor, groups_K: torch.Tensor | None) -> torch.Tensor:
        """Return a key or value weight, or bias, of the kept heads, or of the means of neighbours.

        The mean is GQA's way to convert a multi-head checkpoint (Ainslie et al., arXiv 2305.13245, section 2.1).
        """
        if groups_K is not None:
            return weight[self._rows(groups_K)]
        keep, dim = self.child.num_key_value_heads, self.source.head_dim
        if keep == self.source.num_key_value_heads:
            return weight
        heads = weight.float().view(keep, -1, dim, *weight.shape[1:])
        return heads.mean(1).flatten(0, 1).to(weight.dtype)

    def _shortcut(self, state: dict[str, torch.Tensor], here: str, there: str, channels_D: torch.Tensor) -> None:
        kept_P = self._keep(
            there.removeprefix("model.layers."), self.importance.bottlenecks[there], self.child.shortcut_width
        )
        state[f"{here}.down_proj.weight"] = self.weights[f"{there}.down_proj.weight"][kept_P][:, channels_D]
        state[f"{here}.up_proj.weight"] = self.weights[f"{there}.up_proj.weight"][channels_D][:, kept_P]

    def _feed_forward(
        self, state: dict[str, torch.Tensor], here: str, members: Sequence[str], channels_D: torch.Tensor
    ) -> None:
        """Cut one feed-forward of the child out of one of the source, or out of the mean of several."""
        score_F = torch.stack([self.importance.neurons[member] for member in members]).sum(0)
        kept_F = self._keep(_neurons(members), score_F, self.child.intermediate_size)

        def of(part: str) -> torch.Tensor:
            found = [self.weights[f"{member}.{part}"] for member in members]
            return found[0] if len(found) == 1 else torch.stack(found).float().mean(0).to(found[0].dtype)

        state[f"{here}.gate_proj.weight"] = of("gate_proj.weight")[kept_F][:, channels_D]
        state[f"{here}.up_proj.weight"] = of("up_proj.weight")[kept_F][:, channels_D]
        state[f"{here}.down_proj.weight"] = of("down_proj.weight")[channels_D][:, kept_F]
        if self.source.series_activation > 1:
            state |= {f"{here}.act_fn.{part}": of(f"act_fn.{part}") for part in ("scale", "shift")}


def _neurons(members: Sequence[str]) -> str:
    """Return the report's key: ``neurons.3`` for layer 3's, ``neurons.middle`` for a group's."""
    names = [member.removeprefix("model.").removeprefix("layers.").removesuffix(".mlp") for member in members]
    return "neurons." + "+".join(name.removeprefix("shared_ffns.") for name in names)
