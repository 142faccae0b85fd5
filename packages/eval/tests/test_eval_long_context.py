"""Texts that are made for a tokenizer: as long as asked for, with what is asked about, and the same each time."""

import random
import re

import pytest
from core.errors import ConfigError
from smallwright_eval import local_tasks
from smallwright_eval.config import LMEvalConfig
from smallwright_eval.long_context import texts


def count(text: str) -> int:
    return len(re.findall(r"\w+|[^\w\s]", text))


class Tokens:
    """What a task asks of a model before it is asked: its tokenizer and how much it reads."""

    def __init__(self, max_length: int) -> None:
        self.max_length = max_length

    def tok_encode(self, text: str) -> list[str]:
        return re.findall(r"\w+|[^\w\s]", text)


def task_of(name: str, tmp_path, max_length: int = 2048):
    settings = LMEvalConfig(tasks=(name,))
    task = local_tasks.task_manager(settings, tmp_path / name).load([name])["tasks"][name]
    task.take(settings, Tokens(max_length))
    return task


KINDS = [
    ("magic", {}),
    ("magic", {"hay_of_needles": True}),
    ("magic", {"hay_of_needles": True, "identifiers": True}),
    ("magic", {"values": 4}),
    ("magic", {"keys": 4, "asked": 4}),
    ("variables", {}),
    ("frequent_words", {}),
]


@pytest.mark.parametrize(("kind", "arguments"), KINDS)
@pytest.mark.parametrize("length", [400, 2000])
def test_texts_are_as_long_as_asked_for_and_hold_their_answers(kind, arguments, length):
    item, again = (getattr(texts, kind)(length, count, random.Random(3), **arguments) for _ in range(2))
    assert item == again
    assert length * 0.85 < count(item["input"]) <= length
    body = item["input"].split("\nQuestion" if kind != "magic" else "\nWhat")[0]
    assert all(answer in body for answer in item["outputs"])
    assert len(item["outputs"]) == arguments.get("values", 1) * arguments.get("asked", 1) or kind != "magic"


def test_the_most_frequent_words_are():
    item = texts.frequent_words(2000, count, random.Random(1))
    text = item["input"].split("coded words. ")[1].split("\nQuestion")[0].split()
    ranked = sorted(set(text), key=text.count, reverse=True)
    assert ranked[:4] == ["...", *item["outputs"]]


@pytest.mark.parametrize("depth", [0, 30, 100])
def test_a_needle_lies_as_deep_as_asked_for_among_ten_others(depth):
    item = texts.needle(1000, depth, count, random.Random(2))
    body = item["input"].split("\n\n")[1]
    before = body.split(item["outputs"][0])[0]
    assert abs(100 * len(before) / len(body) - depth) < 6
    assert body.count("The special magic number for") == 11
    assert body.count(item["outputs"][0]) == 1
    assert 900 < count(item["input"]) <= 1000


def test_a_grid_has_a_cell_for_each_length_and_depth(tmp_path):
    task = task_of("smallwright_niah", tmp_path, max_length=1024)
    assert [doc["length"] for doc in task.eval_docs] == [256] * 5 + [512] * 5 + [1024] * 5
    for doc in task.eval_docs:
        assert len(Tokens(0).tok_encode(doc["input"])) + 16 <= doc["length"]
    items = [{"subject": doc["subject"], "correct": doc["depth"] != 50} for doc in task.eval_docs]
    grid = task.grid(items)
    assert len(grid["cells"]) == 15
    assert [512, 50, 0.0] in grid["cells"]
    assert [512, 75, 1.0] in grid["cells"]


def test_the_published_grid_is_that_of_the_paper(tmp_path):
    own = local_tasks._own(LMEvalConfig())
    metadata = own["smollm2_niah"][0]["metadata"]
    assert metadata["lengths"] == list(range(512, 8193, 256))
    assert metadata["depths"] == list(range(0, 101, 10))
    assert texts.DISTRACTORS == 10


@pytest.mark.parametrize(
    ("answer", "right"),
    [(" 1234567.", 1.0), (" 1,234,567", 1.0), (" 12345678", 0.0), (" no", 0.0), (" 7 1234567", 0.0)],
)
def test_the_first_number_of_an_answer_counts(tmp_path, answer, right):
    task = task_of("smallwright_niah", tmp_path)
    assert task.process_results({"outputs": ["1234567"]}, [answer]) == {"exact_match": right}


@pytest.mark.slow
def test_ruler_counts_the_share_that_is_there(tmp_path):
    task = task_of("ruler_niah_multivalue", tmp_path, max_length=4096)
    doc = {"outputs": ["1", "2", "3", "4"]}
    assert task.process_results(doc, ["2 and 3"]) == {"exact_match": 0.5}
    assert len(task.eval_docs) == 100


def test_a_model_that_reads_less_than_the_shortest_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"ruler_vt have 4096 tokens, and the model reads 2048"):
        task_of("ruler_vt", tmp_path)
