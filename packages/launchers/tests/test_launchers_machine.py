"""How a machine is divided among tasks."""

import re
from contextlib import nullcontext

import pytest
from core.errors import ConfigError
from smallwright_launchers import machine
from smallwright_launchers.config import LocalConfig
from smallwright_launchers.local import LocalLauncher
from smallwright_launchers.machine import Share


@pytest.fixture
def has(monkeypatch):
    """Says what the machine has."""

    def set_machine(cores, gpus):
        monkeypatch.setattr(machine, "cores", lambda: tuple(range(cores)))
        monkeypatch.setattr(machine, "gpus", lambda: tuple(map(str, range(gpus))))

    return set_machine


@pytest.mark.parametrize(
    ("cores", "gpus", "settings", "sizes", "each"),
    [
        (8, 0, {}, [2, 2, 2, 2], None),
        (1, 0, {}, [1], None),
        (8, 0, {"jobs": 3}, [2, 3, 3], None),
        (2, 0, {"jobs": 4}, [1, 1, 1, 1], None),
        (8, 4, {}, [2, 2, 2, 2], 1),
        (8, 4, {"jobs": 2}, [4, 4], 2),
        (8, 3, {"jobs": 2}, [4, 4], 1),
        (8, 4, {"gpus_per_job": 2}, [4, 4], 2),
        (8, 4, {"gpus_per_job": 0}, [2, 2, 2, 2], 0),
        (8, 4, {"gpus_per_job": 0, "jobs": 5}, [1, 2, 1, 2, 2], 0),
        (8, 0, {"gpus_per_job": 0, "jobs": 2}, [4, 4], None),
    ],
)
def test_cores_and_gpus_are_divided(has, cores, gpus, settings, sizes, each):
    has(cores, gpus)
    shares = machine.divide(LocalConfig(**settings))
    assert [len(share.cores) for share in shares] == sizes
    assert {None if share.gpus is None else len(share.gpus) for share in shares} == {each}
    used = [core for share in shares for core in share.cores]
    assert set(used) <= set(range(cores))
    assert len(shares) > cores or sorted(used) == list(range(cores)), "none is idle, and none has two tasks"
    given = [gpu for share in shares for gpu in share.gpus or ()]
    assert len(set(given)) == len(given)


@pytest.mark.parametrize(
    ("gpus", "settings", "said"),
    [
        (0, {"gpus_per_job": 1}, r"^launcher\.gpus_per_job=1: this machine has no GPUs\. Give fewer\.$"),
        (1, {"gpus_per_job": 2}, r"^launcher\.gpus_per_job=2: this machine has 1 GPU\. Give fewer\.$"),
        (4, {"gpus_per_job": 2, "jobs": 3}, r"this machine has 4 GPUs, and launcher\.jobs=3 need 6\. Give fewer\.$"),
        (2, {"jobs": 3}, r"^launcher\.jobs=3: this machine has 2 GPUs, fewer than one for each\. Give at most 2, or"),
    ],
)
def test_more_gpus_than_there_are_is_refused_in_one_line(has, gpus, settings, said):
    has(8, gpus)
    with pytest.raises(ConfigError, match=said):
        machine.divide(LocalConfig(**settings))


@pytest.mark.parametrize(
    ("gpus", "settings", "training", "said"),
    [
        (0, {"jobs": 2}, (5, "cpu", False), "5: a task of launcher=local has 4 cores. Use at most as many. Or give "
         "launcher.jobs=1, for more each."),
        (0, {"jobs": 3}, (3, "cpu", False), "3: a task of launcher=local has 2 cores. Use at most as many. Or give "
         "launcher.jobs=2, for more each."),
        (0, {"jobs": 2}, (9, "cpu", True), "9: a task of launcher=local has 8 cores. Use at most as many."),
        (2, {}, (2, "auto", False), "2: a task of launcher=local has 1 GPU. Use at most as many. Or give "
         "launcher.jobs=1, for more each."),
        (2, {}, (2, "cuda", True), "2: a task of launcher=local has 1 GPU. Use at most as many. Or give "
         "launcher.jobs=1, for more each."),
        (0, {"jobs": 2}, (4, "cpu", False), None),
        (0, {"jobs": 2}, (8, "cpu", True), None),
        (0, {"jobs": 2}, (5, "auto", False), None),
        (4, {"jobs": 2}, (2, "auto", False), None),
        (2, {"gpus_per_job": 0}, (2, "auto", False), None),
    ],
)  # fmt: skip
def test_more_ranks_than_a_task_can_have_are_refused_in_one_line(has, gpus, settings, training, said):
    has(8, gpus)
    ranks, device, alone = training
    refused = nullcontext() if said is None else pytest.raises(ConfigError, match=re.escape(f"pretrain.nproc={said}"))
    with refused:
        LocalLauncher(LocalConfig(**settings)).check_training("launcher", ranks, device, alone=alone)


@pytest.mark.parametrize(
    ("visible", "found"),
    [
        ("0,2", ("0", "2")),
        ("", ()),
        ("-1", ()),
        ("1, MIG-a ,-1,3", ("1", "MIG-a")),
        ("GPU-8932", ("GPU-8932",)),
    ],
)
def test_a_choice_of_gpus_that_is_made_already_is_respected(visible, found, monkeypatch):
    monkeypatch.setenv(machine.VISIBLE, visible)
    assert machine.gpus() == found
    made = Share(cores=(0,), gpus=found).environment()
    assert made[machine.VISIBLE] == ",".join(found)
    assert "CUDA_DEVICE_ORDER" not in made, "its numbers have their meaning already"


LISTED = """\
GPU 0: NVIDIA A100-SXM4-80GB (UUID: GPU-74c5d2ff-1e1a-4b2c-8d8d-3f9f3d9c2a11)
GPU 1: NVIDIA A100-SXM4-80GB (UUID: GPU-9a1f6a54-6d2b-4b9e-9e58-b1f0a1a5a2b2)
  MIG 3g.40gb     Device  0: (UUID: MIG-5f0a2c1e-0000-5aaa-8bbb-1c2d3e4f5a6b)
  MIG 3g.40gb     Device  1: (UUID: MIG-6f0a2c1e-0000-5aaa-8bbb-1c2d3e4f5a6b)
"""


def test_the_gpus_of_the_machine_are_those_that_nvidia_smi_lists(tmp_path, monkeypatch):
    monkeypatch.delenv(machine.VISIBLE, raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n[ $1 = -L ] && cat <<E\n{LISTED}E\n")
    program.chmod(0o755)
    found = ("0", "MIG-5f0a2c1e-0000-5aaa-8bbb-1c2d3e4f5a6b", "MIG-6f0a2c1e-0000-5aaa-8bbb-1c2d3e4f5a6b")
    assert machine.gpus() == found
    assert Share(cores=(0,), gpus=found[:1]).environment()["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    program.write_text("#!/bin/sh\necho 'NVIDIA-SMI has failed because it could not talk to the driver.'\nexit 9\n")
    assert machine.gpus() == ()


@pytest.mark.parametrize(("given", "threads"), [(None, "2"), ("1", "1"), ("8", "2"), ("4,2", "2")])
def test_a_task_has_no_more_threads_than_cores_or_than_the_user_wants(given, threads, monkeypatch):
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    if given is None:
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    else:
        monkeypatch.setenv("OMP_NUM_THREADS", given)
    made = Share(cores=(3, 4), gpus=None).environment()
    assert made == {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": "2"}
