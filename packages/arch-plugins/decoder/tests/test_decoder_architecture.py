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
PLAIN = 6 * 64 + 4 * 64
"""Values that a layer without its feed-forward keeps per token."""


def decoder(**values) -> DecoderArchitecture:
    return DecoderArchitecture(DecoderConfig(**{**SHAPE, **values}))


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        ({}, [PLAIN + 4 * 96] * 6),
        ({"series_activation": 2}, [PLAIN + 6 * 96] * 6),
        ({"augmented_shortcuts": 2, "shortcut_reduction": 8}, [PLAIN + 4 * 96 + 2 * 2 * 8] * 6),
        ({"head_dim": 32}, [6 * 64 + 4 * 128 + 4 * 96] * 6),
        ({"ffn_groups": {"some": "0-1"}}, [PLAIN + 4 * 96] * 6),
        (
            {
                "num_experts": 8,
                "moe_intermediate_size": 32,
                "shared_expert_intermediate_size": 16,
                "mlp_only_layers": (0, 2),
            },
            [PLAIN + (4 * 96 if layer in (0, 2) else 2 * (5 * 32 + 3 * 64) + 5 * 16 + 3 * 8) for layer in range(6)],
        ),
    ],
)
def test_each_part_keeps_its_values_for_the_backward_pass(values, kept):
    architecture = decoder(**values)
    assert list(architecture.activation_values(32, scores=False)) == kept
    with_scores = architecture.activation_values(32, scores=True)
    assert [more - less for more, less in zip(with_scores, kept, strict=True)] == [4 * 32] * 6


@pytest.mark.parametrize("values", [{}, {"num_key_value_heads": 1, "qk_norm": True}, {"series_activation": 3}])
def test_autograd_keeps_as_much_as_is_counted(values):
    from smallwright_pretrain.cpu import use_device

    use_device("cpu")
    import torch
    from smallwright_pretrain.attention import document_mask, inner_attention
    from smallwright_pretrain.weights import unsharded

    length, architecture = 64, decoder(**{**SHAPE, "hidden_size": 128, "intermediate_size": 384, **values})
    model = unsharded(architecture.titan_config(inner_attention=inner_attention("cpu"), seq_len=length))
    mask = document_mask(torch.arange(length)[None], torch.float32)
    others = {tensor.untyped_storage().data_ptr() for tensor in (mask, *model.parameters())}
    kept = {}

    def note(tensor):
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = (storage.nbytes(), tensor)  # the tensor, so that its place is not used again
        return tensor

    hidden = torch.randn(1, length, 128, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        model.layers["0"](hidden, mask, torch.arange(length)[None])
    found = sum(size for place, (size, _) in kept.items() if place not in others) / 4 / length
    assert found == pytest.approx(architecture.activation_values(length, scores=True)[0], rel=0.12)


def test_a_model_with_local_layers_needs_a_mask_of_each_kind():
    assert decoder().mask_kinds() == 1
    assert decoder(sliding_window=16, global_interval=3).mask_kinds() == 2


@pytest.mark.parametrize("shared", [0, 2, 6])
def test_shared_feed_forwards_are_gathered_once_beside_two_blocks(shared):
    groups = {"some": f"0-{shared - 1}"} if shared else None
    attention, feed_forward, norms = 4 * 64 * 64, 3 * 64 * 96, 2 * 64
    in_block = attention + norms + (feed_forward if shared < 6 else 0)
    expected = 64 * 64 + (feed_forward if shared else 0) + 2 * in_block
    settings = TorchTitanConfig(global_batch_size=16, seq_len=32, nproc=2)
    gathered = memory_parts(settings, decoder(ffn_groups=groups))["gathered"]
    assert gathered == pytest.approx(4 * expected, rel=0.01)  # the model's last norm
