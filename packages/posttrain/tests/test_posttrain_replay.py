"""Documents of pretraining that are learned again: which, how many, and that a set's own rows stay as they were."""

import numpy as np
import pytest
from smallwright_posttrain.replay import documents
from smallwright_testing.tokens import write_tokens

END = 0
LENGTHS = (3, 30, 7, 120, 1, 12)


TEXTS = [[*range(100 * n + 1, 100 * n + size), END] for n, size in enumerate(LENGTHS)]


@pytest.fixture(params=[6, 3], ids=["one corpus", "two"])
def tokens(request, tmp_path):
    parts = [TEXTS[: request.param], TEXTS[request.param :]]
    return [write_tokens(tmp_path / str(number), part) for number, part in enumerate(parts) if part]


def learned(rows):
    return sum(label != -100 for row in rows for label in row["labels"])


def test_documents_are_whole_parts_and_begin_after_the_end_of_another(tokens):
    rows = list(documents(tokens, 10_000, 16, seed=1))
    assert len(rows) == len(LENGTHS)
    assert {row["input_ids"][1] // 100 for row in rows if len(row["input_ids"]) > 2} == {0, 1, 2, 3, 5}
    for row in rows:
        assert row["input_ids"][0] == END
        assert row["labels"] == [-100, *row["input_ids"][1:]]
        assert len(row["input_ids"]) <= 16
        assert list(np.diff(row["labels"][1:-1])) == [1] * (len(row["labels"]) - 3) or len(row["labels"]) < 4


@pytest.mark.parametrize("wanted", [0, 1, 20, 60])
def test_as_many_tokens_as_are_wanted_are_learned(tokens, wanted):
    rows = list(documents(tokens, wanted, 64, seed=1))
    assert learned(rows) >= wanted
    assert learned(rows[:-1]) < max(wanted, 1)


def test_the_seed_chooses(tokens):
    assert list(documents(tokens, 60, 64, seed=1)) == list(documents(tokens, 60, 64, seed=1))
    assert list(documents(tokens, 60, 64, seed=1)) != list(documents(tokens, 60, 64, seed=2))


def test_a_run_without_training_documents_replays_none(tmp_path):
    assert list(documents([write_tokens(tmp_path)], 100, 64, seed=1)) == []
