"""Who follows a run is told what its stages log, and trackers cannot end it."""

import json
import sys
import types

import pytest
from core import discovery, observers, store
from core.errors import ConfigError, MissingPluginError
from core.interfaces import Job
from core.running import Run, Work, do_stage
from core.sweep.plan import is_finished
from core.workers import StageFailed

TRACKER = """
from core import checks
from core.hooks import hookimpl
from core.interfaces import Tracker

PLUGIN_API_VERSION = 1


class Lists(Tracker):
    def __init__(self, config=None):
        super().__init__(config)
        self.told = []

    def stage_started(self, run, stage):
        self.told.append(("begins", stage.name, stage.key))

    def metrics_logged(self, run, stage, records):
        self.told.append([record["step"] for record in records])

    def stage_finished(self, run, stage):
        self.told.append(("ends", stage.name, stage.status))


class Fails(Lists):
    def metrics_logged(self, run, stage, records):
        super().metrics_logged(run, stage, records)
        raise ValueError("no network")


class Needs(Lists):
    def check(self, where):
        checks.check_modules(where, {"no_such_library": "No Such Library"}, "mine[no_such]")


@hookimpl
def stage_finished(run, stage):
    (run.directory / "observed").touch()


@hookimpl
def register_trackers(register):
    for name in ("Lists", "Fails", "Needs"):
        register(name.lower(), f"toy_trackers:{name}")
"""


@pytest.fixture
def registry(tmp_path, monkeypatch):
    monkeypatch.setenv("SMALLWRIGHT_PLUGINS", "")
    (tmp_path / "toy_trackers.py").write_text(TRACKER)
    yield discovery.load([tmp_path / "toy_trackers.py"])
    sys.modules.pop("toy_trackers", None)


class Training:
    """Workers that train at once: log steps, are looked at, and finish or are killed."""

    def __init__(self, *parts, killed=False, lacks=()):
        self.parts, self.killed, self.lacks = parts, killed, lacks

    def do(self, job, logs, look, cost):
        for steps in self.parts:
            with open(job.output / "metrics.jsonl", "a") as file:
                file.write("".join(json.dumps({"step": step, "loss": 1.0}) + "\n" for step in steps))
            look()
        if self.killed:
            raise StageFailed("it was killed")
        summary = {"partial": list(self.lacks)} if self.lacks else {}
        store.finish(job.output, {**job.record, "stage": job.name, "inputs": {}, "summary": summary})


@pytest.fixture
def train(tmp_path, registry):
    """Do the stage ``pretrain`` as one run, and return what its trackers were told."""
    artifact = tmp_path / "store" / "pretrain" / "toy-0123456789ab"

    def job(*_):
        artifact.mkdir(parents=True, exist_ok=True)
        record = {"folder": "pretrain", "identity": {}, "external_files": []}
        return Job(name="pretrain", output=artifact, inputs={}, seed=0, record=record)

    def once(workers, *names, folder="run", is_shared=False):
        chosen = observers.trackers({"tracker": {name: {"name": name} for name in names}}, registry)
        (tmp_path / folder / "logs").mkdir(parents=True, exist_ok=True)
        run = Run(name="toy", directory=tmp_path / folder, config={}, trackers=chosen, is_shared=is_shared)
        spec = types.SimpleNamespace(
            name="pretrain",
            folder="pretrain",
            directory=lambda _: artifact,
            job=job,
            other_code=lambda _: "",
            followed={},
        )
        work = Work(root=tmp_path / "store", registry=registry, workers=workers)
        outcome = do_stage(spec, run, work)
        observers.notify(registry, run.directory, "stage_finished", run=run, stage=outcome)
        observers.conclude(run.failures)
        return [tracker.told for tracker in chosen.values()]

    return once


def test_trackers_are_told_of_a_stage_and_of_what_it_logs_while_it_works(train):
    (told,) = train(Training([1, 2], [3]), "lists")
    begins, *logged, ends = told
    assert begins[:2] == ("begins", "pretrain")
    assert begins[2].startswith("pretrain-0123456789ab-")
    assert (logged, ends) == ([[1, 2], [3]], ("ends", "pretrain", "ran"))


@pytest.mark.parametrize("is_shared", [False, True])
def test_what_several_runs_share_is_told_to_trackers_alone(train, tmp_path, is_shared):
    (told,) = train(Training([1]), "lists", is_shared=is_shared)
    assert told[1:] == [[1], ("ends", "pretrain", "ran")]
    assert (tmp_path / "run" / "observed").exists() != is_shared


def test_a_reused_stage_ends_without_having_begun(train):
    train(Training([1]))
    assert train(Training([1]), "lists") == [[("ends", "pretrain", "reused")]]


def test_a_run_that_goes_on_has_the_same_key_and_tells_no_step_twice(train):
    (first,) = train(Training([1, 2], killed=True), "lists")
    (second,) = train(Training([2, 3], killed=True), "lists")
    assert first[-1] == second[-1] == ("ends", "pretrain", "failed")
    assert second[0] == first[0]
    assert second[1:-1] == [[3]]
    (third,) = train(Training([4]), "lists", folder="another")
    assert third[:2] == [first[0], [1, 2, 2, 3, 4]], "a new folder gets the whole curve"


def test_a_partial_result_is_told_and_the_same_command_goes_on_with_it(train, tmp_path, capsys):
    artifact = tmp_path / "store" / "pretrain" / "toy-0123456789ab"
    lacks = Training([1], lacks=["the judge did not answer for 3 of 6 ratings"])
    (told,) = train(lacks, "lists")
    assert told[-1] == ("ends", "pretrain", "ran")
    said = "PARTIAL RESULT: the judge did not answer for 3 of 6 ratings. The same command, given again, asks for what"
    assert said in capsys.readouterr().out
    assert not is_finished(artifact, {}), "a sweep goes on with it too"
    assert (artifact / store.WORK / "began.json").is_file()
    (again,) = train(Training([2], killed=True), "lists")
    assert again[0] == told[0], "it is the same making"
    assert store.read_manifest(artifact) is None, "whoever is killed on the way leaves an unfinished one"
    train(lacks)
    assert train(Training([3]), "lists")[0][-1] == ("ends", "pretrain", "ran")
    assert is_finished(artifact, {})
    assert not (artifact / store.WORK).exists()
    assert train(Training([4]), "lists") == [[("ends", "pretrain", "reused")]]


def test_one_that_fails_is_told_on_is_counted_and_ends_nothing(train, capsys, tmp_path):
    fails, lists = train(Training([1], [2], [3]), "fails", "lists")
    assert fails == lists
    assert lists[1:] == [[1], [2], [3], ("ends", "pretrain", "ran")]
    warned = capsys.readouterr().err.splitlines()
    log = tmp_path / "run" / "logs" / "observers.log"
    assert warned == [
        f"warning: tracker.fails failed in metrics_logged: ValueError: no network. The run goes on; see {log}.",
        "warning: tracker.fails failed in metrics_logged 3 times; what it shows of this run is not whole.",
    ]
    assert log.read_text().count("Traceback") == 1


@pytest.mark.parametrize(
    ("chosen", "error", "message"),
    [
        (
            "needs",
            MissingPluginError,
            r"^tracker\.needs: No Such Library not installed\. Install: pip install 'mine\[no",
        ),
        ("elsewhere", MissingPluginError, r"no installed plugin offers trackers 'elsewhere'"),
        ("lists", ConfigError, r"^tracker\.lists: lists takes no settings, got project\.$"),
    ],
)
def test_what_stands_in_a_trackers_way_is_one_line_before_any_work(registry, chosen, error, message):
    with pytest.raises(error, match=message):
        observers.trackers(
            {"tracker": {chosen: {"name": chosen} | ({"project": "x"} if chosen == "lists" else {})}}, registry
        )
