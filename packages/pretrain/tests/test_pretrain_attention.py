"""Attention inside packed sequences: against PyTorch's own, and blind to other documents."""

import pytest
import torch
import torch.nn.functional as F
from smallwright_pretrain.cpu import use_device

use_device("cpu")

from smallwright_pretrain.attention import DocumentAttention, document_mask  # noqa: E402

POSITIONS = torch.tensor([[0, 1, 2, 0, 1, 2, 3, 4], [0, 1, 2, 3, 4, 5, 6, 7]])


def heads(query: int, key_value: int):
    generator = torch.Generator().manual_seed(0)
    sizes = [(2, 8, query, 16), (2, 8, key_value, 16), (2, 8, key_value, 16)]
    return [torch.randn(size, generator=generator, requires_grad=True) for size in sizes]


@pytest.mark.parametrize(("query", "key_value"), [(4, 4), (4, 2), (6, 1)])
@pytest.mark.parametrize("scale", [None, 0.3])
def test_output_and_gradients_equal_sdpa(query, key_value, scale):
    ours, theirs = heads(query, key_value), heads(query, key_value)
    mask = document_mask(POSITIONS, torch.float32)
    out = DocumentAttention.Config().build()(*ours, attention_masks=mask, scale=scale)
    q, k, v = (t.transpose(1, 2) for t in theirs)
    expected = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale, enable_gqa=True).transpose(1, 2)
    torch.testing.assert_close(out, expected, atol=2e-6, rtol=1e-5)
    weight = torch.randn(out.shape, generator=torch.Generator().manual_seed(1))
    (out * weight).sum().backward()
    (expected * weight).sum().backward()
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one.grad, other.grad, atol=5e-6, rtol=1e-4)


def test_a_document_does_not_see_the_one_before_it():
    q, k, v = heads(4, 2)
    attention = DocumentAttention.Config().build()
    mask = document_mask(POSITIONS, torch.float32)
    before = attention(q, k, v, attention_masks=mask)
    changed_k, changed_v = k.detach().clone(), v.detach().clone()
    changed_k[0, :3], changed_v[0, :3] = 5.0, -5.0
    after = attention(q, changed_k, changed_v, attention_masks=mask)
    assert torch.equal(before[0, 3:], after[0, 3:])
    assert not torch.allclose(before[0, :3], after[0, :3])


def test_the_mask_is_causal_and_every_token_sees_itself():
    mask_B1LL = document_mask(POSITIONS, torch.bfloat16)
    assert mask_B1LL.shape == (2, 1, 8, 8)
    assert mask_B1LL.dtype == torch.bfloat16
    seen = mask_B1LL[:, 0] == 0
    assert seen.diagonal(dim1=1, dim2=2).all()
    assert not seen.triu(1).any()
    assert seen[0].sum() == 1 + 2 + 3 + 1 + 2 + 3 + 4 + 5
