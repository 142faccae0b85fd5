"""How the ranks of several machines are started: in a real job of Slurm where there is one, and what followers do."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from core.writing import write_json
from smallwright_pretrain import nodes
from smallwright_pretrain.config import TorchTitanConfig

CLUSTER = Path(__file__).parents[2] / "data-plugins/executors/tests/slurm_cluster.py"
RANK = """
import os
print("rank", os.environ["RANK"], "of", os.environ["WORLD_SIZE"], "in step", os.environ["SLURM_STEP_ID"], flush=True)
"""
JOB = """
import subprocess
from pathlib import Path
from smallwright_pretrain import nodes
from smallwright_pretrain.config import TorchTitanConfig
nodes.RANK_MODULE = "says_its_rank"
with nodes.command(TorchTitanConfig(nproc=2), Path("job.json")) as command:
    print(command, flush=True)
    raise SystemExit(subprocess.run(command).returncode)
"""


@pytest.mark.slow
def test_a_job_of_slurm_starts_the_ranks_by_srun(tmp_path):
    spec = importlib.util.spec_from_file_location("slurm_cluster", CLUSTER)
    slurm = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(slurm)
    if slurm.missing() is not None:
        pytest.skip(slurm.missing())
    (tmp_path / "says_its_rank.py").write_text(RANK)
    (tmp_path / "job.py").write_text(JOB)
    with slurm.slurm_cluster() as variables:
        environment = {**os.environ, **variables, "PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"}
        submit = ["sbatch", "--wait", "--cpus-per-task=2", "--output=log", f"--wrap={sys.executable} job.py"]
        subprocess.run(submit, env=environment, cwd=tmp_path, timeout=120, check=False)
    said = (tmp_path / "log").read_text()
    assert {line for line in said.splitlines() if line.startswith("rank ")} == {
        "rank 0 of 2 in step 0",
        "rank 1 of 2 in step 0",
    }, said


def test_an_agent_meets_the_others_at_one_address():
    config = TorchTitanConfig(nodes=2, nproc=8, global_batch_size=16)
    command = nodes.agent(config, Path("job.json"), "a", "node0")
    assert {"--nnodes=2", "--nproc-per-node=8", "--rdzv-id=a", "--rdzv-endpoint=node0:29500"} < set(command)
    assert "--rdzv-endpoint=node0:1234" in nodes.agent(config, Path("job.json"), "a", "node0:1234")


def test_a_machine_that_follows_ends_when_the_first_gives_up(tmp_path, monkeypatch):
    monkeypatch.setattr(nodes, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(nodes, "agent", lambda *_: ["sleep", "60"])
    config = TorchTitanConfig(nodes=2, rendezvous="node0")
    told = iter([{"name": None}, None, {"name": "a", "environment": {}}, {"name": None}])
    monkeypatch.setattr(nodes, "_read", lambda _: next(told))
    with pytest.raises(nodes.UserError, match=r"^the first machine ended its training; its log says why\."):
        nodes.follow(config, tmp_path, tmp_path / "job.json", {})


def test_the_first_machine_leaves_a_word_when_it_starts_and_when_it_fails(tmp_path):
    config = TorchTitanConfig(nodes=2, rendezvous="node0")
    write_json(tmp_path / nodes.AGENTS_FILE, {"name": "of an earlier start"})

    def fails():
        with nodes.command(config, tmp_path / "job.json") as command:
            name = nodes._read(tmp_path / nodes.AGENTS_FILE)["name"]
            assert f"--rdzv-id={name}" in command
            raise RuntimeError("a rank died")

    with pytest.raises(RuntimeError, match="a rank died"):
        fails()
    assert nodes._read(tmp_path / nodes.AGENTS_FILE) == {"name": None}
