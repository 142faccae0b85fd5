"""``core.inspect`` on evaluations: the items that are asked for, and nothing that can steer a terminal."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from core import inspect, inspect_evaluation, store
from core.errors import InputError
from core.inspect_evaluation import Wanted, look


def item(n, right, **more):
    row = {"task": "sums", "id": f"i{n}", "hash": f"h{n}", "correct": right, "metrics": {"acc": float(right)}}
    texts = {"prompt": f"what is {n}", "choices": [" one", " two"], "label": 0, "chosen": 1 - right}
    return {**row, **texts, "loglikelihoods": [-1.5, -2.5], **more}


@pytest.fixture
def two(tmp_path):
    """An evaluation as Parquet, and another as JSON lines, which says otherwise of two items."""
    rows = [item(n, n % 3 != 0, subject="odd" if n % 2 else "even") for n in range(12)]
    rows.append(
        {"task": "texts", "id": "t", "correct": False, "answers": ["\x1b[31m"], "extracted": ["x"], "gold": "y"}
    )
    rows.append({"task": "validation", "id": "0", "correct": None, "metrics": {"nats": 3.0}})
    for name, changed in (("a", ()), ("b", (1, 3))):
        (tmp_path / name).mkdir()
        own = [{**row, "correct": not row["correct"]} if n in changed else row for n, row in enumerate(rows)]
        if name == "a":
            own = [{**row, "metrics": list(row.get("metrics", {}).items())} for row in own]
            kinds = pa.map_(pa.string(), pa.float64())
            names = list(dict.fromkeys(key for row in own for key in row))
            columns = {key: [row.get(key) for row in own] for key in names}
            arrays = {key: pa.array(column, kinds if key == "metrics" else None) for key, column in columns.items()}
            pq.write_table(pa.table(arrays), tmp_path / "a/samples.parquet")
        else:
            (tmp_path / "b/samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in own))
    return tmp_path


@pytest.mark.parametrize(
    ("wants", "found"),
    [
        ({}, [*(f"i{n}" for n in range(12)), "t"]),
        ({"correct": False}, ["i0", "i3", "i6", "i9", "t"]),
        ({"correct": False, "task": "sums", "subject": "odd"}, ["i3", "i9"]),
        ({"correct": True, "limit": 2}, ["i1", "i2"]),
    ],
)
def test_items_are_filtered(two, wants, found):
    for place in ("a", "b") if "correct" not in wants else ("a",):
        shown = look(two / place, Wanted(**wants))
        assert [row["id"] for row in shown.shown] == found
    assert (shown.items, shown.matching >= len(found)) == (13, True)


def test_two_evaluations_disagree_on_the_same_items_either_way(two):
    for one, other in (("a", "b"), ("b", "a")):
        found = look(two / one, Wanted(disagree=two / other))
        assert [row["id"] for row in found.shown] == ["i1", "i3"]


def test_text_and_json_say_what_was_asked_and_answered(two, capsys):
    assert inspect.main([str(two / "a"), "--wrong"]) == 0
    shown = capsys.readouterr().out
    assert "a: 8 of 13 items are right; 5 match" in shown
    for words in (
        "-- WRONG  sums  i3  odd",
        "prompt: what is 3",
        "-1.500 (right): one",
        "-2.500 (chosen): two",
        "right: y",
    ):
        assert words in shown
    assert "\x1b" not in shown
    assert inspect.main([str(two / "a"), "--wrong", "--json", "--limit", "2"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["id"], row["prompt"], row["metrics"]) for row in rows] == [
        ("i0", "what is 0", {"acc": 0.0}),
        ("i3", "what is 3", {"acc": 0.0}),
    ]


@pytest.mark.parametrize(
    ("wants", "message"),
    [
        ({"task": "sum"}, r"--task sum: no item of that task\. Did you mean 'sums'\?.*There are sums, texts"),
        ({"subject": "x"}, r"--subject x: no item of that subject"),
        ({"disagree": "nowhere"}, r"nowhere: has no samples\.parquet"),
    ],
)
def test_what_is_not_there_is_named(two, wants, message):
    wants = {key: two / value if key == "disagree" else value for key, value in wants.items()}
    with pytest.raises(InputError, match=message):
        look(two / "a", Wanted(**wants))


def test_a_run_without_a_corpus_shows_its_evaluation(two, capsys):
    for name in ("a", "b"):
        (two / name / store.MANIFEST).write_text("{}")
        (two / f"run-{name}/logs").mkdir(parents=True)
        stages = [{"name": "model", "artifact": "gone"}, {"name": "eval", "artifact": str(two / name)}]
        (two / f"run-{name}/report.json").write_text(json.dumps({"stages": stages}))
    assert inspect.main([str(two / "run-a")]) == 0
    assert capsys.readouterr().out.startswith("a: 8 of 13 items are right; 13 match")
    assert inspect.main([str(two / "run-a"), "--disagree", str(two / "run-b")]) == 0
    assert "2 match" in capsys.readouterr().out


def test_a_damaged_file_and_options_of_corpora_are_refused(two, capsys):
    assert inspect.main([str(two / "a"), "--step", "minhash"]) != 0
    assert "--step: shows corpora, not evaluations" in capsys.readouterr().err
    (two / "a/samples.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"samples\.parquet is damaged"):
        look(two / "a", Wanted())


@pytest.mark.parametrize(
    "more",
    [{"choices": 5}, {"choices": [None, 1]}, {"loglikelihoods": [None]}, {"prompt": 5}, {"answers": 5}, {"gold": [1]}],
)
def test_items_of_another_shape_are_said_in_one_line(tmp_path, more):
    (tmp_path / "samples.jsonl").write_text(json.dumps({**item(1, True), "label": None, **more}) + "\n")
    with pytest.raises(InputError, match=r"is damaged .*Run the evaluation again"):
        inspect_evaluation.render(look(tmp_path, Wanted()), 100, 80)


def test_json_holds_nothing_that_steers_a_terminal_and_the_same_texts(tmp_path):
    text = "é \x1b[31m \x9b31m \u202e \ud800 \U000e0001 日"
    (tmp_path / "samples.jsonl").write_text(json.dumps(item(1, True, prompt=text)) + "\n")
    line = inspect_evaluation.as_json([look(tmp_path, Wanted())])
    assert line.isprintable()
    assert "é" in line
    assert json.loads(line)["prompt"] == text
