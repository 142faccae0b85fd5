"""Documents are chosen by hash of their id, whatever their order."""

import random

import pytest
from core.data.by_hash import Smallest, id_hash


def test_purposes_choose_independently():
    ids = [f"d{number}" for number in range(2000)]
    first, second = (set(sorted(ids, key=lambda id: id_hash(id, purpose))[:1000]) for purpose in ("label", "split"))
    assert 400 < len(first & second) < 600
    assert id_hash("d0", "label") == id_hash("d0", "label") != id_hash("d0", "split")
    assert 0 <= id_hash("\ud800", "label") < 2**64


@pytest.mark.parametrize("limit", [1, 7, 600, 5000])
def test_the_threshold_is_the_largest_of_the_smallest(limit):
    hashes = [id_hash(str(number), "label") for number in range(3000)]
    random.Random(limit).shuffle(hashes)
    smallest = Smallest(limit)
    for value in hashes:
        smallest.add(value)
    assert smallest.seen == 3000
    assert smallest.threshold(0) is None
    wanted = min(limit, 3000)
    for number in {1, wanted // 2 or 1, wanted}:
        assert smallest.threshold(number) == sorted(hashes)[number - 1]
