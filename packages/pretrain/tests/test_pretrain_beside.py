"""The process that evaluates the model beside its training: queue, failures, and a run that is killed in the middle."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from core import store
from core.errors import InputError, UserError
from core.interfaces import Job
from core.workers import StageFailed
from pretrain_support import Marks, MarksConfig, Tiny, TinyConfig, write_tokens
from smallwright_pretrain import evaluations
from smallwright_pretrain.beside import MODEL, Beside, Evaluations
from smallwright_pretrain.config import TorchTitanConfig
from smallwright_pretrain.records import read_records
from smallwright_pretrain.stage import TorchTitanPretrain

SETTINGS = TorchTitanConfig(steps=20, seq_len=16, global_batch_size=2, eval_every=2, device="cpu")


def job(folder, evaluator, **changed):
    stage, model = TorchTitanPretrain(dataclasses.replace(SETTINGS, **changed)), Tiny(TinyConfig(num_hidden_layers=1))
    return Job(name="pretrain", output=folder, inputs={}, seed=7, architecture=model, stage=stage, evaluator=evaluator)


def arrive(folder, step, mark=0.5):
    """Leave the model of a step as if it were exported already."""
    place = evaluations.snapshot(folder / "work" / evaluations.FOLDER, step)
    (place / MODEL).mkdir(parents=True)
    (place / MODEL / "mark").write_text(str(mark))
    (place / evaluations.WHOLE).touch()


def written(folder):
    return read_records(folder / "work" / evaluations.FOLDER / evaluations.RECORDS)


def test_the_newest_that_waits_is_next_and_those_before_it_are_left_out(tmp_path):
    work = Evaluations(job(tmp_path, Marks(MarksConfig())))
    assert work.next() is None
    for step in (2, 4, 6):
        arrive(tmp_path, step, step / 10)
    assert work.next() == 6
    for step in (8, 10, 12):
        arrive(tmp_path, step)
    work.evaluate(6)
    assert written(tmp_path) == [
        {"step": 2, "eval_left_out": True},
        {"step": 4, "eval_left_out": True},
        {"step": 8, "eval_left_out": True},
        {"step": 10, "eval_left_out": True},
        {
            "step": 6,
            "eval": {"mark/acc": 0.6},
            "eval_stderr": {"mark/acc": 0.1},
            "eval_chance": {"mark/acc": 0.25},
            "eval_items": {"mark/acc": 7},
        },
    ]
    assert work.next() == 12, "what came in the meantime, but only the newest: each takes the disk of a model"


def test_an_evaluation_that_fails_is_written_down_with_its_reason_and_the_next_one_is_done(tmp_path):
    work = Evaluations(job(tmp_path, Marks(MarksConfig(fails=True))))
    arrive(tmp_path, 2)
    work.evaluate(2)
    evaluations.snapshot(work._folder, 4).mkdir()
    (evaluations.snapshot(work._folder, 4) / evaluations.WHOLE).touch()  # without weights
    work.evaluate(4)
    first, second = written(tmp_path)
    assert first == {"step": 2, "eval_failed": "eval.tasks: nobody has such a task"}
    assert second["step"] == 4
    assert second["eval_failed"].startswith("its weights could not be written as a model: FileNotFoundError: ")
    assert work.next() is None


def test_a_failure_names_the_key_that_the_user_wrote(tmp_path):
    own, changed = (
        Evaluations(job(tmp_path, Marks(MarksConfig()), eval=given)) for given in (None, {"tasks": ["none"]})
    )
    error = UserError("eval.tasks: nobody\nhas such a task")
    assert own._reason(error) == "eval.tasks: nobody has such a task"
    assert changed._reason(error) == "pretrain.eval.tasks: nobody has such a task"
    assert changed._reason(KeyError("task")) == "KeyError: 'task'", "a mistake of a plugin ends no later evaluation"


def test_an_evaluation_that_takes_too_long_is_ended_and_the_next_one_is_done(tmp_path):
    work = Evaluations(job(tmp_path, Marks(MarksConfig(seconds=600)), eval_timeout=1))
    arrive(tmp_path, 2)
    began = time.monotonic()
    work.evaluate(2)
    assert time.monotonic() - began < 60
    (record,) = written(tmp_path)
    assert record["eval_failed"].startswith("pretrain.eval_timeout=1: it took more seconds, and was ended.")
    assert not evaluations.snapshot(work._folder, 2).exists()


def test_what_was_made_as_its_time_ended_counts(tmp_path):
    work = Evaluations(job(tmp_path, Marks(MarksConfig())))
    work._until = 0
    with pytest.raises(StageFailed, match=r"pretrain\.eval_timeout=3600"):
        work._look(2, tmp_path / "made")
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / store.MANIFEST).touch()
    work._look(2, tmp_path / "made")


def test_a_training_without_an_evaluator_is_refused_and_one_without_evaluations_starts_nothing(tmp_path):
    with pytest.raises(InputError, match=r"pretrain\.eval_every: no evaluator"):
        Beside(job(tmp_path, None), tmp_path / "job.json", SETTINGS, {})
    with Beside(job(tmp_path, None), tmp_path / "job.json", TorchTitanConfig(), {}) as beside:
        assert beside.finish(print) == []


def test_a_training_is_rewound_before_anything_is_evaluated(tmp_path, monkeypatch):
    tokens = write_tokens(tmp_path / "tokens", documents=60, vocab=64)
    given = dataclasses.replace(job(tmp_path / "made", Marks(MarksConfig()), rewind_to=2), inputs={"tokens": tokens})
    checkpoint = given.output / "checkpoint" / "step-2"
    checkpoint.mkdir(parents=True)
    (checkpoint / ".metadata").touch()
    arrive(given.output, 4)

    def begin(*_):
        assert not evaluations.snapshot(given.output / "work" / evaluations.FOLDER, 4).exists()
        raise InterruptedError

    monkeypatch.setattr(Beside, "__enter__", begin)
    with pytest.raises(InterruptedError):
        given.stage.run(given)


def test_the_process_does_what_is_left_when_training_ends_and_its_death_is_told(tmp_path):
    given = job(tmp_path, Marks(MarksConfig()))
    given.write(tmp_path / "job.json")
    said = []
    arrive(tmp_path, 2, 0.75)
    with Beside(given, tmp_path / "job.json", SETTINGS, {}) as beside:
        assert beside.finish(said.append) == []
    assert [record["eval"] for record in written(tmp_path)] == [{"mark/acc": 0.75}]
    assert "waiting for the evaluation of step 2" in said
    with Beside(given, tmp_path / "job.json", SETTINGS, {}) as beside:
        beside._process.kill()
        beside._process.wait()
        arrive(tmp_path, 4)
        assert beside.finish(said.append) == [
            "evaluating ended with code -9, and 1 steps are not evaluated; see the log."
        ]


@pytest.mark.slow
def test_a_run_killed_while_it_evaluates_evaluates_what_is_left_and_nothing_twice(tmp_path):
    pytest.importorskip("lm_eval", reason="lm-eval comes with smallwright-eval")
    from smallwright_eval.config import LMEvalConfig
    from smallwright_eval.stage import LMEval
    from smallwright_testing.models import tiny_model

    model = tiny_model(tmp_path / "model") / "hf"
    vocab = json.loads((model / "config.json").read_text())["vocab_size"]
    tokens = write_tokens(tmp_path / "tokens", documents=60, vocab=vocab)
    asked = {"tasks": ("smallwright_word_order",), "engine": "transformers", "limit": 4}
    stage = TorchTitanPretrain(
        TorchTitanConfig(
            steps=13, seq_len=128, global_batch_size=16, eval_every=4, validation_sequences=2, device="cpu",
            verify_vllm=False,
        )
    )  # fmt: skip
    output = tmp_path / "store" / "made"
    output.mkdir(parents=True)
    Job(
        name="pretrain", output=output, inputs={"tokens": tokens, "tokenizer": model}, seed=3, stage=stage,
        architecture=Tiny(TinyConfig(vocab_size=vocab)),
        evaluator=LMEval(LMEvalConfig(perplexity=False, prompts=(), **asked)),
        record={"folder": "pretrain", "identity": {}, "external_files": []},
    ).write(tmp_path / "job.json")  # fmt: skip
    command = [sys.executable, "-m", "core.worker", str(tmp_path / "job.json"), str(os.getpid())]
    folder = output / "work" / evaluations.FOLDER
    with (tmp_path / "log").open("wb") as log:
        run = subprocess.Popen(command, stdout=log, stderr=log)
        while not (folder / "step-000012" / "eval-step-12.log").exists():
            assert run.poll() is None, (tmp_path / "log").read_text()[-3000:]
            time.sleep(0.05)
        run.send_signal(signal.SIGKILL)
        run.wait()
        before = read_records(folder / evaluations.RECORDS)
        assert 12 not in [record["step"] for record in before]
        assert subprocess.run(command, stdout=log, stderr=log, check=False).returncode == 0
    found = (store.load_manifest(output) or {})["summary"]["evaluations"]
    done = [record["step"] for record in before if "eval" in record]  # none, where the first evaluation began late
    assert found["done"] == [*done, 12]
    assert {*done, *found["left_out"]} == {4, 8}
    rows = [(row["step"], row["task"], row["metric"], row["n"]) for row in found["scores"]]
    expected = [(step, "smallwright_word_order", name, 4) for step in (*done, 12) for name in ("acc", "acc_norm")]
    assert rows == expected
    assert {row["chance"] for row in found["scores"]} == {0.25}
    assert found["failed"] == []
    assert 0 < found["held_seconds_at_most"] <= found["held_seconds"]
    assert not Path(folder).exists()
