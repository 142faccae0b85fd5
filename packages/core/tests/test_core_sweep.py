"""Sweeps of toy runs: planned before any work, shared stages once, failures that stop nobody, only what is missing."""

import json
import sys
from collections import Counter
from pathlib import Path

import pytest
from core import entries, store, workers
from core.local_files import import_file
from core.sweep import part, tasks
from core.sweep.plan import in_order, plan, process_key
from core.sweep.points import expand

made = import_file(Path(__file__).with_name("sweeps.py"))
table, statuses = made.table, made.statuses

TRAINED = ["pretrain.steps=3,4", "eval.steps=5,6"]


def counted(jobs):
    return Counter(name for name, _ in jobs)


@pytest.fixture
def planned(registry, toy):
    return lambda *overrides: plan(expand([*toy, *overrides], registry), registry)


@pytest.mark.slow
def test_a_sweep_makes_what_runs_share_once_and_has_one_table(sweep, jobs, workdir):
    done = sweep(*TRAINED)
    assert done.returncode == 0, done.stderr
    assert counted(jobs) == {"crawl": 1, "data": 1, "tokenizer": 1, "tokens": 1, "pretrain": 2, "eval": 4}
    made = table(workdir)
    assert [row["values"] for row in made["runs"]] == [
        {"pretrain.steps": steps, "eval.steps": asked} for steps in "34" for asked in "56"
    ]
    assert set(statuses(workdir)) == {"finished"}
    assert made["keys"] == ["pretrain.steps", "eval.steps"]
    row = made["runs"][0]
    assert row["metrics"]["pretrain.toy.acc"] == 0.5
    assert row["headline"]
    assert set(row["metrics"]) <= set(made["metrics"])
    report = json.loads((workdir / "s" / row["directory"] / "report.json").read_text())
    assert report["headline"] == row["headline"]
    assert "pretrain.steps=3" in report["made"]["command"]
    assert report["made"]["command"].split()[3:5] == ["--plugin", "toy_plugin.py"], "the run alone, without -m"
    line = next(line for line in done.stdout.splitlines() if line.startswith("[1/4]"))
    assert "pretrain.steps=3 eval.steps=5: pretrain.validation_loss 2, pretrain.toy.acc 0.5, " in line
    assert done.stdout.splitlines()[0] == f"4 runs in {workdir / 's'}"
    assert len(done.stdout.splitlines()) == 8


@pytest.mark.slow
def test_the_same_command_does_nothing_again_and_another_only_what_is_missing(sweep, jobs, workdir):
    assert sweep("seed=0,1").returncode == 0
    before = table(workdir)
    first = before["runs"]
    (workdir / "s" / "sweep.json").write_text(
        json.dumps({**before, "started": "2026-01-01T00:00:00+00:00", "seconds": 99})
    )
    jobs.clear()
    again = sweep("seed=0,1")
    assert "2 of 2 runs are finished" in again.stdout
    assert jobs == []
    after = table(workdir)
    assert [row["seconds"] for row in after["runs"]] == [row["seconds"] for row in first]
    assert after["started"] == "2026-01-01T00:00:00+00:00", "when the first command began"
    assert 0 < before["seconds"] < 99 < after["seconds"], "of both commands"
    assert sweep("seed=1,2,0").returncode == 0
    assert counted(jobs)["eval"] == 1
    assert [row["values"]["seed"] for row in table(workdir)["runs"]] == ["1", "2", "0"]
    (workdir / "s" / "sweep.json").unlink()
    jobs.clear()
    assert "3 of 3 runs are finished" in sweep("seed=range(0,3)").stdout, "the reports say so too"
    gone = next(path for path in (workdir / "store" / "eval").iterdir())
    (gone / store.MANIFEST).unlink()
    assert sweep("seed=range(0,3)").returncode == 0
    assert counted(jobs) == {"eval": 1}


@pytest.mark.slow
def test_a_run_that_fails_stops_no_other(sweep, jobs, workdir):
    done = sweep("pretrain.vocab_size=10,11", "pretrain.fail=user", "eval.steps=5,6")
    assert done.returncode == 1
    assert counted(jobs)["pretrain"] == 2, "what failed is not tried for each run that needs it"
    assert {row["error"] for row in table(workdir)["runs"]} == {
        "stage pretrain failed: the input is bad: give another."
    }
    assert done.stderr.count("failed: stage pretrain failed: the input is bad") == 4
    assert done.stdout.splitlines()[1] == "4 runs: 4 failed"
    jobs.clear()
    assert sweep("pretrain.vocab_size=10,11", "eval.steps=5,6").returncode == 0
    assert set(counted(jobs)) == {"pretrain", "eval"}


@pytest.mark.slow
def test_a_sweep_that_is_interrupted_leaves_a_table_and_goes_on(sweep, jobs, workdir, monkeypatch):
    do, calls = workers.Workers.do, []

    def interrupted(self, job, logs, *_):
        calls.append(job.name)
        if calls.count("eval") == 2:
            raise KeyboardInterrupt
        do(self, job, logs)

    monkeypatch.setattr(workers.Workers, "do", interrupted)
    assert sweep("eval.steps=1,2,3").returncode == 130
    assert statuses(workdir) == ["finished", "failed", "not started"]
    assert table(workdir)["runs"][1]["error"] == "stage eval failed: interrupted"
    monkeypatch.setattr(workers.Workers, "do", do)
    jobs.clear()
    assert sweep("eval.steps=1,2,3").returncode == 0
    assert counted(jobs) == {"eval": 2}
    assert set(statuses(workdir)) == {"finished"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["pretrain.stepz=1,2"], "pretrain.stepz: unknown key. Did you mean 'steps'?"),
        (["pretrain.steps=1,x"], "pretrain.steps='x': expected int, got str. (run 2 of 2: pretrain.steps=x)"),
        (["arch.hidden_size=2,3"], "arch.hidden_size=3 must be even (run 2 of 2: arch.hidden_size=3)"),
        (["pretrain.workers=1,2"], "pretrain.workers=1 and pretrain.workers=2: the same run twice (numbers 1 and 2)"),
        (["seed=1,1"], "seed=1 and seed=1: the same run twice"),
        (["seed=1,2", "+launcher=none"], "no installed plugin offers launcher 'none'"),
        (["seed=1,2", "--config"], "--config: shows the settings of one run"),
    ],
)
def test_what_is_wrong_with_a_run_is_said_before_any_work(sweep, jobs, workdir, overrides, said):
    done = sweep(*overrides)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert jobs == []
    assert not (workdir / "s").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["seed=range(0,3)"], "seed=range(0,3): a run for each of these values? Then add -m."),
        (["eval.steps=1,2"], "add -m for a run of each"),
        (["--samples", "3"], "--samples: is of many runs. Add -m."),
        (["--max-runs", "3"], "--max-runs: is of many runs. Add -m."),
    ],
)
def test_without_m_a_sweep_is_refused_with_the_hint(call, toy, arguments, said):
    done = call("run", *toy, *arguments)
    assert done.returncode == 2
    assert said in done.stderr


@pytest.mark.slow
def test_runs_that_share_stages_stand_together_in_the_order_of_work(planned):
    runs = planned("eval.steps=5,6", "pretrain.steps=3,4", "seed=0,1")
    order = [tuple(run.point.values.values()) for run in in_order(runs)]
    assert order == [
        ("5", "3", "0"), ("6", "3", "0"), ("5", "4", "0"), ("6", "4", "0"),
        ("5", "3", "1"), ("6", "3", "1"), ("5", "4", "1"), ("6", "4", "1"),
    ]  # fmt: skip


@pytest.mark.slow
def test_the_folder_of_a_sweep_is_that_of_its_runs(planned, workdir):
    one, same, other = planned("seed=0,1"), planned("seed=1,0"), planned("seed=0,2")
    folders = [runs[0].directory.parent for runs in (one, same, other)]
    assert folders[0] == folders[1] != folders[2]
    assert folders[0].parent == workdir / "runs"
    assert folders[0].name.startswith("tiny-toy-sweep-")
    assert [run.directory for run in same] == [run.directory for run in reversed(one)]
    assert one[0].directory.name.startswith("seed-0-")
    many = planned("pretrain.steps=1,2", "eval.steps=1,2")
    assert many[0].directory.name.startswith("pretrain.steps-1-eval.steps-1-")


@pytest.mark.slow
def test_a_plan_says_what_is_shared_and_what_it_costs(call, toy, sweep):
    assert sweep(*TRAINED).returncode == 0
    asked = ("plan", "-m", *toy, "pretrain.steps=4,9", "eval.steps=5,7", "run_dir=s")
    planned = json.loads(call(*asked, "--json", "--device", "h100").stdout)
    assert [run["finished"] for run in planned["runs"]] == [True, False, False, False]
    assert planned["stages"]["pretrain"] == {"artifacts": 2, "finished": 1, "needed": 4}
    assert planned["stages"]["eval"] == {"artifacts": 4, "finished": 1, "needed": 4}
    assert planned["trainings"] == 1
    assert planned["flops"] == 6 * 40 * 900
    assert planned["hardware"][0]["hours"] > 0
    shown = call(*asked).stdout
    assert "4 runs, 1 of them finished, in " in shown
    assert "  1  pretrain.steps=4 eval.steps=5, finished\n  2  pretrain.steps=4 eval.steps=7\n" in shown
    assert "pretrain         2 for 4 runs: 1 to make, 1 reused" in shown
    assert "eval             4: 3 to make, 1 reused" in shown
    assert "1 training: " in shown


LAUNCHER = """
import dataclasses, json
from pathlib import Path
from core.errors import ConfigError
from core.hooks import hookimpl
from core.interfaces import Launcher

PLUGIN_API_VERSION = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class InTurnConfig:
    machine: str = ""


class InTurn(Launcher):
    def check(self, where):
        if self.config.machine == "none":
            raise ConfigError(f"{where}.machine=none: there is none.")

    def check_training(self, where, ranks, device, *, alone):
        if ranks > 1:
            raise ConfigError(f"{where}: {ranks} ranks on {device}{' alone' * alone}.")

    def launch(self, tasks, folder, ended):
        from core.sweep import part
        for task in tasks:
            (folder / "launched.txt").open("a").write(task.name + " after " + ",".join(task.after) + "\\n")
            code = part.main(task.command[3:]) if self.config.machine != "dead" else 9
            ended(task, None if code == 0 else f"it ended with code {code}.")


@hookimpl
def register_launchers(register):
    register("in_turn", "in_turn:InTurn", config="in_turn:InTurnConfig")
"""


@pytest.fixture
def launched(sweep, workdir, monkeypatch):
    """The same with a launcher that does its tasks one after another, in this process."""
    monkeypatch.delitem(sys.modules, "in_turn", raising=False)
    (workdir / "in_turn.py").write_text(LAUNCHER)
    return lambda *overrides: sweep("--plugin", "in_turn.py", "+launcher=in_turn", *overrides)


@pytest.mark.slow
def test_a_launcher_makes_what_is_shared_first_and_each_run_after_it(launched, jobs, workdir):
    done = launched(*TRAINED)
    assert done.returncode == 0, done.stderr
    assert counted(jobs) == {"crawl": 1, "data": 1, "tokenizer": 1, "tokens": 1, "pretrain": 2, "eval": 4}
    assert (workdir / "s" / "launched.txt").read_text().splitlines() == [
        "shared-1-tokens after ",
        "shared-2-pretrain after shared-1-tokens",
        "shared-3-pretrain after shared-1-tokens",
        "run-1 after shared-1-tokens,shared-2-pretrain",
        "run-2 after shared-1-tokens,shared-2-pretrain",
        "run-3 after shared-1-tokens,shared-3-pretrain",
        "run-4 after shared-1-tokens,shared-3-pretrain",
    ]
    assert set(statuses(workdir)) == {"finished"}
    config = json.loads((workdir / "s" / table(workdir)["runs"][0]["directory"] / "config.json").read_text())
    assert "launcher" not in config
    jobs.clear()
    assert "4 of 4 runs are finished" in launched(*TRAINED).stdout
    assert jobs == []


@pytest.mark.slow
def test_what_fails_in_a_task_is_said_of_every_run_that_needs_it(launched, jobs, workdir):
    done = launched("pretrain.fail=user", "seed=0,1", "eval.steps=5,6")
    assert done.returncode == 1
    assert counted(jobs)["pretrain"] == 2
    assert {row["error"] for row in table(workdir)["runs"]} == {
        "stage pretrain failed: the input is bad: give another."
    }
    assert launched("seed=0,1", "eval.steps=5,6").returncode == 0


@pytest.mark.slow
def test_a_task_that_dies_without_a_word_is_named_with_its_log(launched, workdir):
    done = launched("seed=0,1", "launcher.machine=dead")
    assert done.returncode == 1
    errors = [row["error"] for row in table(workdir)["runs"]]
    assert errors[0].startswith("run-1: it ended with code 9.") or "it ended with code 9. See " in errors[0]
    assert errors[1].endswith(".log.")


@pytest.mark.slow
def test_a_launcher_refuses_while_planning_and_without_m(launched, call, toy, jobs):
    done = launched("seed=0,1", "launcher.machine=none")
    assert done.returncode == 2
    assert "launcher.machine=none: there is none." in done.stderr
    for command in ("run", "plan"):
        alone = call(command, *toy, "--plugin", "in_turn.py", "+launcher=in_turn")
        assert alone.returncode == 2
        assert "launcher=in_turn: puts the runs of a sweep side by side. Add -m" in alone.stderr
    assert jobs == []


@pytest.mark.slow
def test_a_launcher_is_asked_for_the_ranks_of_each_training_before_any_work(launched, call, toy, jobs, workdir):
    file = workdir / "toy_plugin.py"
    file.write_text(
        file.read_text().replace('"seq_len": 16,', '"seq_len": 16, "ranks": 8, "ranks_here": 4, "device": "cpu",')
    )
    assert "launcher: 4 ranks on cpu.\n" in launched("seed=0,1").stderr
    assert "launcher: 4 ranks on cpu alone.\n" in launched("eval.steps=5,6").stderr
    # A plan may be made where the launcher's machine is not.
    of_launcher = ("--plugin", "in_turn.py", "+launcher=in_turn", "launcher.machine=none")
    assert "launcher: 4 ranks on cpu.\n" in call("plan", "-m", *toy, *of_launcher, "seed=0,1").stderr
    assert jobs == []


@pytest.mark.slow
def test_runs_that_can_use_one_process_are_one_task(planned, monkeypatch, workdir):
    monkeypatch.setattr(tasks, "process_key", lambda spec, run: "engine" if spec.name == "eval" else None)
    runs = planned("eval.steps=5,6,7")
    pieces = tasks.make(runs, workdir / "s", {})
    assert list(pieces) == ["shared-1-pretrain", "run-1-and-2-more"]
    assert pieces["run-1-and-2-more"].task.command[3:] == (str(workdir / "s"), "--run", "1", "--run", "2", "--run", "3")


@pytest.mark.slow
def test_a_part_refuses_to_make_what_was_not_planned(sweep, workdir, capsys):
    assert sweep("seed=0,1").returncode == 0
    described = json.loads((workdir / "s" / "plan.json").read_text())
    described["runs"]["1"]["overrides"].append("eval.steps=9")
    (workdir / "s" / "plan.json").write_text(json.dumps(described))
    assert part.main([str(workdir / "s"), "--run", "1"]) == 1
    assert "run 1: what it would make is not what was planned" in capsys.readouterr().err


@pytest.mark.slow
def test_runs_can_start_from_what_a_store_has(planned, tmp_path):
    made = tmp_path / "store" / "data" / "toy-0"
    made.mkdir(parents=True)
    store.finish(made, {"stage": "data", "folder": "data", "identity": {}, "inputs": {}, "external_files": []})
    spec = entries.finished(made, "data", "corpus=toy")
    assert process_key(spec, planned("pretrain.steps=3,4")[0]) is None


@pytest.mark.slow
def test_the_folder_of_a_run_has_a_name_that_file_systems_take(planned):
    for run in planned(f"pretrain.path={chr(0x1D49C) * 90},{'x' * 300}"):
        assert len(run.directory.name.encode()) < 200
