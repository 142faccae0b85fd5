"""The numbers that an architecture gives the planner where it overrides nothing: read from Hugging Face's keys."""

from types import SimpleNamespace

from core.interfaces import Architecture


class Plain(Architecture):
    """An architecture that states only what it must."""

    def parameters(self):
        return 1000

    def executed_parameters(self):
        return 900

    def attention_width(self):
        return 2 * 16

    def hf_config(self): ...

    def hf_model_class(self): ...

    def titan_config(self, *, inner_attention, seq_len): ...

    def state_dict_adapter(self): ...

    def vllm_architecture(self):
        return "Plain"


def test_numbers_follow_hugging_faces_keys():
    keys = {"hidden_size": 8, "vocab_size": 10, "num_hidden_layers": 2, "num_attention_heads": 4}
    plain = Plain(SimpleNamespace(**keys, intermediate_size=24, max_position_embeddings=512))
    assert (plain.layers(), plain.residual_width(), plain.vocab_rows(), plain.context()) == (2, 8, 10, 512)
    assert (plain.shared_parameters(), plain.layer_parameters()) == (0, (1000 - 80) // 2)
    values = 6 * 8 + 4 * 16 + 4 * 24
    assert plain.activation_values(64, scores=False) == (values, values)
    assert plain.activation_values(64, scores=True) == (values + 64 * 4,) * 2
    assert plain.mask_kinds() == 1
    local = Plain(SimpleNamespace(**keys, layer_types=["full_attention", "sliding_attention"]))
    assert local.mask_kinds() == 2
    assert local.activation_values(64, scores=False) == (6 * 8 + 4 * 16 + 4 * 4 * 8,) * 2


def test_a_configuration_without_these_keys_still_has_numbers():
    plain = Plain(SimpleNamespace())
    assert (plain.layers(), plain.residual_width(), plain.vocab_rows(), plain.context()) == (1, 0, 0, None)
    assert plain.activation_values(64, scores=False) == (4 * 32,)
