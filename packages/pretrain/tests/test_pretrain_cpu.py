"""Each line of cpu.py is needed: a test fails when an upgrade of torch or TorchTitan makes one superfluous."""

import subprocess
import sys

import pytest

PRISTINE = """
import torch, torch.distributed
{body}
"""


def untouched(body: str) -> str:
    """Run ``body`` in a process where no shim has been applied, and return what it prints."""
    code = PRISTINE.format(body=body)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture(scope="module")
def pristine() -> dict[str, str]:
    names = [
        "torch.cpu.get_device_name",
        "torch.cpu.get_device_properties",
        "torch.cpu.memory_stats",
        "torch.cpu.reset_peak_memory_stats",
        "torch.cpu.empty_cache",
        "torch.distributed.set_timeout",
    ]
    body = "\n".join(
        f"print('{name}', hasattr({name.rpartition('.')[0]}, '{name.rpartition('.')[2]}'))" for name in names
    )
    body += "\nfrom torch.distributed.pipelining.schedules import PipelineScheduleSingle as schedule; import inspect"
    body += "\nprint('microbatches', 'arg_mbs' in inspect.signature(schedule.step).parameters)"
    body += "\nprint('current_device', type(torch.cpu.current_device()).__name__)"
    body += "\nimport torch._utils; print('accelerator', torch._utils._get_available_device_type())"
    body += "\nfrom torchtitan.tools import utils; print('titan', utils.device_type)"
    return dict(line.split() for line in untouched(body).splitlines() if len(line.split()) == 2)


def test_every_shim_is_listed_and_still_missing_from_torch(pristine):
    from smallwright_pretrain.cpu import SHIMS

    shimmed = {f"{shim.module.__name__}.{shim.name}" for shim in SHIMS}
    missing = {name for name, there in pristine.items() if there == "False"} - {"microbatches"}
    assert shimmed == missing, "torch has gained one of these: remove its shim from cpu.py"


def test_pipeline_schedules_of_torch_still_take_whole_batches_only(pristine):
    assert pristine["microbatches"] == "False", "remove step_of_microbatches from cpu.py"


def test_torch_cpu_still_names_its_device_with_a_string(pristine):
    assert pristine["current_device"] == "str", "remove the override of torch.cpu.current_device from cpu.py"


def test_torchtitan_still_takes_cuda_without_an_accelerator(pristine):
    if pristine["accelerator"] != "None":
        pytest.skip("this machine has an accelerator")
    assert pristine["titan"] == "cuda", "remove the override of device_type from cpu.py"


def test_after_use_device_torchtitan_is_on_the_cpu():
    from smallwright_pretrain.cpu import use_device

    assert use_device("cpu") == "cpu"
    import torch
    from torchtitan.components.metrics import DeviceMemoryMonitor
    from torchtitan.tools import utils

    assert utils.device_type == "cpu"
    assert utils.device_module is torch.cpu
    assert DeviceMemoryMonitor("cpu").get_peak_stats().max_active_gib > 0


def test_asking_for_cuda_without_a_gpu_names_the_fix():
    import torch
    from core.errors import UserError
    from smallwright_pretrain.cpu import use_device

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(UserError, match=r"pretrain\.device=auto"):
        use_device("cuda")
