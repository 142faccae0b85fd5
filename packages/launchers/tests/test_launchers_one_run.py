"""What launchers make of a single run: its settings, and who does it."""

import pytest
from core import run
from core.errors import ConfigError
from core.interfaces import OneRun
from smallwright_launchers.allocation import AllocationLauncher
from smallwright_launchers.config import AllocationConfig, LocalConfig, SlurmConfig
from smallwright_launchers.local import LocalLauncher
from smallwright_launchers.slurm import SlurmLauncher


@pytest.fixture(autouse=True)
def no_job(monkeypatch):
    for name in ("SLURM_JOB_ID", "SLURM_JOB_NUM_NODES", "SLURM_GPUS_ON_NODE"):
        monkeypatch.delenv(name, raising=False)


def test_a_job_of_slurm_trains_on_all_its_gpus():
    one = SlurmLauncher(SlurmConfig(nodes=4, gpus=8)).of_one_run()
    assert one == OneRun(settings={"pretrain.nodes": 4, "pretrain.nproc": 8})
    assert SlurmLauncher(SlurmConfig()).of_one_run().settings == {"pretrain.nodes": 1}, "ranks as the user says"


def test_this_machine_alone_is_for_sweeps():
    assert LocalLauncher(LocalConfig()).of_one_run() is None


def test_a_job_that_this_process_is_in_gives_its_nodes_and_gpus(monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_JOB_NUM_NODES", "2")
    monkeypatch.setenv("SLURM_GPUS_ON_NODE", "4")
    launcher = AllocationLauncher(AllocationConfig())
    launcher.check("launcher")
    assert launcher.of_one_run() == OneRun(settings={"pretrain.nodes": 2, "pretrain.nproc": 4}, here=True)
    fewer = AllocationLauncher(AllocationConfig(nodes=1, gpus=0)).of_one_run()
    assert fewer.settings == {"pretrain.nodes": 1}


@pytest.mark.parametrize(("rank", "follows"), [(0, False), (1, True)])
def test_of_listed_machines_the_first_does_the_run_and_the_others_follow(rank, follows):
    launcher = AllocationLauncher(AllocationConfig(nodes=2, gpus=8, head="node0:29400", rank=rank))
    launcher.check("launcher")
    settings = {"pretrain.nodes": 2, "pretrain.nproc": 8, "pretrain.rendezvous": "node0:29400"}
    assert launcher.of_one_run() == OneRun(settings=settings, here=True, follows=follows)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, r"launcher\.nodes: is missing\. This is no job of Slurm: say on each machine launcher\.nodes=<how many>"),
        ({"nodes": 2, "head": "a"}, r"launcher\.rank: is missing"),
        ({"nodes": 2, "head": "a", "rank": 2}, r"launcher\.rank=2: machines are counted from 0; the last of 2 is 1"),
    ],
)
def test_machines_that_are_not_told_apart_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        AllocationLauncher(AllocationConfig(**settings)).check("launcher")


CORPUS = """
from core.hooks import hookimpl
from core.interfaces import Stage

PLUGIN_API_VERSION = 1


class Words(Stage):
    def run(self, job):
        (job.output / "documents").mkdir()
        return {"documents": 0, "funnel": []}


@hookimpl
def register_corpora(register):
    register("words", "words:Words")
"""


@pytest.mark.slow
def test_a_run_is_submitted_and_ends_with_its_report(cluster, tmp_path, monkeypatch, capsys):
    for name, value in cluster.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "words.py").write_text(CORPUS)
    (tmp_path / "hydra_conf" / "data").mkdir(parents=True)
    (tmp_path / "hydra_conf" / "data" / "words.yaml").write_text("name: words\ncorpus: words\n")
    quick = ["launcher.poll_seconds=0.2", "launcher.settle_seconds=2", "launcher.time=5"]
    code = run.main(["--plugin", "words.py", "+data=words", "+launcher=slurm", *quick, "run_dir=r"])
    printed = capsys.readouterr()
    assert code == 0, printed.err
    assert f"run: {tmp_path / 'r'}; its log: " in printed.out
    assert any(line.startswith("report: ") for line in printed.out.splitlines())
    assert (tmp_path / "r" / "report.json").exists()
