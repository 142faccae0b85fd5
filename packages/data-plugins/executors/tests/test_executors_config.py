"""Settings of the executors, and what is said where their programs are missing."""

import pytest
from core import typed
from core.errors import ConfigError
from smallwright_executors.config import RayConfig, SlurmConfig
from smallwright_executors.slurm_executor import SlurmExecutor

SLURM = {"partition": "cpu", "time": "4:00:00"}


@pytest.mark.parametrize(("config", "given"), [(RayConfig, {}), (SlurmConfig, SLURM)])
def test_no_setting_counts_for_identity(config, given):
    assert typed.identity(typed.build(config, given, "executor")) == {}


@pytest.mark.parametrize(
    ("config", "values", "said"),
    [
        (RayConfig, {"workers": 0}, r"executor.workers=0"),
        (RayConfig, {"object_store_mb": 10}, "object_store_mb=10: must be at least 75"),
        (RayConfig, {"memory_gb": 0}, "memory_gb=0: must be above 0"),
        (RayConfig, {"retries": -1}, "retries=-1: must be at least 0"),
        (SlurmConfig, SLURM | {"time": 14400}, "time=14400: give hours:minutes:seconds"),
        (SlurmConfig, SLURM | {"time": "4 hours"}, "time=4 hours: give hours:minutes:seconds"),
        (SlurmConfig, SLURM | {"max_array_size": 0}, "max_array_size=0: must be at least 1"),
        (SlurmConfig, SLURM | {"venv_path": "a", "env_command": "b"}, "exclude each other"),
        (SlurmConfig, SLURM | {"sbatch_args": {"--qos": "x"}}, "sbatch_args.--qos: write options without dashes"),
        (SlurmConfig, SLURM | {"sbatch_args": {"array": "0-3"}}, "sbatch_args.array"),
    ],
)
def test_a_wrong_setting_is_named(config, values, said):
    with pytest.raises(ConfigError, match=said):
        typed.build(config, values, "executor")


def test_shards_that_turn_out_to_be_finished_are_not_submitted(monkeypatch, tmp_path):
    for command in ("sbatch", "squeue", "scancel", "scontrol"):  # none of them may be needed
        (tmp_path / command).write_text("#!/bin/false\n")
        (tmp_path / command).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    slurm = SlurmExecutor(SlurmConfig(**SLURM))
    pipeline = slurm._executor([], 2, tmp_path / "logs")
    for rank in range(2):
        pipeline.mark_rank_as_completed(rank)
    assert slurm._submit(pipeline) == []


def test_without_slurms_commands_the_run_ends_before_any_work(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="there is no sbatch here"):
        SlurmExecutor(SlurmConfig(**SLURM))
