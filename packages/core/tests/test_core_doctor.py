"""What the command finds of a machine without any engine."""

import importlib.metadata
import os
import shutil
from types import SimpleNamespace

import pytest
from core import doctor


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(doctor, "TRIED_BYTES", 2**20)


@pytest.mark.slow
def test_a_machine_that_is_well_gives_a_line_each_and_exit_code_0(call, toy):
    done = call("doctor", *toy)
    assert done.returncode == 0, done.stdout
    names = [line[:24].strip() for line in done.stdout.splitlines()]
    assert names[:4] == ["versions", "space, store", "speed, store", "clock, store"]
    assert names[-1] == "memory, pretrain"
    assert all(line.endswith(" ok") for line in done.stdout.splitlines())


@pytest.mark.slow
def test_a_disk_that_is_too_small_fails_with_the_fix(call, toy, monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=2**30))
    space, speed, clock = doctor.disk("store", tmp_path, needed=3 * 2**30, checkpoint=2**30)
    assert space.figure == "1.0 GiB free, the run keeps 3.0"
    assert "pretrain.keep_latest" in space.fault
    assert (speed.fault, clock.fault) == (None, None)
    assert ", a checkpoint " in speed.figure
    monkeypatch.setattr(doctor, "disk", lambda *_: iter([space]))
    done = call("doctor", *toy)
    assert done.returncode == 1
    assert "FAILS: the run keeps 3.0 GiB there." in done.stdout


def test_a_disk_that_cannot_be_written_to_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(30, "Read-only file system")))
    _, speed = doctor.disk("store", tmp_path)
    assert "cannot" in speed.fault or "read-only" in speed.fault.lower()
    assert list(tmp_path.iterdir()) == []


def test_a_file_server_of_another_time_fails(tmp_path, monkeypatch):
    now = doctor.time.time()
    monkeypatch.setattr(doctor.time, "time", lambda: now - 60)
    *_, clock = doctor.disk("store", tmp_path)
    assert clock.fault == "files would seem to be of another time. Have both keep time by NTP."


def test_a_package_of_another_version_than_ours_ask_for_fails(monkeypatch):
    installed = importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.0.1" if name == "pluggy" else installed(name))
    assert "pluggy 0.0.1 is not" in doctor.versions().fault


def test_more_memory_than_there_is_fails_on_a_cpu_only():
    plan = {"memory_bytes": 2**60, "ranks_here": 2, "on_cpu": True}
    assert "micro_batch_size" in doctor.memory("pretrain", plan).fault
    assert doctor.memory("pretrain", {**plan, "on_cpu": False}).fault is None
