"""What the planner asks of a decoder: how much memory its layers and parts take."""

import pytest
from smallwright_decoder.architecture import DecoderArchitecture
from smallwright_decoder.config import DecoderConfig
from smallwright_pretrain.config import TorchTitanConfig
from smallwright_pretrain.plan import memory_parts

SHAPE = {
    "vocab_size": 64,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 6,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
}
PLAIN = 4 * 64 + 8 * 64
"""Values that a layer without its feed-forward keeps per token."""

# What the planner said before its formulas moved to the architectures.
MEMORY_OF_PARTS = {
    "weights": 393896,
    "gradients": 393896,
    "optimizer": 787792,
    "gathered": 185912,
    "activations": 30326784,
    "masks": 524288,
    "logits": 786432,
}
MEMORY_OF_EXPERTS = {
    "weights": 739968,
    "gradients": 739968,
    "optimizer": 1479936,
    "gathered": 252116,
    "activations": 30457856,
    "masks": 262144,
    "logits": 786432,
}


def decoder(**values) -> DecoderArchitecture:
    return DecoderArchitecture(DecoderConfig(**{**SHAPE, **values}))


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        ({}, [PLAIN + 5 * 96] * 6),
        ({"series_activation": 2}, [PLAIN + 7 * 96] * 6),
        ({"augmented_shortcuts": 2, "shortcut_reduction": 8}, [PLAIN + 5 * 96 + 2 * 2 * 8] * 6),
        ({"head_dim": 32}, [4 * 64 + 8 * 128 + 5 * 96] * 6),
        ({"ffn_groups": {"some": "0-1"}}, [PLAIN + 5 * 96] * 6),
        (
            {
                "num_experts": 8,
                "moe_intermediate_size": 32,
                "shared_expert_intermediate_size": 16,
                "mlp_only_layers": (0, 2),
            },
            [PLAIN + (5 * 96 if layer in (0, 2) else 2 * (5 * 32 + 3 * 64) + 5 * 16 + 3 * 8) for layer in range(6)],
        ),
    ],
)
def test_each_part_keeps_its_values_for_the_backward_pass(values, kept):
    architecture = decoder(**values)
    assert list(architecture.activation_values(32, scores=False)) == kept
    with_scores = architecture.activation_values(32, scores=True)
    assert [more - less for more, less in zip(with_scores, kept, strict=True)] == [2 * 4 * 32] * 6


def test_a_model_with_local_layers_needs_a_mask_of_each_kind():
    assert decoder().mask_kinds() == 1
    assert decoder(sliding_window=16, global_interval=3).mask_kinds() == 2


def test_memory_has_these_bytes():
    settings = TorchTitanConfig(global_batch_size=16, seq_len=128, nproc=2, device="cpu", precision="bfloat16")
    parts = {"series_activation": 2, "augmented_shortcuts": 1, "ffn_groups": {"some": "0-1"}, "sliding_window": 16}
    assert memory_parts(settings, decoder(**parts)) == MEMORY_OF_PARTS
    experts = {"num_experts": 8, "moe_intermediate_size": 32, "mlp_only_layers": (0,)}
    assert memory_parts(settings, decoder(**experts)) == MEMORY_OF_EXPERTS


@pytest.mark.parametrize("shared", [0, 2, 6])
def test_shared_feed_forwards_are_gathered_once_beside_two_blocks(shared):
    groups = {"some": f"0-{shared - 1}"} if shared else None
    attention, feed_forward, norms = 4 * 64 * 64, 3 * 64 * 96, 2 * 64
    in_block = attention + norms + (feed_forward if shared < 6 else 0)
    expected = 64 * 64 + (feed_forward if shared else 0) + 2 * in_block
    settings = TorchTitanConfig(global_batch_size=16, seq_len=32, nproc=2)
    gathered = memory_parts(settings, decoder(ffn_groups=groups))["gathered"]
    assert gathered == pytest.approx(4 * expected, rel=0.01)  # the model's last norm
