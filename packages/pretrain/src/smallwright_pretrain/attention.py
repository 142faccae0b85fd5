"""Attention inside packed sequences: no token attends to another document.

FlexAttention does this on a GPU and has no backward on a CPU, and TorchTitan's SDPA ignores documents; on a CPU this
module's matmul, softmax, matmul with an additive mask is right, and the fastest of those tried.

Letters of tensor names: docs/architectures.md.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torchtitan.models.common.attention import FlexAttention
from torchtitan.protocols.module import Module


def document_mask(positions_BL: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Build the additive causal mask of packed documents.

    Args:
        positions_BL: Position of each token in its document; 0 marks the start of a document.
        dtype: The dtype of the attention scores.

    Returns:
        A tensor of shape (B, 1, L, L): 0 where the column's token comes no later than the row's in the same
        document, minus infinity elsewhere. No row is all minus infinity, for a token sees itself.
    """
    length = positions_BL.shape[1]
    document_BL = (positions_BL == 0).cumsum(1)
    same_BLL = document_BL[:, :, None] == document_BL[:, None, :]
    causal_LL = torch.ones(length, length, dtype=torch.bool, device=positions_BL.device).tril()
    mask_BLL = torch.zeros(same_BLL.shape, dtype=dtype, device=positions_BL.device)
    return mask_BLL.masked_fill_(~(same_BLL & causal_LL), float("-inf"))[:, None]


class DocumentAttention(FlexAttention):
    """Softmax attention with an additive mask, a TorchTitan inner attention; grouped-query heads are not copied.

    It is a FlexAttention to TorchTitan's context parallelism, which gathers keys and values before it.
    """

    @dataclass(kw_only=True, slots=True)
    class Config(Module.Config):
        pass

    def __init__(self, config: Config) -> None:
        Module.__init__(self)

    def forward(
        self,
        q_BLNH: torch.Tensor,
        k_BLNH: torch.Tensor,
        v_BLNH: torch.Tensor,
        *,
        attention_masks: torch.Tensor,
        scale: float | None = None,
        enable_gqa: bool = False,
        **_: Any,
    ) -> torch.Tensor:
        """Attend.

        TorchTitan's plan of tensor parallelism knows the arguments by these names; keys and values may have fewer heads
        than queries.

        Args:
            attention_masks: What :func:`document_mask` returned, shape (B, 1, L, S).
            scale: Factor on the scores; 1/sqrt(H) when None.

        Returns:
            A tensor of shape (B, L, N, H): L is the length of the queries. Keys and values have length S, longer where
            the ranks of context parallelism each hold a part of the queries.
        """
        batch, length, query_heads, head_size = q_BLNH.shape
        keys, kv_heads = k_BLNH.shape[1:3]
        group = query_heads // kv_heads
        scale = head_size**-0.5 if scale is None else scale
        # The queries of a group are laid one after another along the sequence: one batched product serves them all.
        q_BKMH = (q_BLNH * scale).transpose(1, 2).reshape(batch, kv_heads, group * length, head_size)
        k_BKHS = k_BLNH.permute(0, 2, 3, 1)
        v_BKSH = v_BLNH.transpose(1, 2)
        scores_BNLS = torch.matmul(q_BKMH, k_BKHS).view(batch, query_heads, length, keys)
        weights_BNLS = torch.softmax(scores_BNLS + attention_masks.to(scores_BNLS.dtype), dim=-1)
        weights_BKMS = weights_BNLS.view(batch, kv_heads, group * length, keys)
        out_BKMH = torch.matmul(weights_BKMS, v_BKSH)
        return out_BKMH.view(batch, query_heads, length, head_size).transpose(1, 2)


def inner_attention(device: str) -> Module.Config:
    """Return the attention config that trains packed documents on ``device`` (``cpu`` or ``cuda``)."""
    return DocumentAttention.Config() if device == "cpu" else FlexAttention.Config()
