"""A launcher beside one run: what it adds to the settings, and who does the run."""

import sys

import pytest
from core import store

LAUNCHER = """
import dataclasses
from core.hooks import hookimpl
from core.interfaces import Launcher, OneRun, Trainer
from core.errors import UserError
from toy_plugin import Work, WorkConfig

PLUGIN_API_VERSION = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class AwayConfig:
    here: bool = False
    follows: bool = False
    fails: bool = False


class Away(Launcher):
    def check_training(self, where, ranks, device, *, alone):
        raise UserError(f"{where}: {ranks} ranks{' alone' * alone}.")

    def of_one_run(self):
        return OneRun(settings={"pretrain.steps": 7}, here=self.config.here, follows=self.config.follows)

    def launch(self, tasks, folder, ended):
        (task,) = tasks
        task.log.write_text("data\\nreport: page.html\\n")
        (folder / "command.txt").write_text("\\n".join(task.command))
        ended(task, "it was killed." if self.config.fails else None)


class Led(Work, Trainer):
    def check_here(self, where):
        if self.config.fail == "here":
            raise UserError(f"{where}.fail=here: this machine is too small.")

    def follow(self, job):
        job.output.mkdir(parents=True)
        (job.output.parent / "followed").write_text(job.output.name)


@hookimpl
def register_launchers(register):
    register("away", "away:Away", config="away:AwayConfig")


@hookimpl
def register_trainers(register):
    register("led", "away:Led", config="toy_plugin:WorkConfig")
"""


@pytest.fixture
def run(call, toy, workdir, monkeypatch):
    """Call ``core.run`` with the launcher ``away``, in the folder ``r``."""
    monkeypatch.delitem(sys.modules, "away", raising=False)
    monkeypatch.syspath_prepend(str(workdir))
    (workdir / "away.py").write_text(LAUNCHER)
    (workdir / "hydra_conf" / "pretrain" / "led.yaml").write_text("name: led\n")
    toy = ["--plugin", "away.py", "+launcher=away", *toy]
    words = ["pretrain=led" if word == "pretrain=count" else word for word in toy]
    return lambda *more, command="run", alone=False: call(
        command, *[word for word in words if not (alone and word == "+launcher=away")], *more
    )


@pytest.mark.slow
def test_a_run_that_is_launched_is_a_command_with_the_launchers_settings_and_without_it(run, workdir):
    done = run("run_dir=r", "eval.steps=6")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "report: page.html"
    command = (workdir / "r" / "command.txt").read_text().splitlines()
    assert command[:3] == [sys.executable, "-m", "core.run"]
    assert command[-2:] == ["pretrain.steps=7", f"run_dir={workdir / 'r'}"]
    assert "eval.steps=6" in command
    assert not [word for word in command if "launcher" in word]
    assert str(workdir / "away.py") in command


@pytest.mark.slow
def test_the_same_command_has_the_same_folder_and_its_own_settings_win(run, workdir):
    for _ in range(2):
        assert run("pretrain.steps=3").returncode == 0
    (folder,) = (workdir / "runs").iterdir()
    assert "pretrain.steps=7" not in (folder / "command.txt").read_text()


@pytest.mark.slow
def test_a_launched_run_that_fails_is_told(run):
    done = run("launcher.fails=true")
    assert (done.returncode, done.stderr.strip()) == (1, "error: it was killed.")


@pytest.mark.slow
def test_a_plan_has_the_launchers_settings(run):
    assert '"tokens": 700' in run("--json", command="plan").stdout


@pytest.mark.slow
def test_a_machine_that_follows_does_the_trainings_that_are_not_finished(run, workdir):
    assert run("launcher.follows=true").returncode == 0
    (followed,) = (workdir / "store").rglob("followed")
    trained = followed.parent / followed.read_text()
    assert not (trained / "steps.txt").exists()
    whole = {"stage": "pretrain", "folder": "pretrain", "identity": {}, "inputs": {}, "external_files": []}
    store.finish(trained, whole)
    followed.unlink()
    assert run("launcher.follows=true").returncode == 0
    assert not followed.exists()


@pytest.mark.slow
def test_what_this_machine_cannot_do_ends_the_run_before_its_first_stage(run, workdir):
    for more in ("launcher.here=true",), ("-m", "seed=1,2"):
        done = run(*more, "pretrain.fail=here", alone="-m" in more)
        assert (done.returncode, done.stderr.strip()) == (2, "error: pretrain.fail=here: this machine is too small.")
        assert not (workdir / "store").exists()


@pytest.mark.slow
def test_the_launcher_is_asked_for_the_ranks_of_a_run_that_it_does(run, workdir):
    toy = workdir / "toy_plugin.py"
    toy.write_text(toy.read_text().replace('"seq_len": 16,', '"seq_len": 16, "ranks": 4,'))
    for command in ("run", "plan"):
        assert run(command=command).stderr.strip() == "error: launcher: 4 ranks alone."
    assert run("launcher.here=true", command="plan").returncode == 0


@pytest.mark.slow
def test_a_run_that_another_machine_does_is_not_asked_what_this_one_cannot_do(run):
    assert run("pretrain.fail=here").returncode == 0
    assert run("pretrain.fail=here", command="plan").returncode == 0
