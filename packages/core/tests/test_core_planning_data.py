"""What a plan says of data: steps, changed settings, input files; with the toy plugin, as commands."""

import json


def planned(call, *arguments):
    done = call("plan", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_plan_lists_the_steps_in_order_with_what_was_changed(call):
    (row,) = planned(call, "+data=toy", "data.steps.drop.word=other", "data.steps.drop.die_once=''")["data"]
    assert row["recipe"] == "toy"
    assert [step["label"] for step in row["steps"]] == ["read_lines", "drop", "keep_first"]
    assert row["steps"][1] == {"label": "drop", "use": "drop", "changed": {"word": "other"}}
    assert row["source"] == {"name": "lines", "changed": {}}
    assert (row["files"], row["bytes"], row["shards"]) == (None, None, None), "the source has not made them yet"
    assert row["executor"] == {"name": "local", "settings": {"workers": -1}}


def test_input_files_are_counted(call, workdir):
    for name in ("a.txt", "b.txt"):
        (workdir / name).write_text("x" * 50)
    arguments = ["+data=toy", "data.paths=[a.txt,b.txt]", "executor.workers=2"]
    (row,) = planned(call, *arguments)["data"]
    assert (row["files"], row["bytes"], row["shards"]) == (2, 100, 2)
    assert row["executor"]["settings"] == {"workers": 2}
    shown = call("plan", *arguments).stdout
    assert "data: recipe toy\n  input     2 files, 100 bytes\n  shards    2," in shown
    assert "   2 drop" in shown


def test_several_recipes_are_told_apart(call):
    rows = planned(call, "+data=[toy,other]", "data.other.source.lines=5")["data"]
    assert [row["stage"] for row in rows] == ["data-toy", "data-other"]
    assert rows[1]["source"] == {"name": "lines", "changed": {"files": 2, "lines": 5}}
