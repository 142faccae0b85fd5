"""The launchers of this package hold what the kit asks of launchers."""

import pytest
from smallwright_testing import LauncherConformance


class TestLocal(LauncherConformance):
    plugin = "local"
    settings = {"jobs": 3}
    wrong_settings = {
        "launcher.jobs": {"jobs": 10**9},
        "launcher.gpus_per_job": {"gpus_per_job": -1},
    }


class TestAllocation(LauncherConformance):
    plugin = "allocation"
    settings = {"nodes": 1, "head": "localhost", "rank": 0}
    wrong_settings = {
        "launcher.nodes": {"nodes": 0},
        "launcher.gpus": {"gpus": -1},
        "launcher.rank": {"rank": -1},
        "launcher.head": {"head": ""},
    }


class TestSlurm(LauncherConformance):
    plugin = "slurm"
    goes_on = True
    settings = {"poll_seconds": 0.2, "settle_seconds": 2, "time": 5}
    wrong_settings = {
        "launcher.time": {"time": "4 hours"},
        "launcher.nodes": {"nodes": 0},
        "launcher.gpus": {"gpus": -1},
        "launcher.cpus": {"cpus": 0},
        "launcher.memory_gb": {"memory_gb": 0},
        "launcher.partition": {"partition": ""},
        "launcher.max_parallel": {"max_parallel": 0},
        "launcher.sbatch_args.output": {"sbatch_args": {"output": "x"}},
        "launcher.sbatch_args.--qos": {"sbatch_args": {"--qos": "x"}},
        "launcher.sbatch_args.mail-user": {"sbatch_args": {"mail-user": "x\n#SBATCH --wrap=y"}},
        "launcher.sbatch_args.mail-type": {"sbatch_args": {"mail-type": ["END"]}},
        "launcher.account": {"account": "a\n#SBATCH --wrap=y"},
        "launcher.constraint": {"constraint": "a\ncurl x"},
        "launcher.setup": {"setup": ["module load cuda\nrm x"]},
    }

    @pytest.fixture(autouse=True)
    def slurm(self, cluster, monkeypatch):
        for name, value in cluster.items():
            monkeypatch.setenv(name, value)
