"""The TorchTitan face: each part by itself, and that a part which is off changes nothing.

Letters of tensor names: docs/architectures.md.
"""

import pytest
import torch
from core.errors import InputError
from core.typed import build
from smallwright_decoder.architecture import DecoderArchitecture
from smallwright_decoder.config import DecoderConfig
from smallwright_pretrain.cpu import use_device

use_device("cpu")

from smallwright_decoder.parts import SeriesActivation  # noqa: E402
from smallwright_decoder.titan import window_mask  # noqa: E402
from smallwright_pretrain.attention import DocumentAttention, document_mask  # noqa: E402
from smallwright_pretrain.weights import unsharded  # noqa: E402
from torchtitan.models.common.attention import ScaledDotProductAttention  # noqa: E402

TINY = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 64,
    "max_position_embeddings": 64,
    "initializer_range": 0.2,
}
ALL = {
    "qk_norm": True,
    "qkv_bias": True,
    "sliding_window": 3,
    "global_interval": 2,
    "nope_interval": 1,
    "ffn_groups": {"ends": "0,2"},
    "activation": "gelu",
    "series_activation": 2,
    "augmented_shortcuts": 2,
    "shortcut_reduction": 8,
    "shortcut_zero_init": False,
}
# Two documents, the second of 7 tokens.
POSITIONS_BL = torch.cat([torch.arange(9), torch.arange(7)])[None]
IDS_BL = torch.randint(0, 64, (1, 16), generator=torch.Generator().manual_seed(1))


def titan_config(**values):
    architecture = DecoderArchitecture(build(DecoderConfig, {**TINY, **values}, "arch"))
    return architecture.titan_config(inner_attention=DocumentAttention.Config(), seq_len=32)


def titan(**values):
    return unsharded(titan_config(**values))


def logits(model, ids_BL=IDS_BL, positions_BL=POSITIONS_BL):
    dtype = next(model.parameters()).dtype
    return model(ids_BL, positions=positions_BL, attention_masks=document_mask(positions_BL, dtype))


def with_weights_of(model, **values):
    other = titan(**values)
    missing = other.load_state_dict(model.state_dict(), strict=False).missing_keys
    return other, missing


def test_shortcuts_that_start_at_zero_leave_the_logits_bit_equal():
    plain = titan()
    other, new = with_weights_of(plain, augmented_shortcuts=2, shortcut_reduction=8)
    assert len(new) == 3 * 2 * 2
    assert torch.equal(logits(plain), logits(other))
    logits(other).square().mean().backward()
    assert other.layers["1"].attention_shortcuts[0].up.weight.grad.any(), "they can leave zero"
    other, _ = with_weights_of(plain, augmented_shortcuts=2, shortcut_reduction=8, shortcut_zero_init=False)
    assert not torch.allclose(logits(plain), logits(other), atol=1e-3)


def test_a_series_of_one_term_is_the_plain_activation():
    assert titan(series_activation=1).state_dict().keys() == titan().state_dict().keys()
    series = SeriesActivation.Config(terms=1, function=torch.nn.functional.gelu).build()
    with torch.no_grad():
        series.scale.fill_(1), series.shift.fill_(0)
    z = torch.randn(5, 7)
    assert torch.equal(series(z), torch.nn.functional.gelu(z))


def test_a_series_starts_next_to_the_plain_activation_with_unlike_terms():
    plain = titan(initializer_range=0.02)
    other, _ = with_weights_of(plain, series_activation=3, initializer_range=0.02)
    activation = other.layers["0"].feed_forward.activation
    assert activation.scale[0] == 1
    assert (activation.scale[1:].abs() < 0.1).all()
    assert len(set(activation.scale.tolist())) == 3
    assert not activation.shift.any()
    torch.testing.assert_close(logits(plain), logits(other), atol=1e-3, rtol=0)


@pytest.mark.parametrize("window", [1, 3, 16, 40])
def test_window_mask_is_the_one_of_brute_force(window):
    mask_B1LL = window_mask(document_mask(POSITIONS_BL, torch.float32), window)
    document = (POSITIONS_BL[0] == 0).cumsum(0)
    for i in range(16):
        for j in range(16):
            seen = i - window < j <= i and document[i] == document[j]
            assert mask_B1LL[0, 0, i, j] == (0 if seen else float("-inf"))


def test_local_layers_see_their_window_and_no_other_document():
    model = titan(sliding_window=2, num_hidden_layers=1)
    before = logits(model)
    for changed in range(16):
        ids_BL = IDS_BL.clone()
        ids_BL[0, changed] = (ids_BL[0, changed] + 1) % 64
        differs = (logits(model, ids_BL) != before)[0].any(-1).nonzero().flatten().tolist()
        ends = 9 if changed < 9 else 16
        assert differs == [place for place in (changed, changed + 1) if place < ends]


def test_every_layer_gets_the_mask_of_its_kind():
    wide = titan(sliding_window=16, global_interval=2)
    assert torch.equal(logits(wide), logits(titan()))
    narrow, _ = with_weights_of(titan(), sliding_window=2, global_interval=1)
    assert torch.equal(logits(narrow), logits(titan())), "all layers are global"
    assert narrow.sliding_window is None


def test_a_local_layer_without_a_mask_is_an_error():
    architecture = DecoderArchitecture(build(DecoderConfig, {**TINY, "sliding_window": 2}, "arch"))
    model = unsharded(architecture.titan_config(inner_attention=ScaledDotProductAttention.Config(), seq_len=32))
    with pytest.raises(ValueError, match="local layer"):
        model(IDS_BL)


def test_layers_without_positions_do_not_know_the_order_of_what_they_saw():
    swapped_BL = IDS_BL.clone()
    swapped_BL[0, [0, 1]] = IDS_BL[0, [1, 0]]
    one_document = torch.arange(16)[None]
    for interval, alike in ((1, True), (None, False)):
        model = titan(nope_interval=interval, num_hidden_layers=1)
        difference = logits(model, IDS_BL, one_document) - logits(model, swapped_BL, one_document)
        assert bool(difference[0, 2:].abs().max() < 1e-5) == alike
    assert not [name for name, _ in titan(nope_interval=1).named_buffers() if "rope" in name]


def test_gradients_of_all_parts_are_those_of_finite_differences():
    """In float64, and so without RoPE, which TorchTitan computes in float32."""
    values = {**ALL, "hidden_size": 8, "intermediate_size": 6, "vocab_size": 11, "num_hidden_layers": 3}
    model = titan(**values, head_dim=2, num_key_value_heads=4).double()
    ids_BL, positions_BL = IDS_BL[:, :6] % 11, torch.tensor([[0, 1, 2, 3, 0, 1]])
    state = {name: value.detach().requires_grad_() for name, value in model.named_parameters()}
    mask = document_mask(positions_BL, torch.float64)

    def loss(*weights):
        given = dict(zip(state, weights, strict=True))
        out = torch.func.functional_call(
            model, given, (ids_BL,), {"positions": positions_BL, "attention_masks": mask}, tie_weights=True
        )
        return out.square().sum()

    assert torch.autograd.gradcheck(loss, tuple(state.values()), fast_mode=True)


def test_shared_gradient_is_the_sum_over_layers():
    shared = titan(ffn_groups={"ends": "0,2"}, activation="relu2", series_activation=2)
    state = shared.state_dict()
    own = {
        name.replace("shared_ffns.ends", f"layers.{layer}.feed_forward"): value
        for name, value in state.items()
        for layer in ((0, 2) if "shared_ffns" in name else (0,))
    }
    plain = titan(activation="relu2", series_activation=2)
    plain.load_state_dict(own)
    assert torch.equal(logits(shared), logits(plain))
    for model in (shared, plain):
        logits(model).square().mean().backward()
    grads = {name: parameter.grad for name, parameter in plain.named_parameters()}
    for name, parameter in shared.shared_ffns["ends"].named_parameters():
        summed = grads[f"layers.0.feed_forward.{name}"] + grads[f"layers.2.feed_forward.{name}"]
        assert (parameter.grad - summed).abs().max() < 1e-6
    assert not [name for name, _ in shared.layers["0"].named_parameters() if "feed_forward" in name]


def test_initialisation_of_the_parts():
    model = titan(**{**ALL, "shortcut_zero_init": False}, hidden_size=128, intermediate_size=96)
    block = model.layers["1"]
    assert not block.attention.qkv_linear.wq.bias.any()
    assert (block.attention.q_norm.weight == 1).all()
    shortcut = block.attention_shortcuts[1]
    assert shortcut.down.weight.std().item() == pytest.approx(0.2, rel=0.1)
    assert shortcut.up.weight.std().item() == pytest.approx(0.2 / 6**0.5, rel=0.1)
    assert model.shared_ffns["ends"].w2.weight.std().item() == pytest.approx(0.2 / 6**0.5, rel=0.1)


def test_adapter_round_trip_is_exact_with_all_parts():
    config = titan_config(**ALL)
    architecture = DecoderArchitecture(build(DecoderConfig, {**TINY, **ALL}, "arch"))
    adapter = architecture.state_dict_adapter()(config, None)
    state = unsharded(config).state_dict()
    there = adapter.to_hf(state)
    back = adapter.from_hf(there)
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], state[name]) for name in state)
    assert {
        "model.shared_ffns.ends.act_fn.scale",
        "model.layers.1.mlp.act_fn.shift",
        "model.layers.0.attention_shortcuts.1.up_proj.weight",
        "model.layers.0.self_attn.k_norm.weight",
        "model.layers.0.self_attn.v_proj.bias",
    } <= there.keys()


def test_weights_that_are_not_the_models_are_named():
    config = titan_config(**ALL)
    adapter = DecoderArchitecture(build(DecoderConfig, {**TINY, **ALL}, "arch")).state_dict_adapter()(config, None)
    weights = adapter.to_hf(unsharded(config).state_dict())
    with pytest.raises(KeyError, match=r"model\.extra\.weight"):
        adapter.from_hf({**weights, "model.extra.weight": torch.zeros(1)})
    with pytest.raises(KeyError, match="extra"):
        adapter.to_hf({"extra": torch.zeros(1)})
    name = "model.layers.2.self_attn.q_proj.bias"
    with pytest.raises(InputError, match=f"missing weights: {name}"):
        adapter.from_hf({key: value for key, value in weights.items() if key != name})
    with pytest.raises(InputError, match=rf"of another shape: {name} \[3\] for \[32\]"):
        adapter.from_hf({**weights, name: torch.zeros(3)})
