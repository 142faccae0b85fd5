"""Shared FFNs: written out per layer, owned by the model and not by its blocks, compiled, sharded over ranks."""

import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from core.errors import ConfigError
from core.typed import build
from smallwright_decoder.materialise import materialise
from smallwright_shared_ffn.architecture import SharedFFN
from smallwright_shared_ffn.config import SharedFFNConfig
from torch.distributed.tensor import DTensor
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


def _train_on_two_ranks(rank: int, store: str, result: str) -> None:
    import torch.distributed as dist
    from torch.distributed.fsdp import FSDPModule
    from torchtitan.distributed.fsdp import apply_fsdp_to_decoder

    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    model = titan_model(ffn_groups=GROUPS)
    mesh = dist.init_device_mesh("cpu", (2,), mesh_dim_names=("fsdp",))
    apply_fsdp_to_decoder(model, mesh, torch.float32, torch.float32, pp_enabled=False)
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.set_force_sum_reduction_for_comms(True)  # gloo has no pre-multiplied sum
    assert all(isinstance(parameter, DTensor) for parameter in model.shared_ffns["middle"].parameters())
    # TorchTitan sums gradients over ranks; halves of a batch make its mean.
    (loss_of(model, batch()[rank * 2 : rank * 2 + 2]) / 2).backward()
    gradients = {name: parameter.grad.full_tensor() for name, parameter in model.named_parameters()}
    if rank == 0:
        torch.save(gradients, result)
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_fsdp_ranks_give_one_ranks_gradients(tmp_path):
    commands = [
        [sys.executable, __file__, str(rank), f"{tmp_path}/store", f"{tmp_path}/gradients.pt"] for rank in (0, 1)
    ]
    ranks = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for command in commands]
    errors = [rank.communicate(timeout=300)[1] for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0], errors
    sharded = torch.load(tmp_path / "gradients.pt", weights_only=True)
    model = titan_model(ffn_groups=GROUPS)
    loss_of(model, batch()).backward()
    for name, parameter in model.named_parameters():
        assert torch.allclose(sharded[name], parameter.grad, atol=1e-6), name


if __name__ == "__main__":  # one rank of the test above
    _train_on_two_ranks(int(sys.argv[1]), sys.argv[2], sys.argv[3])
