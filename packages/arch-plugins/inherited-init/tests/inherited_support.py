"""What the tests of inherited init share."""

import json
from types import SimpleNamespace

import torch
from core.interfaces import Job
from core.typed import build
from smallwright_inherited_init.config import InheritedInitConfig
from smallwright_inherited_init.stage import InheritedInit
from transformers import LlamaConfig, LlamaForCausalLM

VOCABULARY = 96
SOURCE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 24,
    "num_hidden_layers": 6,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 64,
    "tie_word_embeddings": True,
    "bos_token_id": None,
    "eos_token_id": 3,
}
IDS = torch.randint(0, VOCABULARY, (2, 20), generator=torch.Generator().manual_seed(0))
DEAD_NEURONS, DEAD_GROUP, DEAD_CHANNELS = [3, 4, 11], 1, [0, 7, 21, 30]
"""What :func:`plant_dead_parts` plants in the trained source."""
CALIBRATION = {"calibration_sequences": 16, "calibration_length": 32}


def architecture(config_class=LlamaConfig, model_class=LlamaForCausalLM, **values):
    """A child architecture: all that an initializer asks of one while it works."""
    return SimpleNamespace(
        hf_config=lambda: config_class(**{**SOURCE, "eos_token_id": None, **values}),
        hf_model_class=lambda: model_class,
    )


def inherit(parent, child, tmp_path, inputs=None, **settings):
    """Run the initializer; return its summary and the child, loaded again."""
    job = Job(
        name="init",
        output=tmp_path / "child",
        inputs={"source": parent.path, **(inputs or {})},
        seed=0,
        architecture=child,
    )
    job.output.mkdir(exist_ok=True)
    summary = InheritedInit(build(InheritedInitConfig, settings, "arch.initializer")).run(job)
    return summary, child.hf_model_class().from_pretrained(job.output / "hf").eval()


def kept(tmp_path):
    """The report of kept indices."""
    return json.loads((tmp_path / "child" / "inherited.json").read_text())


def plant_dead_parts(model):
    """Let some neurons, a key/value head with its queries, and some hidden channels do nothing in any layer."""
    heads, group = slice(16 * DEAD_GROUP, 16 * DEAD_GROUP + 16), slice(8 * DEAD_GROUP, 8 * DEAD_GROUP + 8)
    with torch.no_grad():
        for layer in model.model.layers:
            layer.mlp.gate_proj.weight[DEAD_NEURONS] = 0
            layer.mlp.up_proj.weight[DEAD_NEURONS] = 0
            layer.mlp.down_proj.weight[:, DEAD_NEURONS] = 0
            layer.self_attn.q_proj.weight[heads] = 0
            layer.self_attn.k_proj.weight[group] = 0
            layer.self_attn.v_proj.weight[group] = 0
            layer.self_attn.o_proj.weight[:, heads] = 0
        for name, parameter in model.named_parameters():
            axis = 0 if parameter.ndim == 1 or "o_proj" in name or "down_proj" in name else 1
            parameter.index_fill_(axis, torch.tensor(DEAD_CHANNELS), 0.0)


def toy_stream(length, seed=0):
    """Ids of a toy language in which each token allows four second-next ones, with fixed odds: attention is needed."""
    table = torch.randint(4, VOCABULARY, (VOCABULARY, 4), generator=torch.Generator().manual_seed(1))
    draws = torch.multinomial(
        torch.tensor([0.6, 0.2, 0.15, 0.05]), length, True, generator=torch.Generator().manual_seed(seed)
    )
    ids, rows = [4, 5], table.tolist()
    for draw in draws.tolist():
        ids.append(rows[ids[-2]][draw])
    return torch.tensor(ids[2:])


def word_tokenizer(folder, words=None):
    """Save a tokenizer of whole words (``t0`` ... ``t95`` unless given), its end-of-text token among them."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = words or [f"t{i}" for i in range(VOCABULARY)]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token=words[0]))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    folder.mkdir(exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": words[3]}))
    return folder
