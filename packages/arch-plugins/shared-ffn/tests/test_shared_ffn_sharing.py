"""One FFN: in the weights file, under autograd, compiled, sharded over ranks, and written out per layer."""

import copy
import os
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from core.config import build
from core.errors import ConfigError, InputError
from safetensors import safe_open
from smallwright_shared_ffn.architecture import SharedFFN
from smallwright_shared_ffn.config import SharedFFNConfig
from smallwright_shared_ffn.materialise import materialise
from torch.distributed.tensor import DTensor
from torchtitan.models.common.attention import ScaledDotProductAttention
from transformers import AutoModelForCausalLM, LlamaForCausalLM

DIMENSIONS = {"size": "nano", "vocab_size": 128, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3}


def architecture(**values) -> SharedFFN:
    return SharedFFN(build(SharedFFNConfig, {**DIMENSIONS, **values}, "arch"))


def hf_model():
    torch.manual_seed(0)
    return architecture().hf_model_class()(architecture().hf_config()).eval()


def titan_model():
    torch.manual_seed(0)
    with torch.device("meta"):
        model = architecture().titan_config(inner_attention=ScaledDotProductAttention.Config(), seq_len=32).build()
    model.to_empty(device="cpu")
    model.init_states(buffer_device=torch.device("cpu"))
    return model


def batch():
    return torch.randint(0, 128, (4, 33), generator=torch.Generator().manual_seed(1))


def loss_of(model, ids):
    return F.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())


def test_weights_file_holds_one_ffn_and_loads_bit_equal(tmp_path):
    model, ids = hf_model(), batch()
    model.save_pretrained(tmp_path)
    with safe_open(tmp_path / "model.safetensors", "pt") as file:
        ffn = [name for name in file.keys() if "proj" in name and "self_attn" not in name]  # noqa: SIM118
        assert sum(file.get_tensor(name).numel() for name in file.keys()) == architecture().parameters()  # noqa: SIM118
    assert sorted(ffn) == [f"model.shared_ffn.{part}_proj.weight" for part in ("down", "gate", "up")]
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert torch.equal(model(ids).logits, loaded(ids).logits)
    assert all(layer.mlp is loaded.model.shared_ffn for layer in loaded.model.layers)
    copied = copy.deepcopy(model)
    assert all(layer.mlp is copied.model.shared_ffn for layer in copied.model.layers)


def test_export_loads_where_smallwright_is_not_installed(tmp_path):
    hf_model().save_pretrained(tmp_path)
    code = f"""
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("core", "smallwright_shared_ffn"): raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
from transformers import AutoModelForCausalLM
model = AutoModelForCausalLM.from_pretrained({str(tmp_path)!r}, trust_remote_code=True)
print(type(model).__name__, model.num_parameters())
"""
    environment = {**os.environ, "HF_MODULES_CACHE": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.stdout.split() == ["SharedFFNForCausalLM", str(architecture().parameters())], done.stderr[-2000:]


def test_generation_with_cache_equals_without():
    model, prompt = hf_model(), batch()[:1, :8]
    options = {"max_new_tokens": 12, "do_sample": False, "pad_token_id": 0}
    assert torch.equal(model.generate(prompt, **options), model.generate(prompt, use_cache=False, **options))


def test_materialised_llama_gives_the_same_bits(tmp_path):
    model, ids = hf_model(), batch()
    model.save_pretrained(tmp_path / "shared")
    (tmp_path / "shared" / "tokenizer.json").write_text("{}")
    ffn = 3 * 64 * 96
    assert materialise(tmp_path / "shared", tmp_path / "plain") == architecture().parameters() + 2 * ffn
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "plain")
    assert type(plain) is LlamaForCausalLM
    assert torch.equal(model(ids).logits, plain(ids).logits)
    assert (tmp_path / "plain" / "tokenizer.json").is_file()
    assert not (tmp_path / "plain" / "hf.py").exists()
    with pytest.raises(InputError, match="not empty"):
        materialise(tmp_path / "shared", tmp_path / "plain")
    with pytest.raises(InputError, match="'llama'"):
        materialise(tmp_path / "plain", tmp_path / "other")


def test_shared_gradient_is_the_sum_over_layers(tmp_path):
    model, ids = hf_model(), batch()
    model.save_pretrained(tmp_path / "shared")
    materialise(tmp_path / "shared", tmp_path / "plain")
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "plain").eval()
    for each in (model, plain):
        each(ids, labels=ids).loss.backward()
    for part in ("gate_proj", "up_proj", "down_proj"):
        shared = getattr(model.model.shared_ffn, part).weight.grad
        summed = sum(getattr(layer.mlp, part).weight.grad for layer in plain.model.layers)
        assert torch.allclose(shared, summed, atol=1e-6)


def test_blocks_do_not_own_the_ffn_and_compile_whole():
    model, compiled, ids = titan_model(), titan_model(), batch()
    names = [name for name, _ in model.named_parameters()]
    assert sorted(name for name in names if "ffn" in name and "norm" not in name) == [
        f"shared_ffn.w{i}.weight" for i in (1, 2, 3)
    ]
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
        architecture().titan_config(inner_attention=None, seq_len=32).update_from_config(config=Settings())


def _train_on_two_ranks(rank: int, store: str, result: str) -> None:
    import torch.distributed as dist
    from torch.distributed.fsdp import FSDPModule
    from torchtitan.distributed.fsdp import apply_fsdp_to_decoder

    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    model = titan_model()
    mesh = dist.init_device_mesh("cpu", (2,), mesh_dim_names=("fsdp",))
    apply_fsdp_to_decoder(model, mesh, torch.float32, torch.float32, pp_enabled=False)
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.set_force_sum_reduction_for_comms(True)  # gloo has no pre-multiplied sum
    assert all(isinstance(parameter, DTensor) for parameter in model.shared_ffn.parameters())
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
    model = titan_model()
    loss_of(model, batch()).backward()
    for name, parameter in model.named_parameters():
        assert torch.allclose(sharded[name], parameter.grad, atol=1e-6), name


if __name__ == "__main__":  # one rank of the test above
    _train_on_two_ranks(int(sys.argv[1]), sys.argv[2], sys.argv[3])
