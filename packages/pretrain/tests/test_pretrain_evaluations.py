"""When the model is evaluated on the way, what is written down of it, and what is said."""

import errno

import pytest
from core.errors import ConfigError
from smallwright_pretrain import evaluations
from smallwright_pretrain.config import TorchTitanConfig
from smallwright_pretrain.plan import _of_evaluations
from smallwright_pretrain.records import append, read_records
from smallwright_pretrain.stage_config import StageConfig

STAGES = {
    "short": StageConfig(tokens=640, seq_len=16, global_batch_size=2),
    "long": StageConfig(tokens=1280, seq_len=64, global_batch_size=2),
}


@pytest.mark.parametrize("interval", [{"eval_every": 1}, {"eval_every": 7}, {"eval_every_tokens": 100}])
@pytest.mark.parametrize("length", [{"steps": 20, "seq_len": 16}, {"stages": STAGES}, {"stages": STAGES, "steps": 50}])
def test_the_plan_counts_the_steps_that_are_evaluated_and_the_last_is_none_of_them(interval, length):
    settings = TorchTitanConfig(**interval, **length)
    due = [step for step in range(1, settings.steps + 2) if evaluations.is_due(settings, step)]
    assert len(due) == evaluations.count(settings) > 0
    assert settings.steps not in due
    assert _of_evaluations(settings)[0].startswith(f"{len(due)} evaluations on the way")


def test_nothing_is_evaluated_where_nobody_asks_for_it(tmp_path):
    settings = TorchTitanConfig(steps=5)
    assert not any(evaluations.is_due(settings, step) for step in range(6))
    assert evaluations.count(settings) == 0
    assert evaluations.summary(tmp_path, settings, 0.0) is None
    assert evaluations.notes(None) == []


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"eval_every": 2, "eval_every_tokens": 9}, "eval_every=2: stands beside eval_every_tokens=9. Leave one out."),
        ({"eval_every": 5}, "eval_every=5: there are 5 steps, .* Use 4 or fewer"),
        ({"eval_every_tokens": 5120}, "eval_every_tokens=5120: there are 5120 tokens"),
        ({"eval": {"limit": 3}}, "eval=.*: changes nothing without eval_every"),
        ({"eval_threads": 2}, "eval_threads=2: changes nothing without eval_every"),
        ({"eval_timeout": 5}, "eval_timeout=5: changes nothing without eval_every"),
        ({"eval_gpu": 0}, "eval_gpu=0: changes nothing without eval_every"),
    ],
)
def test_settings_that_would_change_nothing_are_refused(settings, said):
    with pytest.raises(ConfigError, match=said):
        TorchTitanConfig(steps=5, **settings)


def test_a_summary_has_scores_over_tokens_and_says_what_was_left_out_and_what_failed(tmp_path):
    rows = [
        {"task": "a", "metric": "acc", "value": 0.5, "stderr": 0.1, "chance": 0.25, "n": 20},
        {"task": "b", "metric": "exact_match,strict", "value": 0.0, "stderr": None, "chance": None, "n": 20},
        {"task": "b", "metric": "odd", "value": float("nan"), "stderr": None, "chance": None, "n": 20},
    ]
    append(tmp_path / evaluations.RECORDS, evaluations.scored(2, rows))
    evaluations.snapshot(tmp_path, 4).mkdir()
    evaluations.left_out(tmp_path, 4)
    append(tmp_path / evaluations.RECORDS, {"step": 6, "eval_failed": "no such task"})
    append(tmp_path / evaluations.HELD, {"step": 2, "seconds": 0.25})
    append(tmp_path / evaluations.HELD, {"step": 6, "seconds": 0.5})
    settings = TorchTitanConfig(steps=9, seq_len=16, global_batch_size=2, eval_every=2)
    found = evaluations.summary(tmp_path, settings, 3.04)
    assert found["scores"] == [{"step": 2, "tokens": 64, **row} for row in rows[:2]]
    assert (found["done"], found["left_out"]) == ([2], [4])
    assert found["failed"] == [{"step": 6, "reason": "no such task"}]
    assert (found["held_seconds"], found["held_seconds_at_most"], found["waited_seconds"]) == (0.75, 0.5, 3.0)
    assert evaluations.notes(found) == [
        "evaluations on the way: 1 done, 1 left out for a later one, 1 failed; they held the training for 0.75 s, and "
        "its end waited 3 s.",
        "the evaluation of step 6 failed: no such task",
    ]


def test_a_rewind_forgets_the_evaluations_behind_it(tmp_path):
    for step in (2, 4, 6):
        place = evaluations.snapshot(tmp_path, step)
        place.mkdir()
        (place / evaluations.WHOLE).touch()
    append(tmp_path / evaluations.RECORDS, {"step": 1, "eval": {"a/acc": 0.5}})
    append(tmp_path / evaluations.RECORDS, {"step": 3, "eval": {"a/acc": 0.5}})
    evaluations.forget_after(tmp_path, 2)
    assert [*evaluations.snapshots(tmp_path)] == [2]
    assert [evaluations.known(tmp_path, step) for step in range(1, 7)] == [True, True, False, False, False, False]


def waiting(folder, *steps):
    for step in steps:
        evaluations.snapshot(folder, step).mkdir(parents=True)
        (evaluations.snapshot(folder, step) / evaluations.WHOLE).touch()


def test_where_nothing_evaluates_no_more_than_three_models_lie_on_the_disk(tmp_path):
    waiting(tmp_path, 2)
    (evaluations.snapshot(tmp_path, 2) / evaluations.BEGUN).touch()  # by a process that has died
    for step in (4, 6, 8, 10):
        waiting(tmp_path, step)
        evaluations.keep_few(tmp_path)
    assert list(evaluations.snapshots(tmp_path)) == [2, 10]
    assert [record["step"] for record in read_records(tmp_path / evaluations.RECORDS)] == [4, 6, 8]
    evaluations.left_out(tmp_path, 4)  # that another process left out
    assert len(read_records(tmp_path / evaluations.RECORDS)) == 3


def test_on_a_full_disk_the_model_makes_room_for_the_line(tmp_path, monkeypatch):
    waiting(tmp_path, 2)

    def full(path, record):
        if evaluations.snapshot(tmp_path, 2).exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        append(path, record)

    monkeypatch.setattr(evaluations, "append", full)
    evaluations.settle(tmp_path, {"step": 2, "eval_failed": "said"})
    assert read_records(tmp_path / evaluations.RECORDS) == [{"step": 2, "eval_failed": "said"}]
