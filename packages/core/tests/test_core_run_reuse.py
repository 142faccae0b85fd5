"""Runs over finished stages: they read, and need no lock, no right to write and no engine."""

import json
import os
import sys

import pytest
from core import graph, store


@pytest.fixture
def finished(registry, composed, workdir):
    """The artifacts of a whole toy run, made without a process for each."""
    made = {}
    for spec in graph.build(composed(), registry):
        job = spec.job(workdir / "store", (), {})
        job.output.mkdir(parents=True)
        summary = {} if spec.folder in ("crawl", "data") else job.stage.run(job)
        inputs = {role: str(folder) for role, folder in job.inputs.items()}
        store.finish(job.output, {**job.record, "stage": spec.name, "inputs": inputs, "summary": summary})
        made[spec.name] = job.output
    return made


@pytest.fixture
def run(call, toy):
    return lambda *more: call("run", *toy, "run_dir=run", *more)


def state(folder):
    return {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in folder.rglob("*")}


def test_another_run_that_holds_an_artifact_is_no_hindrance(finished, run):
    with store.lock(finished["data"]), store.lock(finished["eval"]):
        done = run()
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("reused") == len(finished)


@pytest.mark.slow
def test_a_finished_store_is_not_written_to(finished, run, workdir, monkeypatch):
    hold = store.lock

    def refuse(folder, *arguments, **more):
        if workdir / "store" not in folder.parents:
            return hold(folder, *arguments, **more)
        raise PermissionError(f"{folder} is read-only")

    monkeypatch.setattr(store, "lock", refuse)
    before = state(workdir / "store")
    assert run().returncode == 0
    assert state(workdir / "store") == before
    (finished["eval"] / store.WORK).mkdir()
    assert run().returncode == 0, "what a kill left there hinders nobody"


def test_what_a_kill_behind_the_manifest_left_goes(finished, run):
    (finished["data"] / store.WORK / "ledgers").mkdir(parents=True)
    assert run().returncode == 0
    assert not (finished["data"] / store.WORK).exists()
    assert store.faults(finished["data"]) == []


@pytest.mark.slow
def test_a_run_has_an_id_of_its_own(finished, run, workdir):
    ids = []
    for _ in range(2):
        assert run().returncode == 0
        ids.append(json.loads((workdir / "run" / "report.json").read_text())["id"])
    assert len(set(ids)) == 2
    assert all(ids)


@pytest.mark.slow
def test_an_observer_gets_its_settings_and_the_id(finished, run, workdir):
    (workdir / "watching.py").write_text(
        "import dataclasses\nfrom core.hooks import hookimpl\nPLUGIN_API_VERSION = 1\n"
        "OBSERVER_SETTINGS = 'watching:Settings'\n\n\n@dataclasses.dataclass(frozen=True, kw_only=True)\n"
        "class Settings:\n    file: str\n\n\n@hookimpl\ndef run_finished(run):\n"
        "    (run.directory / run.observers['watching'].file).write_text(run.id)\n"
    )
    assert run("--plugin", "watching.py", "+observers.watching.file=id.txt").returncode == 0
    report = json.loads((workdir / "run" / "report.json").read_text())
    assert (workdir / "run" / "id.txt").read_text() == report["id"]
    refused = run("--plugin", "watching.py")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "observers.watching.file: not set" in refused.stderr


@pytest.mark.slow
def test_an_observer_that_fails_does_not_end_the_run(finished, run, workdir):
    (workdir / "loud.py").write_text(
        "from core.hooks import hookimpl\nPLUGIN_API_VERSION = 1\n\n\n"
        "@hookimpl\ndef run_started(run): run.nothing\n\n\n"
        "@hookimpl\ndef stage_finished(run, stage): raise SystemExit(3)\n\n\n"
        "@hookimpl\ndef run_finished(run): 1 / 0\n"
    )
    done = run("--plugin", "loud.py")
    assert done.returncode == 0
    assert done.stderr.count("warning: loud.py") == 4, "each hook that fails, and once how often"
    assert f"failed in stage_finished {len(finished)} times" in done.stderr
    assert (workdir / "run" / "observed.txt").read_text().endswith("finished\n"), "the other observer is told"
    assert os.path.getsize(workdir / "run" / "logs" / "observers.log") > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ending", "said"),
    [
        ("os._exit(0)", "crawl failed: it ended without a word and without its manifest; did it call os._exit?"),
        ("raise SystemExit(0)", "crawl failed: SystemExit: the stage called sys.exit(0)"),
    ],
)
def test_a_stage_that_ends_its_process_is_a_failure(run, workdir, monkeypatch, ending, said):
    monkeypatch.delitem(sys.modules, "quiet", raising=False)
    (workdir / "quiet.py").write_text(
        "import os\nfrom core.hooks import hookimpl\nPLUGIN_API_VERSION = 1\n\n\nclass Quiet:\n"
        "    def __init__(self, config): ...\n    def run(self, job): ENDING\n\n\n"
        "@hookimpl\ndef register_sources(register): register('quiet', 'quiet:Quiet')\n".replace("ENDING", ending)
    )
    done = run("--plugin", "quiet.py", "data.source.name=quiet", "~data.source.files", "~data.source.lines")
    assert done.returncode == 1
    assert said in done.stderr


@pytest.mark.slow
def test_a_run_folder_belongs_to_one_run_at_a_time(finished, run, workdir):
    assert run().returncode == 0
    with store.lock(workdir / "run", run="20260101-120000-1a2b3c4d"):
        before = state(workdir / "run")
        refused = run()
        assert state(workdir / "run") == before
    assert refused.returncode == 2
    assert refused.stderr == (
        f"error: {workdir}/run is written to by another run (process {os.getpid()}, 20260101-120000-1a2b3c4d). "
        "Wait for it, or give this run another run_dir=<dir>.\n"
    )
    assert run().returncode == 0, "when the other has ended the folder can be used again"
