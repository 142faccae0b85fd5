"""Records are told once, in order and whole, whatever their writer does to the file."""

import json
import os

import pytest
from core.following import Following

STEPLESS = (b'"a"', b"true", b"NaN", b"null")


@pytest.fixture
def artifact(tmp_path):
    (tmp_path / "artifact").mkdir()
    return tmp_path / "artifact"


@pytest.fixture
def follow(tmp_path, artifact):
    """Begin to follow the artifact, for a run's folder."""
    opened = []

    def begin(run="run"):
        (tmp_path / run).mkdir(exist_ok=True)
        opened.append(Following(artifact, tmp_path / run / "pretrain.told.json"))
        return opened[-1]

    yield begin
    for following in opened:
        following.close()


def losses(*steps):
    return [{"step": step, "loss": step / 10} for step in steps]


def text(records):
    return "".join(json.dumps(record) + "\n" for record in records)


def append(path, records):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(text(records))


def test_only_whole_lines_are_told_and_each_once(artifact, follow):
    following, path = follow(), artifact / "metrics.jsonl"
    assert following.new() == []
    append(path, losses(1, 2))
    with path.open("a") as file:
        file.write('{"step": 3, "lo')
    assert following.new() == losses(1, 2)
    assert following.new() == []
    with path.open("a") as file:
        file.write('ss": 0.3}\n')
    assert following.new() == losses(3)


def test_scores_of_a_training_are_told_as_they_come_though_later_steps_are_logged_already(artifact, follow):
    following, scores = follow(), artifact / "work" / "evaluations" / "evaluations.jsonl"
    append(artifact / "metrics.jsonl", losses(1, 2, 3))
    assert len(following.new()) == 3
    append(scores, [{"step": 1, "eval": {"words/acc": 0.5}}, {"step": 2, "eval_left_out": True}])
    assert following.new() == [{"step": 1, "eval": {"words/acc": 0.5}}, {"step": 2, "eval_left_out": True}]
    assert following.new() == []


def test_speeds_are_told_with_their_step_and_also_what_was_written_as_they_were_removed(artifact, follow):
    following, speeds = follow(), artifact / "work" / "pretrain" / "speed.jsonl"
    append(artifact / "metrics.jsonl", losses(1, 2))
    append(speeds, [{"step": 1, "tokens_per_second": 5.0}])
    first, speed, second = following.new()
    assert [first, second] == losses(1, 2)
    assert speed == {"step": 1, "tokens_per_second": 5.0}
    append(speeds, [{"step": 2, "tokens_per_second": 6.0}])
    speeds.unlink()
    assert following.new() == [{"step": 2, "tokens_per_second": 6.0}]


@pytest.mark.parametrize("how", ["replaced", "cut"])
def test_steps_that_a_writer_does_again_are_not_told_again(artifact, follow, how):
    following, path = follow(), artifact / "metrics.jsonl"
    validation = [{"step": 4, "validation_loss": 1.0}]
    append(path, losses(1, 2, 3, 4))
    assert following.new() == losses(1, 2, 3, 4)
    if how == "replaced":
        (artifact / "new").write_text(text(losses(1, 2)))
        os.replace(artifact / "new", path)
    else:
        path.write_text(text(losses(1, 2)))
    assert following.new() == []
    append(path, [*losses(3, 4), *validation, *losses(5)])
    assert following.new() == [*validation, *losses(5)]


def test_several_records_of_one_kind_and_step_are_all_told(artifact, follow):
    rows = [{"step": 2, "domain": name, "loss": 1.0} for name in ("web", "code")]
    following = follow()
    append(artifact / "metrics.jsonl", rows[:1])
    assert following.new() == rows[:1]
    append(artifact / "metrics.jsonl", rows[1:])
    assert following.new() == rows[1:]


def test_the_folder_of_a_run_is_told_nothing_twice_and_another_one_all(artifact, follow):
    path = artifact / "metrics.jsonl"
    append(path, losses(1, 2, 3))
    killed = follow()
    assert killed.new() == losses(1, 2, 3)
    killed.remember()
    path.write_text(text(losses(1)))
    append(path, losses(2, 3, 4))
    assert follow().new() == losses(4)
    assert follow("another").new() == losses(1, 2, 3, 4)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"artifact": "other", "told": {}}', '{"artifact": 1}'])
def test_a_memory_that_cannot_be_used_means_that_nothing_was_told(artifact, follow, tmp_path, content):
    append(artifact / "metrics.jsonl", losses(1))
    follow()
    (tmp_path / "run" / "pretrain.told.json").write_text(content)
    assert follow().new() == losses(1)


def test_lines_that_are_no_records_are_counted(artifact, follow):
    following = follow()
    lines = [b"not json", b"\xff\xfe", b"[1]", b'{"loss": 1}', *(b'{"step": %s}' % step for step in STEPLESS)]
    (artifact / "metrics.jsonl").write_bytes(b"\n".join([*lines, b"", b'{"step": 1, "loss": NaN}', b""]))
    (record,) = following.new()
    assert (record["step"], following.unreadable) == (1, len(lines))
