"""Jobs of Slurm: what is submitted, which jobs wait for which, and what is told of those that end badly."""

import contextlib
import json
import os
import re
import subprocess
import sys

import pytest
from core.errors import ConfigError, InputError
from core.sweep.tasks import Task
from smallwright_launchers import queue
from smallwright_launchers.config import SlurmConfig
from smallwright_launchers.slurm import SlurmLauncher, _read, _Watch

QUICK = {"poll_seconds": 0.02, "settle_seconds": 0.1}


def launch(folder, tasks, **settings):
    """Launch tasks and return what was told of each."""
    told = {}
    launcher = SlurmLauncher(SlurmConfig(**{**QUICK, **settings}))
    launcher.launch(tasks, folder, lambda task, error: told.update({task.name: error}))
    return told


def task(folder, name, script="true", after=()):
    return Task(name=name, command=("sh", "-c", script), log=folder / f"{name}.log", after=after)


def dependencies(jobs):
    """Return what each job waits for, by number."""
    return {int(place.name): (place / "options").read_text().split("\n")[1] for place in jobs.glob("[0-9]*")}


def test_a_job_is_a_script_that_only_its_user_can_write_and_nothing_is_pickled(stand_in, tmp_path):
    settings = {"partition": "gpu", "account": "us", "qos": "long", "time": 90, "nodes": 2, "gpus": 4, "cpus": 8}
    settings |= {"memory_gb": 1.5, "constraint": "a100|h100", "requeue": False, "setup": ("module load cuda",)}
    settings |= {"sbatch_args": {"exclude": "node7", "exclusive": True, "reservation": None}}
    assert launch(tmp_path, [task(tmp_path, "run-1", "echo 'a b'")], **settings) == {"run-1": None}
    folder = tmp_path / "launcher"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert not list(folder.glob("*.pkl"))
    lines = (folder / "1_submission.sh").read_text().splitlines()
    options = {line.removeprefix("#SBATCH --") for line in lines if line.startswith("#SBATCH")}
    assert options >= {
        "partition=gpu", "account=us", "qos=long", "time=90", "nodes=2", "gpus-per-node=4", "cpus-per-task=8",
        "mem=1536M", "constraint='a100|h100'", "no-requeue", "exclude=node7", "exclusive", "comment=run-1",
        f"output={tmp_path}/run-1.log",
    }  # fmt: skip
    assert not any(option.startswith(("wckey", "reservation", "error")) for option in options)
    command = next(place for place, line in enumerate(lines) if line.startswith("sh -c 'echo '"))
    assert lines.index("module load cuda") < command


def test_jobs_wait_for_those_that_they_are_after_and_no_more_run_than_asked_for(stand_in, tmp_path):
    tasks = [task(tmp_path, "a"), task(tmp_path, "b"), task(tmp_path, "c", after=("a", "b")), task(tmp_path, "d")]
    launch(tmp_path, [task(tmp_path, "first"), *tasks], max_parallel=2)
    waits = dependencies(stand_in)
    assert waits[1] == waits[2] == ""
    assert waits[3] == "afterany:1"
    assert set(waits[4].removeprefix("afterany:").split(":")) == {"2", "3"}
    assert waits[5] == "afterany:3"


def test_a_job_that_slurm_refuses_is_told_with_slurms_reason(stand_in, tmp_path):
    with pytest.raises(
        ConfigError, match=r"^launcher=slurm: Slurm refuses the job: .*Invalid partition name specified\."
    ):
        launch(tmp_path, [task(tmp_path, "a")], partition="nowhere")


def test_jobs_beyond_what_a_user_may_have_in_the_queue_are_submitted_when_others_end(stand_in, tmp_path, capsys):
    (stand_in / "limit").write_text("2")
    script = "while [ ! -e $STAND_IN_FOR_SLURM/refused ]; do sleep 0.01; done"
    told = launch(tmp_path, [task(tmp_path, name, script) for name in "abcd"])
    assert told == dict.fromkeys("abcd")
    assert "Slurm takes no more jobs for now" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("does", "said"),
    [
        ("scancel $SLURM_JOB_ID", r"job 1 ended as CANCELLED: at step 7\.$"),
        ("touch $STAND_IN_FOR_SLURM/forget; kill -9 $PPID", r"job 1 is no longer known to Slurm: at step 7\.$"),
        ("kill -9 $$", r"it was killed \(SIGKILL\); when the machine .*: at step 7\.$"),
    ],
)
def test_a_job_that_is_killed_is_told(stand_in, tmp_path, does, said):
    tasks = [task(tmp_path, "bad", f"echo at step 7; {does}; sleep 9"), task(tmp_path, "next", after=("bad",))]
    told = launch(tmp_path, tasks)
    assert told.keys() == {"bad", "next"}
    assert told["next"] is None
    assert re.search(said, told["bad"]), told["bad"]


def test_a_job_that_slurm_never_starts_is_cancelled_and_told(stand_in, tmp_path):
    (stand_in / "never").touch()
    told = launch(tmp_path, [task(tmp_path, "a"), task(tmp_path, "b")])
    said = "Slurm will never start job {} (PartitionTimeLimit): change launcher's settings."
    assert told == {"a": said.format(1), "b": said.format(2)}


def test_jobs_of_an_earlier_command_for_other_tasks_are_waited_for(stand_in, tmp_path, capsys):
    until_the_third = "while [ ! -e $STAND_IN_FOR_SLURM/3 ]; do sleep 0.01; done"
    earlier = _Watch([task(tmp_path, name, until_the_third) for name in "ab"], *watched(tmp_path))
    earlier.submit()
    earlier.say_what_goes_on()
    name = capsys.readouterr().out.rpartition("--name=")[2].strip()
    assert name == earlier.name
    assert json.loads((tmp_path / "launcher/jobs.json").read_text())["1"]["task"] == "a"
    tasks = [task(tmp_path, "a", until_the_third), task(tmp_path, "b", "echo another command")]
    assert launch(tmp_path, tasks) == {"a": None, "b": None}
    assert dependencies(stand_in) == {1: "", 2: "", 3: "afterany:2"}


@pytest.mark.parametrize(
    ("settings", "device", "said"),
    [
        ({"cpus": 2}, "cpu", "pretrain.nproc=4: a job has launcher.cpus=2. Give launcher.cpus=4."),
        ({"gpus": 1}, "auto", "pretrain.nproc=4: a job has launcher.gpus=1. Give launcher.gpus=4."),
        ({"cpus": 4}, "cpu", None),
        ({"cpus": 2}, "auto", None),
        ({"cpus": 2, "sbatch_args": {"exclusive": True}}, "cpu", None),
    ],
)
def test_more_ranks_than_a_job_asks_for_are_refused_in_one_line(settings, device, said):
    refused = contextlib.nullcontext() if said is None else pytest.raises(ConfigError, match=re.escape(said))
    with refused:
        SlurmLauncher(SlurmConfig(**settings)).check_training("launcher", 4, device, alone=False)


def watched(folder):
    (folder / "launcher").mkdir()
    return folder / "launcher", SlurmConfig(**QUICK)


def test_ctrl_c_while_a_job_is_submitted_waits_until_it_is_written_down(stand_in, tmp_path):
    program = stand_in.parent / "bin" / "sbatch"
    program.write_text(program.read_text().replace("exec", "kill -INT $PPID; sleep 0.05; exec"))
    with pytest.raises(KeyboardInterrupt):
        launch(tmp_path, [task(tmp_path, name) for name in "ab"])
    known = json.loads((tmp_path / "launcher/jobs.json").read_text())
    assert [job["task"] for job in known.values()] == ["a"]
    assert list(dependencies(stand_in)) == [1]


def test_a_folder_of_another_user_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    with pytest.raises(InputError, match=r"launcher belongs to another user, who could change what your jobs run"):
        launch(tmp_path, [task(tmp_path, "a")])


def test_the_variables_of_a_job_that_the_sweep_runs_in_do_not_reach_its_jobs(stand_in, tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_NTASKS", "64")
    launch(tmp_path, [task(tmp_path, "a", "echo tasks=$SLURM_NTASKS")])
    assert (tmp_path / "a.log").read_text() == "tasks=\n"
    assert os.environ["SLURM_NTASKS"] == "64"


def test_a_controller_that_is_away_for_a_while_is_waited_for_and_then_told(stand_in, monkeypatch, capsys):
    monkeypatch.setattr(queue, "PATIENCE_SECONDS", 60)
    monkeypatch.setattr(queue.time, "sleep", lambda seconds: None)
    asked = queue.Queue()
    assert asked.look(["1"], "x") == {}, "it knows no such job"
    program = stand_in.parent / "bin" / "squeue"
    away = "echo 'Unable to contact slurm controller' >&2; exit 1"
    program.rename(program.with_name("works"))
    program.write_text(
        f'#!/bin/sh\nif mkdir {program}-once 2>/dev/null; then {away}; fi\nexec {program.with_name("works")} "$@"\n'
    )
    program.chmod(0o755)
    assert asked.look(["1"], "x") == {}
    assert "squeue failed, trying again: Unable to contact slurm controller" in capsys.readouterr().out
    program.write_text(f"#!/bin/sh\n{away}\n")
    monkeypatch.setattr(queue, "PATIENCE_SECONDS", 0)
    with pytest.raises(InputError, match=r"^squeue fails: Unable to contact .* To stop them: scancel --name=x$"):
        asked.look(["1"], "x")


@pytest.mark.parametrize("missing", ["sbatch", "srun", "squeue", "scancel"])
def test_without_slurms_commands_the_sweep_ends_before_any_work(stand_in, missing, monkeypatch):
    monkeypatch.setenv("PATH", str(stand_in.parent / "bin"))
    (stand_in.parent / "bin" / missing).unlink()
    with pytest.raises(ConfigError, match=rf"^launcher=slurm: there is no {missing} here\. .* \+launcher=local\.$"):
        SlurmLauncher(SlurmConfig()).check("launcher")


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "3", '{"7": null}', '{"7": {"command": "x"}}', '{"x": {"command": ["a"]}}',
     '{"7": {"task": "run-1", "command": ["a"]}, "8": 3}', '{"7": {"task": "run-1", "comm'],
)  # fmt: skip
def test_a_damaged_record_of_jobs_that_may_be_live_is_named_and_nothing_is_submitted(stand_in, tmp_path, text):
    (tmp_path / "launcher").mkdir()
    (tmp_path / "launcher/jobs.json").write_text(text)
    with pytest.raises(InputError) as refused:
        launch(tmp_path, [task(tmp_path, "a")])
    assert str(refused.value).startswith(f"{tmp_path}/launcher/jobs.json is damaged (")
    assert re.search(
        r"\. squeue --name=smallwright-\S+ shows jobs that may go on; when there are none", str(refused.value)
    )
    assert not dependencies(stand_in)


def test_a_sweep_without_a_record_has_no_jobs_of_earlier_commands(tmp_path):
    assert _read(tmp_path / "jobs.json", "smallwright-s") == {}


def test_importing_submitit_leaves_the_log_handlers_of_other_libraries_open():
    script = (
        "import io, logging\n"
        "class Handler(logging.StreamHandler):\n"
        "    def close(self): self.stream.close()\n"
        "handler = Handler(io.StringIO())\n"
        "import smallwright_launchers.submit\n"
        "assert not handler.stream.closed\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
