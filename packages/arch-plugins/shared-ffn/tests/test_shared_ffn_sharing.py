"""Shared FFNs: written out per layer, owned by the model and not by its blocks, compiled.

Two ranks train them sharded in ``test_shared_ffn_conformance.py``.
"""

import pytest
import torch
import torch.nn.functional as F
from core.errors import ConfigError
from core.typed import build
from smallwright_decoder.materialise import materialise
from smallwright_shared_ffn.architecture import SharedFFN
from smallwright_shared_ffn.config import SharedFFNConfig
from torchtitan.models.common.attention import ScaledDotProductAttention
from transformers import AutoModelForCausalLM, LlamaForCausalLM

DIMENSIONS = {"size": "nano", "vocab_size": 128, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 4}
GROUPS = {"middle": "1-2"}


def built(**values) -> SharedFFN:
    return SharedFFN(build(SharedFFNConfig, {**DIMENSIONS, **values}, "arch"))


def titan_model(**values):
    torch.manual_seed(0)
    with torch.device("meta"):
        model = built(**values).titan_config(inner_attention=ScaledDotProductAttention.Config(), seq_len=32).build()
    model.to_empty(device="cpu")
    model.init_states(buffer_device=torch.device("cpu"))
    return model


def batch():
    return torch.randint(0, 128, (4, 33), generator=torch.Generator().manual_seed(1))


def loss_of(model, ids):
    return F.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())


def test_a_whole_model_shared_is_materialised_as_a_llama(tmp_path):
    architecture = built()
    torch.manual_seed(0)
    model, ids = architecture.hf_model_class()(architecture.hf_config()).eval(), batch()
    model.save_pretrained(tmp_path / "shared")
    assert materialise(tmp_path / "shared", tmp_path / "plain") == architecture.parameters() + 3 * 3 * 64 * 96
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "plain")
    assert type(plain) is LlamaForCausalLM
    assert torch.equal(model(ids).logits, plain(ids).logits)


def test_blocks_do_not_own_a_shared_ffn_and_compile_whole():
    model, compiled, ids = titan_model(ffn_groups=GROUPS), titan_model(ffn_groups=GROUPS), batch()
    owners = {name.rsplit(".", 2)[0] for name, _ in model.named_parameters() if ".w1." in name}
    assert owners == {"shared_ffns.middle", "layers.0.feed_forward", "layers.3.feed_forward"}
    for block in compiled.layers.values():
        block.compile(backend="aot_eager", fullgraph=True)
    for each in (model, compiled):
        loss_of(each, ids).backward()
    for (name, a), (_, b) in zip(model.named_parameters(), compiled.named_parameters(), strict=True):
        assert torch.allclose(a.grad, b.grad, atol=1e-6), name


def test_pipeline_parallelism_is_refused():
    from torchtitan.config import ParallelismConfig

    class Settings:
        parallelism = ParallelismConfig(pipeline_parallel_degree=2)

    with pytest.raises(ConfigError, match="pipeline_parallel_degree=2"):
        built().titan_config(inner_attention=None, seq_len=32).update_from_config(config=Settings())
