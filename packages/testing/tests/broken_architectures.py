"""Architectures with a mistake each, made in ``gqa``, which the conformance kit must find; and one without."""

from dataclasses import dataclass

from core.hooks import hookimpl
from smallwright_gqa.architecture import GQA

PLUGIN_API_VERSION = 1

ARCHITECTURES = (
    "sound",
    "miscounted",
    "understated",
    "other_rope",
    "mixed_up",
    "forgetful",
    "leaky",
    "detached",
    "frozen_cache",
    "counts_ranks",
)


@hookimpl
def register_architectures(register):
    for name in ARCHITECTURES:
        made = "".join(part.title() for part in name.split("_"))
        register(f"arch_{name}", f"broken_architectures:{made}", config="smallwright_gqa.config:GQAConfig")


class Sound(GQA):
    """As ``gqa``."""


class Miscounted(GQA):
    def parameters(self):
        return super().parameters() + 1


class Understated(GQA):
    """As if the output head were not counted."""

    def executed_parameters(self):
        return super().executed_parameters() - self.config.vocab_size * self.config.hidden_size


class OtherRope(GQA):
    def hf_config(self):
        changed = super().hf_config()
        changed.rope_parameters = {**changed.rope_parameters, "rope_theta": 5000.0}
        return changed


class MixedUp(GQA):
    """Every shape is right: only values are in the wrong place."""

    def state_dict_adapter(self):
        class Changed(super().state_dict_adapter()):
            def to_hf(self, state):
                found = super().to_hf(state)
                return {name: value.flip(0) if "q_proj" in name else value for name, value in found.items()}

        return Changed


class Forgetful(GQA):
    def state_dict_adapter(self):
        class Changed(super().state_dict_adapter()):
            def from_hf(self, state):
                return super().from_hf({name: value for name, value in state.items() if name != "no_such_weight"})

        return Changed


class OtherAttention(GQA):
    """``gqa`` whose attention in training is changed."""

    def attend(self, forward, q, k, v, masks, more):
        """Return what ``forward`` returns, for other arguments."""
        raise NotImplementedError

    def titan_config(self, *, inner_attention, seq_len):
        from smallwright_pretrain.attention import DocumentAttention

        attend = self.attend

        class Changed(DocumentAttention):
            @dataclass(kw_only=True, slots=True)
            class Config(DocumentAttention.Config):
                pass

            def forward(self, q, k, v, *, attention_masks, **more):
                return attend(super().forward, q, k, v, attention_masks, more)

        chosen = inner_attention and Changed.Config()
        return super().titan_config(inner_attention=chosen, seq_len=seq_len)


class Leaky(OtherAttention):
    def attend(self, forward, q, k, v, masks, more):
        everything = masks.new_full(masks.shape, float("-inf")).triu(1)
        return forward(q, k, v, attention_masks=everything, **more)


class Detached(OtherAttention):
    def attend(self, forward, q, k, v, masks, more):
        return forward(q, k, v.detach(), attention_masks=masks)


class CountsRanks(OtherAttention):
    def attend(self, forward, q, k, v, masks, more):
        import torch.distributed as dist

        ranks = dist.get_world_size() if dist.is_initialized() else 1
        return forward(q, k, v, attention_masks=masks, **more) / ranks


class FrozenCache(GQA):
    """Takes the first position for every token that comes after a cache."""

    def hf_model_class(self):
        from transformers import LlamaForCausalLM

        class Changed(LlamaForCausalLM):
            def forward(self, *args, past_key_values=None, position_ids=None, **more):
                if past_key_values is not None and past_key_values.get_seq_length():
                    position_ids = (args[0] if args else more["input_ids"]) * 0
                return super().forward(*args, past_key_values=past_key_values, position_ids=position_ids, **more)

        return Changed
