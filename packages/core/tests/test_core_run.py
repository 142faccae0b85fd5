"""Runs of toy stages through the real commands: reuse, resume after SIGKILL, failure, report and plan."""

import json
import shutil
import signal
import subprocess
import sys
import time

import pytest
from core import store

pytestmark = pytest.mark.slow


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


def test_a_run_a_second_run_and_a_changed_evaluation(run, call, toy, workdir):
    done = run("+posttrain=polish")
    assert done.returncode == 0, done.stderr
    assert set(statuses(workdir).values()) == {"ran"}
    first = report(workdir)
    assert [step["step"] for step in first["funnel"]] == ["read_lines", "drop", "keep_first"]
    assert first["pretrain"]["stored_parameters"] == 40
    assert first["pretrain"]["environment"] == "set"
    assert [row["model"] for row in first["eval"]] == ["pretrain", "polish"]
    assert list(first["posttrain"]) == ["polish"]
    assert not (workdir / "run" / "report.html").exists(), "no plugin here makes pages"
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

    planned = json.loads(call("plan", *toy, "eval.steps=7", "--json").stdout)
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


def test_data_alone_curates_a_corpus_with_a_lineage_both_ways(command, call, workdir):
    done = command("run", "+data=toy", "run_dir=run")
    assert done.returncode == 0, done.stderr
    assert statuses(workdir) == {"crawl": "ran", "data": "ran"}
    corpus = next(stage["artifact"] for stage in report(workdir)["stages"] if stage["name"] == "data")
    back = json.loads(call("lineage", corpus, "--json", plugin=False).stdout)
    files = back["made_from"]["inputs"]["crawl"]["files"]
    assert len(files) == 3
    forward = json.loads(call("lineage", files[0], "--store", "store", "--json", plugin=False).stdout)
    assert forward["used_by"] == [corpus]
    assert "1.txt" in call("lineage", corpus, plugin=False).stdout


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


def workers_of(workdir):
    """Return the command lines of the stages' processes of a run."""
    listed = subprocess.run(["ps", "-eww", "-o", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if "core.worker" in line and str(workdir) in line]


def test_a_killed_run_leaves_no_process_and_no_lock(run, workdir):
    killed = run("pretrain.kill_at=2", TOY_KILL_PARENT="1")
    assert killed.returncode == -signal.SIGKILL
    deadline = time.monotonic() + 300
    while left := workers_of(workdir):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)
    done = run("pretrain.kill_at=2", name="again")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_asked_to_end_leaves_a_line_and_a_report(workdir, toy, number):
    arguments = ["--plugin", "toy_plugin.py", *toy, "executor.workers=1", "run_dir=run", "pretrain.steps=100000000"]
    process = subprocess.Popen(
        [sys.executable, "-m", "core.run", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    deadline = time.monotonic() + 300
    while not list(workdir.glob("store/pretrain/*/steps.txt")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(number)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 128 + number
    assert err.endswith("interrupted: give the same command to go on from here.\n")
    assert "Traceback" not in err
    assert "report: " in out
    rows = {row["name"]: row for row in report(workdir)["stages"]}
    assert (rows["pretrain"]["status"], rows["pretrain"]["error"]) == ("failed", "interrupted")
    assert rows["tokens"]["status"] == "ran"
    assert (workdir / "run" / "observed.txt").read_text().splitlines()[-2:] == ["pretrain failed", "finished"]
    assert workers_of(workdir) == []


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


def test_a_changed_artifact_is_not_reused(command, workdir):
    arguments = ["+data=toy", "executor.workers=1"]
    assert command("run", *arguments, "run_dir=run").returncode == 0
    artifact = next(s["artifact"] for s in report(workdir)["stages"] if s["name"] == "crawl")
    with open(f"{artifact}/files/0.txt", "a") as file:
        file.write("another line")
    done = command("run", *arguments, "run_dir=again")
    assert done.returncode == 1
    assert f"{artifact}: files/0.txt is missing or was changed. Delete" in done.stderr


def test_an_input_that_was_changed_at_the_same_size_is_not_used(command, call, toy, workdir):
    assert command("run", *toy, "executor.workers=1", "run_dir=run").returncode == 0
    artifacts = {stage["name"]: stage["artifact"] for stage in report(workdir)["stages"]}
    with open(f"{artifacts['pretrain']}/steps.txt", "r+") as file:
        file.write("9")
    done = command("run", *toy, "executor.workers=1", "run_dir=again", "eval.steps=6")
    assert done.returncode == 1
    assert f"eval failed: {artifacts['pretrain']}: steps.txt is missing or was changed. Delete" in done.stderr
    verified = call("store.__main__", "verify", plugin=False)
    assert verified.returncode == 1
    assert "steps.txt was changed" in verified.stdout


def test_several_recipes_give_a_corpus_each(command, call, toy, workdir):
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
    alone = json.loads(call("plan", "+data=other", "data.source.lines=5", "--json").stdout)
    assert {row["status"] for row in alone["stages"]} == {"reused"}


PROBE = """
from core.hooks import hookimpl
from core.interfaces import Stage

PLUGIN_API_VERSION = 1


class Probe(Stage):
    def run(self, job):
        return {{"word": "{word}"}}


@hookimpl
def register_corpora(register):
    register("probe", "sw_probe:Probe", artifact_version={artifact_version})
"""


@pytest.fixture
def release(command, workdir):
    """Install a release of a plugin package that builds a corpus, in place of the one before, and run it."""
    site = workdir / "site"
    (workdir / "hydra_conf" / "data" / "probe.yaml").write_text("name: probe\ncorpus: probe\n")

    def release(version, *, word, artifact_version):
        shutil.rmtree(site, ignore_errors=True)
        info = site / f"sw_probe-{version}.dist-info"
        info.mkdir(parents=True)
        (site / "sw_probe.py").write_text(PROBE.format(word=word, artifact_version=artifact_version))
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: sw-probe\nVersion: {version}\n")
        (info / "entry_points.txt").write_text("[smallwright]\nsw_probe = sw_probe\n")
        done = command("run", "+data=probe", plugin=False, PYTHONPATH=str(site), SMALLWRIGHT_PLUGINS="sw_probe")
        assert done.returncode == 0, done.stderr
        return done.stdout

    return release


def test_other_code_remakes_an_artifact_only_where_its_author_says_so(release, workdir):
    assert "reused" not in release("1.0", word="one", artifact_version=1)
    again = release("1.0", word="one", artifact_version=1)
    assert "reused" in again
    assert "note:" not in again
    patched = release("1.0.1", word="two", artifact_version=1)
    assert "reused" in patched
    assert "note: made by other code of sw-probe, of the same artifact_version" in patched
    assert "reused" not in release("1.1", word="two", artifact_version=2)
    manifests = [json.loads(path.read_text()) for path in workdir.glob("store/data/*/manifest.json")]
    made = {manifest["summary"]["word"]: manifest for manifest in manifests}
    assert set(made) == {"one", "two"}, "the patched release made nothing"
    assert {word: manifest["identity"]["artifact_version"] for word, manifest in made.items()} == {"one": 1, "two": 2}
    assert {word: manifest["plugins"]["sw-probe"] for word, manifest in made.items()} == {"one": "1.0", "two": "1.1"}
    assert made["one"]["sources"]["sw-probe"] != made["two"]["sources"]["sw-probe"]
