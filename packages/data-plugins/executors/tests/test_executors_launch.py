"""A Slurm job loads the pickle that its run wrote, and no other."""

import os
import pickle
import shlex
from pathlib import Path

import pytest
from smallwright_executors import launch
from smallwright_executors.slurm_executor import _Pipeline


class Evil:
    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (self.folder,)


@pytest.fixture
def submitted(tmp_path):
    """A pass in a folder with a space in its name; the file and the digest in its job's script."""
    logs = tmp_path / "with space"
    executor = _Pipeline([], tasks=3, time="1", partition="p", logging_dir=str(logs))
    theirs = executor.logging_dir.resolve_paths("executor.pik")
    script = executor.get_launch_file_contents(executor.get_sbatch_args(), f"srun -l launch_pickled_pipeline {theirs}")
    (line,) = [line for line in script.splitlines() if line.startswith("srun")]
    *command, path, digest = shlex.split(line)
    assert command == ["srun", "-l", "python3", "-m", "smallwright_executors.launch"]
    return Path(path), digest


def test_what_the_run_wrote_is_loaded(submitted):
    assert launch.load(*submitted).tasks == 3


def test_only_its_user_can_read_what_may_hold_keys(submitted):
    path, _ = submitted
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in path.parent.glob("*.pik")] == [path.name]


def test_what_somebody_put_in_its_place_is_not_executed(submitted, tmp_path, capsys):
    path, digest = submitted
    path.write_bytes(pickle.dumps(Evil(str(tmp_path / "executed"))))
    assert launch.main([str(path), digest]) == 2
    assert capsys.readouterr().err.startswith(f"error: {path} is not what the run wrote when it submitted this job")
    assert not (tmp_path / "executed").exists()
