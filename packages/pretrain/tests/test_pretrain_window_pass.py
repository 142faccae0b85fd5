"""A pass over windows: its shards are whole, checked, the same for any ranks, and only missing ones are made again."""

import dataclasses

import numpy as np
import pytest
from core.errors import InputError
from smallwright_pretrain.window_pass import WindowPass, go_through


def over(folder, **other):
    return WindowPass(**{"folder": folder, "windows": 10, "shard": 4, "identity": {"model": "a"}, **other})


def measure(first, last):
    numbers = np.arange(first, last)
    return {"loss": numbers.astype(np.float64) / 3, "ids": np.stack([numbers, numbers + 1], 1).astype(np.int32)}


def bytes_of(made):
    return [made.path(number).read_bytes() for number in range(made.shards)]


def test_any_ranks_write_the_same_bytes_and_all_windows_are_read_again(tmp_path):
    alone, shared = over(tmp_path / "alone"), over(tmp_path / "shared")
    go_through(alone, measure, alone.missing())
    missing = shared.missing()
    for rank in (1, 0):
        go_through(shared, measure, missing[rank::2])
    assert bytes_of(alone) == bytes_of(shared)
    read = list(alone.all())
    assert [(first, last) for first, last, _ in read] == [(0, 4), (4, 8), (8, 10)]
    assert np.concatenate([arrays["loss"] for _, _, arrays in read]).tolist() == measure(0, 10)["loss"].tolist()
    assert read[2][2]["ids"].dtype == np.int32


def test_a_pass_that_was_ended_goes_on_with_what_is_missing(tmp_path):
    made, asked = over(tmp_path), []

    def ends(first, last):
        asked.append(first)
        if first == 4:
            raise KeyboardInterrupt
        return measure(first, last)

    with pytest.raises(KeyboardInterrupt):
        go_through(made, ends, made.missing())
    assert made.missing() == [1, 2]
    told = []
    go_through(made, measure, made.missing(), done=told.append)
    assert told == [4, 2]
    assert made.missing() == []


@pytest.mark.parametrize("what", ["changed", "cut", "of another model"])
def test_a_shard_that_is_not_as_it_was_written_is_made_again_and_never_read(tmp_path, what):
    made = over(tmp_path)
    go_through(made, measure, made.missing())
    content = made.path(1).read_bytes()
    if what == "of another model":
        made = dataclasses.replace(made, identity={"model": "b"})
    else:
        made.path(1).write_bytes(content[:-1] + b"\xff" if what == "changed" else content[:-8])
    assert 1 in made.missing()
    with pytest.raises(InputError, match=r"shard-000001\.safetensors: (is damaged|cannot be read|is of another pass)"):
        made.read(1)


def test_ranks_that_work_together_write_once(tmp_path):
    made = over(tmp_path)
    go_through(made, measure, made.missing(), writes=False)
    assert made.missing() == [0, 1, 2]


def test_a_shard_with_another_number_of_windows_is_refused(tmp_path):
    with pytest.raises(ValueError, match="loss: 3 windows, and the shard has 4"):
        over(tmp_path).write(0, {"loss": np.zeros(3)})
