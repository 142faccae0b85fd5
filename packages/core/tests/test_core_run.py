"""Runs of toy stages through the real commands: reuse, resume after SIGKILL, failure, report, plan and lineage."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from core import report_html, store
from core.errors import ArtifactError


def report(workdir, name="run"):
    return json.loads((workdir / name / "report.json").read_text())


def statuses(workdir, name="run"):
    return {stage["name"]: stage["status"] for stage in report(workdir, name)["stages"]}


@pytest.fixture
def run(command, toy):
    def call(*overrides, name="run", **environment):
        # One worker works in the stage's own process; test_core_data.py is about several.
        return command("run", *toy, "executor.workers=1", f"run_dir={name}", *overrides, **environment)

    return call


def test_a_run_a_second_run_and_a_changed_evaluation(run, command, toy, workdir):
    done = run("+posttrain=polish")
    assert done.returncode == 0, done.stderr
    assert set(statuses(workdir).values()) == {"ran"}
    first = report(workdir)
    assert [step["step"] for step in first["funnel"]] == ["read_lines", "drop", "keep_first"]
    assert first["pretrain"]["stored_parameters"] == 40
    assert first["pretrain"]["environment"] == "set"
    assert [row["model"] for row in first["eval"]] == ["pretrain", "polish"]
    assert list(first["posttrain"]) == ["polish"]
    page = (workdir / "run" / "report.html").read_text()
    assert "keep_first" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    observed = (workdir / "run" / "observed.txt").read_text().splitlines()
    assert observed[0].startswith("started")
    assert observed[-1] == "finished"
    assert "pretrain ran" in observed

    assert run("+posttrain=polish", name="again").returncode == 0
    assert set(statuses(workdir, "again").values()) == {"reused"}
    again = report(workdir, "again")
    assert {key: again[key] for key in ("funnel", "pretrain", "eval")} == {
        key: first[key] for key in ("funnel", "pretrain", "eval")
    }

    planned = json.loads(command("plan", *toy, "eval.steps=7", "--json").stdout)
    rows = {row["name"]: row for row in planned["stages"]}
    assert rows["pretrain"]["status"] == "reused"
    assert rows["eval"]["status"] == "new"
    assert rows["eval"]["reason"] == "eval.steps 5 -> 7"
    assert planned["stored_parameters"] == 40
    assert planned["tokens"] == 500
    assert planned["memory_bytes"] == 640
    assert planned["flops"] == planned["flops_per_token"] * 500
    assert run("eval.steps=7", name="changed").returncode == 0
    assert {name for name, status in statuses(workdir, "changed").items() if status == "ran"} == {"eval"}


def test_data_alone_curates_a_corpus(command, workdir):
    done = command("run", "+data=toy", "run_dir=run")
    assert done.returncode == 0, done.stderr
    assert statuses(workdir) == {"crawl": "ran", "data": "ran"}


def test_a_stage_killed_in_the_middle_goes_on_from_there(run, workdir):
    killed = run("pretrain.kill_at=2")
    assert killed.returncode == 1
    assert "pretrain failed: it was killed" in killed.stderr
    assert statuses(workdir)["pretrain"] == "failed"
    assert statuses(workdir)["eval"] == "not started"
    done = run("pretrain.kill_at=2", name="again")
    assert done.returncode == 0, done.stderr
    assert statuses(workdir, "again")["tokens"] == "reused"
    artifact = next(s["artifact"] for s in report(workdir, "again")["stages"] if s["name"] == "pretrain")
    with open(f"{artifact}/steps.txt") as file:
        assert file.read().split() == ["0", "1", "2", "3", "4"]


def test_a_killed_run_leaves_no_process_and_no_lock(run, workdir):
    killed = run("pretrain.kill_at=2", TOY_KILL_PARENT="1")
    assert killed.returncode == -signal.SIGKILL
    time.sleep(0.5)
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert not [line for line in listed.splitlines() if "core.worker" in line and str(workdir) in line]
    done = run("pretrain.kill_at=2", name="again")
    assert done.returncode == 0, done.stderr


def test_a_failed_stage_gives_one_line_and_keeps_what_is_finished(run, workdir):
    for fail, message in (("user", "the input is bad: give another."), ("bug", "KeyError: 'a mistake")):
        done = run(f"pretrain.fail={fail}", name=fail)
        assert done.returncode == 1
        assert f"pretrain failed: {message}" in done.stderr
        assert "Traceback" not in done.stderr
        assert "log: " in done.stderr
        assert report(workdir, fail)["stages"][-2]["error"]
    assert statuses(workdir, "user")["tokens"] == "ran"
    assert statuses(workdir, "bug")["tokens"] == "reused"
    assert run(name="again").returncode == 0
    assert statuses(workdir, "again")["tokens"] == "reused"


def test_a_configuration_error_is_one_line_and_no_work(run, workdir):
    done = run("pretrain.stepz=1")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert not (workdir / "store").exists()


def test_two_runs_do_not_make_the_same_artifact(tmp_path):
    with store.lock(tmp_path / "a"):
        script = (
            f"from core import store; from pathlib import Path\nwith store.lock(Path({str(tmp_path / 'a')!r})): pass"
        )
        other = subprocess.run([sys.executable, "-c", script, str(tmp_path / "a")], capture_output=True, text=True)
    assert f"process {os.getpid()}" in other.stderr


def test_a_changed_artifact_is_not_reused(run, workdir):
    assert run().returncode == 0
    artifact = next(s["artifact"] for s in report(workdir)["stages"] if s["name"] == "tokens")
    with open(f"{artifact}/steps.txt", "a") as file:
        file.write("5\n")
    done = run(name="again")
    assert done.returncode == 1
    assert f"{artifact}: steps.txt is missing or was changed. Delete" in done.stderr


def test_a_damaged_manifest_is_named(tmp_path):
    (tmp_path / "manifest.json").write_text('{"files": ')
    with pytest.raises(ArtifactError, match="is damaged"):
        store.read_manifest(tmp_path)


def test_lineage_walks_both_ways(run, command, workdir):
    assert run().returncode == 0
    artifacts = {stage["name"]: stage["artifact"] for stage in report(workdir)["stages"]}
    back = json.loads(command("lineage", artifacts["eval"], "--json", plugin=False).stdout)
    corpus = back["made_from"]["inputs"]["model"]["inputs"]["tokens"]["inputs"]["corpus"]
    assert corpus["artifact"] == artifacts["data"]
    files = corpus["inputs"]["crawl"]["files"]
    assert len(files) == 3
    forward = json.loads(command("lineage", files[0], "--store", "store", "--json", plugin=False).stdout)
    assert set(forward["used_by"]) == set(artifacts.values()) - {artifacts["crawl"]}
    assert "1.txt" in command("lineage", artifacts["eval"], plugin=False).stdout


def test_plugins_lists_what_a_file_offers(command):
    rows = json.loads(command("plugins", "--json").stdout)
    toy = next(row for row in rows if row["name"] == "toy_plugin")
    assert toy["status"] == "ok"
    assert toy["offers"]["architectures"] == ["tiny"]


def test_several_recipes_give_a_corpus_each(command, toy, workdir):
    recipes = [override for override in toy if not override.startswith("+data")]
    overrides = ["+data=[toy,other]", "data.other.source.lines=5", "executor.workers=1"]
    done = command("run", *recipes, *overrides, "run_dir=run")
    assert done.returncode == 0, done.stderr
    made = report(workdir)
    documents = {name: summary["documents"] for name, summary in made["data"]["corpora"].items()}
    assert documents["other"] == 10
    assert sum(documents.values()) == made["data"]["documents"]
    assert [name for name in statuses(workdir) if name.startswith("data")] == ["data-toy", "data-other"]
    tokenizer = next(stage["artifact"] for stage in made["stages"] if stage["name"] == "tokenizer")
    inputs = store.read_manifest(workdir / tokenizer)["inputs"]
    assert set(inputs) == {"corpus-toy", "corpus-other"}
    unclear = command("run", *recipes, *overrides, "data.steps.drop.word=x")
    assert "say which one is meant: data.toy.steps.drop.word or data.other.steps.drop.word" in unclear.stderr
    assert "data.toy.paths or data.other.paths" in command("run", *recipes, *overrides, "data.paths=[x]").stderr
    assert "Did you mean 'other'?" in command("run", *recipes, *overrides, "data.othr.paths=[x]").stderr
    twice = command("run", "+data=[toy,toy]")
    assert "an option is named twice" in twice.stderr
    alone = json.loads(command("plan", "+data=other", "data.source.lines=5", "--json").stdout)
    assert {row["status"] for row in alone["stages"]} == {"reused"}


def test_text_of_a_report_cannot_inject_markup():
    row = {"corpus": "<script>", "step": "<script>", "in": 1, "kept": 0, "rejected": {"<b>": 1}, "failed": {}}
    page = report_html.render(
        {
            "name": "x",
            "stages": [],
            "funnel": [row],
            "eval": [],
            "posttrain": {},
            "lineage": {},
            "config": {},
            "seconds": 1,
        }
    )
    assert "<script>" not in page
    assert "<b>" not in page.split("<h2>Documents</h2>")[1]
