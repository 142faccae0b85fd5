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


class DocumentAttention(Module):
    """Softmax attention with an additive mask, a TorchTitan inner attention; grouped-query heads are not copied."""

    @dataclass(kw_only=True, slots=True)
    class Config(Module.Config):
        pass

    def __init__(self, config: Config) -> None:
        super().__init__()

    def forward(
        self,
        q_BLNH: torch.Tensor,
        k_BLKH: torch.Tensor,
        v_BLKH: torch.Tensor,
        *,
        attention_masks: torch.Tensor,
        scale: float | None = None,
        enable_gqa: bool = False,
        **_: Any,
    ) -> torch.Tensor:
        """Attend.

        Args:
            attention_masks: What :func:`document_mask` returned, shape (B, 1, L, L).
            scale: Factor on the scores; 1/sqrt(H) when None.

        Returns:
            A tensor of shape (B, L, N, H).
        """
        batch, length, query_heads, head_size = q_BLNH.shape
        kv_heads = k_BLKH.shape[2]
        group = query_heads // kv_heads
        scale = head_size**-0.5 if scale is None else scale
        # The queries of a group are laid one after another along the sequence: one batched product serves them all.
        q_BKMH = (q_BLNH * scale).transpose(1, 2).reshape(batch, kv_heads, group * length, head_size)
        k_BKHL = k_BLKH.permute(0, 2, 3, 1)
        v_BKLH = v_BLKH.transpose(1, 2)
        scores_BNLL = torch.matmul(q_BKMH, k_BKHL).view(batch, query_heads, length, length)
        weights_BNLL = torch.softmax(scores_BNLL + attention_masks.to(scores_BNLL.dtype), dim=-1)
        weights_BKML = weights_BNLL.view(batch, kv_heads, group * length, length)
        out_BKMH = torch.matmul(weights_BKML, v_BKLH)
        return out_BKMH.view(batch, query_heads, length, head_size).transpose(1, 2)


def inner_attention(device: str) -> Module.Config:
    """Return the attention config that trains packed documents on ``device`` (``cpu`` or ``cuda``)."""
    return DocumentAttention.Config() if device == "cpu" else FlexAttention.Config()
