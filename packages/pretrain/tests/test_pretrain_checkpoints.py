"""Checkpoints: nothing that they hold is executed, and the same state gives the same bytes."""

import collections
import os
import pickle

import pytest
import torch
import torch.distributed.checkpoint as dcp
from core.errors import full_disk
from smallwright_pretrain.checkpoints import PlainPlanner, PlainReader, PlainWriter, said
from torch.distributed.checkpoint import CheckpointException


def state(value=0.0):
    return {
        "weights": torch.full((3, 2), value),
        "half": torch.full((2,), value, dtype=torch.bfloat16),
        "optimizer": {"lr": 0.1 + value, "betas": (0.9, 0.95), "step": torch.tensor(value), "fused": None},
        "dataloader": {"global_batch": int(7 + value), "name": "x"},
    }


def save(folder, value=1.0, content=None):
    dcp.save(content or state(value), storage_writer=PlainWriter(folder))
    return folder


def load(folder):
    found = state()
    dcp.load(found, storage_reader=PlainReader(folder), planner=PlainPlanner())
    return found


def test_what_was_saved_is_read(tmp_path):
    found, expected = load(save(tmp_path / "step-4")), state(1.0)
    assert torch.equal(found["weights"], expected["weights"])
    assert torch.equal(found["half"], expected["half"])
    assert found["optimizer"] == expected["optimizer"]
    assert found["dataloader"] == expected["dataloader"]


def test_a_checkpoint_of_torchs_own_writer_is_read(tmp_path):
    dcp.save(state(1.0), checkpoint_id=tmp_path / "step-4")
    assert torch.equal(load(tmp_path / "step-4")["weights"], state(1.0)["weights"])


def test_the_same_state_gives_the_same_bytes_in_any_place(tmp_path):
    one, two = save(tmp_path / "one" / "step-4"), save(tmp_path / "another" / "step-4")
    assert {p.name: p.read_bytes() for p in one.iterdir()} == {p.name: p.read_bytes() for p in two.iterdir()}


class Evil:
    """What a pickle can name: any function, with any arguments."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def evils(tmp_path):
    mark = str(tmp_path / "executed")
    return [
        Evil(os.system, f"touch {mark}"),
        Evil(os.mkdir, mark),
        Evil(exec, f"open({mark!r}, 'w')"),
        Evil(getattr, "abc", "upper"),
        Evil(torch.load, mark),
        Evil(collections.Counter, "abc"),
    ]


@pytest.mark.parametrize("number", range(6))
def test_a_command_in_the_metadata_is_refused_and_named(tmp_path, number):
    folder = save(tmp_path / "step-4")
    evil = evils(tmp_path)[number]
    for content in (evil, {"a": evil}):
        (folder / ".metadata").write_bytes(pickle.dumps(content))
        with pytest.raises(CheckpointException) as refused:
            load(folder)
        assert "which no checkpoint has: somebody changed it" in said(refused.value)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("number", range(5))  # a Counter does no harm, and torch takes it
def test_a_command_in_a_value_is_refused(tmp_path, number):
    content = state(1.0)
    content["dataloader"]["name"] = evils(tmp_path)[number]
    folder = save(tmp_path / "step-4", content=content)
    (tmp_path / "executed").rmdir() if (tmp_path / "executed").is_dir() else (tmp_path / "executed").unlink(True)
    with pytest.raises(CheckpointException):
        load(folder)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("content", [b"", b"x", pickle.dumps([1]), pickle.dumps({"a": 1})[:-3]])
def test_metadata_that_is_none_is_refused_in_one_line(tmp_path, content):
    folder = save(tmp_path / "step-4")
    (folder / ".metadata").write_bytes(content)
    with pytest.raises(CheckpointException) as refused:
        load(folder)
    assert "\n" not in said(refused.value)


def test_a_full_disk_while_saving_is_called_that(tmp_path):
    failure = OSError(28, "No space left on device")
    error = CheckpointException("could not save", {0: (failure, None)})
    assert (
        full_disk(error, tmp_path)
        == f"the disk of {tmp_path} is full: free space and start again; finished work is kept."
    )
