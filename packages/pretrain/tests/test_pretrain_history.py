"""Checkpoints by step on the disk, which go, and what a rewind moves aside."""

import json
from pathlib import Path

import pytest
from core.errors import InputError
from smallwright_pretrain.config import TorchTitanConfig
from smallwright_pretrain.history import by_step, finished, remove_old, rewind, step_of


def training(output, steps=(4, 8, 12), unfinished=()):
    for step in (*steps, *unfinished):
        (output / "checkpoint" / f"step-{step}").mkdir(parents=True)
        if step in steps:
            (output / "checkpoint" / f"step-{step}" / ".metadata").write_text(str(step))
    (output / "revisions" / "step-000012").mkdir(parents=True)
    write(output / "metrics.jsonl", range(1, 14))
    write(output / "spikes.jsonl", [3, 11])
    (output / "work").mkdir()
    return output


def write(path, steps):
    path.write_text("".join(json.dumps({"step": step, "loss": step / 7}) + "\n" for step in steps))


def steps(path):
    return [json.loads(line)["step"] for line in path.read_text().splitlines()]


def content(folder):
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def kept(output):
    return [step_of(path) for path in by_step(output / "checkpoint")]


@pytest.mark.parametrize(
    ("settings", "latest", "expected"),
    [
        ({}, 2, [12, 16]),
        ({"keep_steps": (4,)}, 2, [4, 12, 16]),
        ({"keep_every": 8}, 0, [8, 16]),
        ({}, None, [4, 8, 12, 16]),
    ],
)
def test_old_checkpoints_go_but_those_that_are_kept(tmp_path, settings, latest, expected):
    output = training(tmp_path, steps=(4, 8, 12, 16))
    remove_old(output / "checkpoint", TorchTitanConfig(**settings), latest=latest)
    assert kept(output) == expected


def test_an_unfinished_checkpoint_is_none(tmp_path):
    output = training(tmp_path, unfinished=(16,))
    assert [step_of(path) for path in finished(output / "checkpoint")] == [4, 8, 12]


def test_a_rewind_moves_aside_what_came_behind_and_is_done_once(tmp_path):
    output = training(tmp_path, unfinished=(16,))
    write(output / "forgetting.jsonl", [4, 8, 12])
    for step in (8, 12):  # a round that ends at the step stays drawn
        (output / "rounds" / f"step-{step}").mkdir(parents=True)
    said = rewind(output, output / "work", 8)
    aside = output / "rewound" / "01-to-step-8"
    assert said == "pretrain.rewind_to=8: what was done behind this step is in rewound/01-to-step-8."
    assert kept(output) == [4, 8]
    assert steps(output / "metrics.jsonl") == list(range(1, 9))
    assert steps(output / "spikes.jsonl") == [3]
    assert kept(aside) == [12, 16]
    assert steps(aside / "metrics.jsonl") == list(range(9, 14))
    assert steps(aside / "spikes.jsonl") == [11]
    assert steps(output / "forgetting.jsonl") == [4, 8]
    assert [path.name for path in (output / "rounds").iterdir()] == ["step-8"]
    assert (aside / "rounds" / "step-12").is_dir()
    assert (aside / "revisions" / "step-000012").is_dir()
    (output / "checkpoint" / "step-12").mkdir()
    assert "done when it was first given" in rewind(output, output / "work", 8)
    assert kept(output) == [4, 8, 12]
    assert rewind(output, output / "work", None) is None
    rewind(output, output / "work", 8)
    assert [path.name for path in sorted((output / "rewound").iterdir())] == ["01-to-step-8", "02-to-step-8"]


def test_a_step_without_a_checkpoint_is_refused(tmp_path):
    output = training(tmp_path, unfinished=(16,))
    for step in (5, 16):
        with pytest.raises(
            InputError, match=rf"rewind_to={step}: no checkpoint .* There are those of the steps 4, 8, 12"
        ):
            rewind(output, output / "work", step)
    assert kept(output) == [4, 8, 12, 16]


@pytest.mark.parametrize("how", ["killed", "full"])
def test_a_rewind_can_be_ended_at_every_write(tmp_path, faults, how):
    def go(output: Path) -> None:
        rewind(output, output / "work", 4)

    go(training(tmp_path / "whole"))
    expected = content(tmp_path / "whole")
    for number, ended in enumerate(faults.each_fault(how, below=tmp_path)):
        output = training(tmp_path / str(number))
        ended(lambda output=output: go(output))
        faults.undisturbed(lambda output=output: go(output))
        assert content(output) == expected
    assert number >= 5
