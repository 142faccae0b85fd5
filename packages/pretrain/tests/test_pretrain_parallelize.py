"""FSDP units on one gloo rank: what the root holds, and what is refused."""

import pytest
import torch
from pretrain_support import Tiny, TinyConfig
from smallwright_pretrain.cpu import use_device

use_device("cpu")

from smallwright_pretrain.attention import inner_attention  # noqa: E402


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """What the trainer hands to a ``parallelize_fn``."""
    from torchtitan.config.configs import CompileConfig, ParallelismConfig, TrainingConfig
    from torchtitan.distributed import ParallelDims

    store = torch.distributed.FileStore(str(tmp_path_factory.mktemp("store") / "store"), 1)
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    parallelism = ParallelismConfig(spmd_backend="partial_dtensor")
    yield {
        "parallel_dims": ParallelDims.from_config(parallelism, 1),
        "training": TrainingConfig(mixed_precision_param="float32"),
        "parallelism": parallelism,
        "compile_config": CompileConfig(),
        "ac_config": None,
        "dump_folder": "",
    }
    torch.distributed.destroy_process_group()


def model_with_one_feed_forward(*, child_of_blocks: bool):
    """Return a Llama whose blocks use one feed-forward, a child of the model, of the blocks too or not."""
    model = Tiny(TinyConfig()).titan_config(inner_attention=inner_attention("cpu"), seq_len=32).build()
    shared = model.layers["0"].feed_forward
    for block in model.layers.values():
        del block._modules["feed_forward"]
        if child_of_blocks:
            block.feed_forward = shared
        else:
            object.__setattr__(block, "feed_forward", shared)
    if not child_of_blocks:
        model.shared_ffn = shared
    return model


def unit_of(model, module) -> set[str]:
    """Return the names of the parameters that ``module`` gathers and reduces as one."""
    group = module._get_fsdp_state()._fsdp_param_group
    held = {id(parameter.sharded_param) for parameter in group.fsdp_params}
    return {name for name, parameter in model.named_parameters() if id(parameter) in held}


def test_a_shared_feed_forward_belongs_to_the_root_unit(settings):
    from smallwright_pretrain.parallelize import parallelize

    model = model_with_one_feed_forward(child_of_blocks=False)
    names = {name for name, _ in model.named_parameters() if name.startswith("shared_ffn")}
    parallelize(model, **settings)
    assert len(names) == 3
    assert unit_of(model, model) == names
    block = unit_of(model, model.layers["1"])
    assert "layers.1.attention.wo.weight" in block
    assert not any("feed_forward" in name for name in block)


def test_gloo_gets_plain_sums(settings):
    from smallwright_pretrain.parallelize import parallelize
    from torch.distributed.fsdp import FSDPModule

    model = parallelize(model_with_one_feed_forward(child_of_blocks=False), **settings)
    units = [module for module in model.modules() if isinstance(module, FSDPModule)]
    groups = [unit._get_fsdp_state()._fsdp_param_group for unit in units]
    assert len(units) >= 4
    assert all(group.force_sum_reduction_for_comms for group in groups if group is not None)


def test_a_feed_forward_that_blocks_own_together_is_refused(settings):
    from smallwright_pretrain.parallelize import parallelize

    with pytest.raises(RuntimeError, match="both own feed_forward"):
        parallelize(model_with_one_feed_forward(child_of_blocks=True), **settings)
