"""Architectures and steps with a mistake each, which the conformance kit must find; and one of each without."""

import itertools
import random
import threading
from dataclasses import dataclass

from core.data.steps import DocumentStep, Rejection, Step
from core.hooks import hookimpl

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
STEPS = ("sound", "loses", "keeps_twice", "draws", "hashes", "looks_at_rank", "locked", "remembers", "chatty")


@hookimpl
def register_architectures(register):
    for name in ARCHITECTURES:
        register(f"arch_{name}", f"broken_plugins:{name}", config="smallwright_gqa.config:GQAConfig")


@hookimpl
def register_steps(register):
    for name in STEPS:
        register(f"step_{name}", f"broken_plugins:{''.join(part.title() for part in name.split('_'))}")


def sound(config, **changed):
    """Return ``gqa`` with some of its methods changed."""
    from smallwright_gqa.architecture import GQA

    return type("Changed", (GQA,), changed)(config)


def miscounted(config):
    counted = sound(config).parameters()
    return sound(config, parameters=lambda self: counted + 1)


def understated(config):
    """As if the output head were not counted."""
    counted = sound(config).executed_parameters() - config.vocab_size * config.hidden_size
    return sound(config, executed_parameters=lambda self: counted)


def other_rope(config):
    def hf_config(self):
        changed = sound(config).hf_config()
        changed.rope_parameters = {**changed.rope_parameters, "rope_theta": 5000.0}
        return changed

    return sound(config, hf_config=hf_config)


def adapter(config, **changed):
    inner = sound(config).state_dict_adapter()
    return sound(config, state_dict_adapter=lambda self: type("Changed", (inner,), changed))


def mixed_up(config):
    """Every shape is right: only values are in the wrong place."""
    inner = sound(config).state_dict_adapter()

    def to_hf(self, state):
        found = inner.to_hf(self, state)
        return {name: value.flip(0) if "q_proj" in name else value for name, value in found.items()}

    return adapter(config, to_hf=to_hf)


def forgetful(config):
    inner = sound(config).state_dict_adapter()

    def from_hf(self, state):
        return inner.from_hf(self, {name: value for name, value in state.items() if name != "no_such_weight"})

    return adapter(config, from_hf=from_hf)


def attention(config, change):
    """Return ``gqa`` whose attention in training is changed."""

    def titan_config(self, *, inner_attention, seq_len):
        from smallwright_pretrain.attention import DocumentAttention

        class Changed(DocumentAttention):
            @dataclass(kw_only=True, slots=True)
            class Config(DocumentAttention.Config):
                pass

            def forward(self, q, k, v, *, attention_masks, **more):
                return change(super().forward, q, k, v, attention_masks, more)

        chosen = inner_attention and Changed.Config()
        return sound(config).titan_config(inner_attention=chosen, seq_len=seq_len)

    return sound(config, titan_config=titan_config)


def leaky(config):
    def change(forward, q, k, v, masks, more):
        everything = masks.new_full(masks.shape, float("-inf")).triu(1)
        return forward(q, k, v, attention_masks=everything, **more)

    return attention(config, change)


def detached(config):
    return attention(config, lambda forward, q, k, v, masks, more: forward(q, k, v.detach(), attention_masks=masks))


def counts_ranks(config):
    import torch.distributed as dist

    def change(forward, q, k, v, masks, more):
        ranks = dist.get_world_size() if dist.is_initialized() else 1
        return forward(q, k, v, attention_masks=masks, **more) / ranks

    return attention(config, change)


def frozen_cache(config):
    """Takes the first position for every token that comes after a cache."""
    from transformers import LlamaForCausalLM

    class Changed(LlamaForCausalLM):
        def forward(self, *args, past_key_values=None, position_ids=None, **more):
            if past_key_values is not None and past_key_values.get_seq_length():
                position_ids = (args[0] if args else more["input_ids"]) * 0
            return super().forward(*args, past_key_values=past_key_values, position_ids=position_ids, **more)

    return sound(config, hf_model_class=lambda self: Changed)


class Sound(DocumentStep):
    def process_document(self, document):
        if not document.text.strip():
            raise Rejection("empty")
        return document


class Loses(Step):
    """Forgets to say what becomes of short documents."""

    def process(self, documents, rank, world_size):
        return (document for document in documents if len(document.text) > 100)


class KeepsTwice(Step):
    """Numbers that are right, of documents that are not."""

    def process(self, documents, rank, world_size):
        for place, document in enumerate(documents):
            if place == 3:
                twice = document
            yield twice if place == 4 else document


class Draws(DocumentStep):
    """Draws from a generator that nobody has seeded."""

    def process_document(self, document):
        if random.SystemRandom().random() < 0.5:
            raise Rejection("bad luck")
        return document


class Hashes(DocumentStep):
    """Python hashes strings in another way in every process."""

    def process_document(self, document):
        if hash(document.id) % 2:
            raise Rejection("odd")
        return document


class LooksAtRank(Step):
    """Keeps what comes first in each shard."""

    def process(self, documents, rank, world_size):
        for place, document in enumerate(documents):
            if place < 3:
                yield document
            else:
                self.reject(document, "late")


class Locked(Sound):
    """Cannot travel to another process."""

    def __init__(self, config=None):
        super().__init__(config)
        self.lock = threading.Lock()
        self.lines = itertools.count()
        self.waiting = (line for line in ())


class Remembers(Sound):
    """Goes on counting where a killed run stopped."""

    def process(self, documents, rank, world_size):
        note = self.context.rejected.parent / "reports" / f"{rank}.txt"
        note.parent.mkdir(parents=True, exist_ok=True)
        with note.open("a") as file:
            file.write("started\n")
        yield from super().process(documents, rank, world_size)


class Chatty(DocumentStep):
    """Its reasons cannot be counted."""

    def process_document(self, document):
        raise Rejection(f"the document is\n{document.id}")
