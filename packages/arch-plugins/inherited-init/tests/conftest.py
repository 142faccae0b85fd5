"""Fixtures: a small source with random weights, one that was trained on a toy language, and its tokens."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))

from inherited_support import SOURCE, VOCABULARY, plant_dead_parts, toy_stream, word_tokenizer
from smallwright_testing.tokens import write_tokens
from transformers import LlamaConfig, LlamaForCausalLM


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Models of this size are slower on several threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def make_source(model, folder):
    """Save a model as an artifact with a tokenizer of its vocabulary."""
    hf = folder / "hf"
    model.save_pretrained(hf)
    word_tokenizer(hf)
    return SimpleNamespace(model=model, path=folder, hf=hf)


@pytest.fixture
def source(tmp_path):
    """A model artifact with random weights, and a tokenizer of the right size."""
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**SOURCE)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.uniform_(0.5, 1.5)
    return make_source(model, tmp_path / "source")


@pytest.fixture
def tokens(tmp_path):
    """A tokens artifact of the toy language, as far as an initializer reads it."""
    stream = toy_stream(20_000)
    assert stream.max() < VOCABULARY
    return write_tokens(tmp_path / "tokens", [stream.tolist()], vocab_size=VOCABULARY, eos_token_id=3)


@pytest.fixture(scope="session")
def trained_weights():
    """Weights of the source after 300 steps on the toy language, with parts that were dead from the beginning."""
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**SOURCE))
    plant_dead_parts(model)  # they have no gradient, so they stay
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    ids_BL = toy_stream(300 * 16 * 32).view(300, 16, 32)
    for batch in ids_BL:
        loss = model(input_ids=batch, labels=batch).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 3.0  # a token of the language says much of the next, log(96) is 4.6
    return {name: weight.detach().clone() for name, weight in model.state_dict().items()}


@pytest.fixture
def trained(trained_weights, tmp_path):
    """The trained source, as an artifact."""
    model = LlamaForCausalLM(LlamaConfig(**SOURCE)).eval()
    model.load_state_dict(trained_weights)
    return make_source(model, tmp_path / "trained")
