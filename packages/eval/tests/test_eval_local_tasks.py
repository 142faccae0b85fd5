"""Data files of tasks from folders."""

import gzip
from types import SimpleNamespace

import pytest
from core.errors import ConfigError, InputError
from core.interfaces import Job
from smallwright_eval import local_tasks, reading, results, stage, task_data
from smallwright_eval.config import LMEvalConfig
from smallwright_eval.local_tasks import as_patterns

YAML = """
task: t
dataset_path: json
dataset_kwargs: {data_files: {test: d.jsonl}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{q}}"
doc_to_choice: c
doc_to_target: l
"""
ITEM = '{"q": "a", "c": ["x", "y"], "l": 0}\n'


@pytest.mark.parametrize(
    ("file", "pattern"),
    [
        ("set [1]/[v].jsonl", "set [[]1]/[[]v].jsonl"),
        ("set [1]/*.jsonl", "set [[]1]/*.jsonl"),
        ("plain.jsonl", "plain.jsonl"),
        ("no/such/[a]*.jsonl", "no/such/[a]*.jsonl"),
    ],
)
def test_data_files_that_exist_are_no_patterns(tmp_path, file, pattern):
    (tmp_path / "set [1]").mkdir()
    for name in ("set [1]/[v].jsonl", "plain.jsonl"):
        (tmp_path / name).write_text("{}")
    root = str(tmp_path)
    assert as_patterns({"test": [f"{root}/{file}"], "x": "hf://a/*"}) == {
        "test": [f"{root}/{pattern}"],
        "x": "hf://a/*",
    }


@pytest.mark.parametrize(
    ("yaml", "data", "said"),
    [
        (YAML, ITEM.encode() + b'{"q": "\xff"}', r"d\.jsonl:2: not in UTF-8"),
        (YAML, b"[" * 99999, r"d\.jsonl:1: lists in lists"),
        (YAML, ITEM.replace('["x", "y"]', '"xy"').encode(), r'd\.jsonl:1: c="xy", which is no list of texts'),
        (YAML, ITEM.replace('["x", "y"]', "null").encode(), r"d\.jsonl:1: c=null, which is no list"),
        (YAML, ITEM.replace('["x", "y"]', "[]").encode(), r"d\.jsonl:1: c=\[\], which is no list"),
        (YAML, ITEM.replace('["x", "y"]', "[1, 2]").encode(), r"d\.jsonl:1: c=\[1, 2\], which is no list"),
        (YAML, ITEM.replace(": 0", ': "z"').encode(), r'd\.jsonl:1: l="z", which is none of its c'),
        (YAML, ITEM.replace(": 0", ": 0.5").encode(), r"d\.jsonl:1: l=0\.5, which is none"),
        (YAML, ITEM.replace(": 0", ": null").encode(), r"d\.jsonl:1: l=null, which is none"),
        (YAML.replace("{data_files: {test: d.jsonl}}", "5"), ITEM.encode(), r"t\.yaml: dataset_kwargs=5, not keys"),
        ("group: t\ntask: [smallwright_word_ordr]\n", b"", r"unknown task 'smallwright_word_ordr'\. Did you mean"),
    ],
)
def test_wrong_tasks_and_items_are_said_in_one_line_in_the_plan(tmp_path, yaml, data, said):
    (tmp_path / "t.yaml").write_text(yaml)
    (tmp_path / "d.jsonl").write_bytes(data)
    with pytest.raises((ConfigError, InputError), match=said) as raised:
        local_tasks.check(LMEvalConfig(tasks=("t",), task_paths=(str(tmp_path),)), "eval")
    assert "\n" not in str(raised.value)


def test_labels_that_lm_eval_understands_are_taken(tmp_path):
    (tmp_path / "t.yaml").write_text(YAML)
    (tmp_path / "d.jsonl").write_text("".join(ITEM.replace(": 0", label) for label in (": 1", ': "1"', ': "y"')))
    local_tasks.check(LMEvalConfig(tasks=("t",), task_paths=(str(tmp_path),)), "eval")


@pytest.mark.parametrize("cut", [5, 30])
def test_a_compressed_file_that_is_cut_short_is_named(tmp_path, cut):
    path = tmp_path / "test.jsonl.gz"
    path.write_bytes(gzip.compress(ITEM.encode() * 9)[:cut])
    with pytest.raises(InputError, match=r"test\.jsonl\.gz is damaged"):
        list(task_data.items_of(path))


def described(**more):
    return {"task": "t", "dataset_path": "a/b", "test_split": "test", **more}


def test_data_of_which_a_part_is_missing_is_refused(tmp_path):
    folder = tmp_path / "a__b/default"
    folder.mkdir(parents=True)
    for name in ("test-00000-of-00002.parquet", "test-hard-00000-of-00001.parquet"):
        (folder / name).write_bytes(b"")
    with pytest.raises(InputError, match=r"default lacks test-00001-of-00002\.parquet"):
        task_data.find(described(), tmp_path)
    (folder / "test-00001-of-00002.parquet").write_bytes(b"")
    assert [path.name[:8] for path in task_data.find(described(), tmp_path)["test"]] == ["test-000"] * 2


def test_links_to_files_of_other_names_are_read_by_their_own(tmp_path):
    """A cache of the hub has such: its files are called by their digests."""
    (tmp_path / "blob").write_bytes(b"")
    (tmp_path / "a__b/data").mkdir(parents=True)
    (tmp_path / "a__b/data/test-00000-of-00001.parquet").symlink_to(tmp_path / "blob")
    assert task_data.rewrite(described(), tmp_path)["dataset_path"] == "parquet"


@pytest.mark.parametrize("text", ["", "[]", '{"files": []}', '{"files": {"a": 1}}', '{"files": {"a": {}}}'])
def test_a_damaged_lock_is_said_in_the_plan(tmp_path, text):
    (tmp_path / "datasets.lock.json").write_text(text)
    with pytest.raises(InputError, match=r"datasets\.lock\.json is damaged"):
        task_data.check_lock({}, tmp_path)


@pytest.mark.parametrize("error", [KeyError("c"), TypeError("len"), ValueError, IndexError, AttributeError])
@pytest.mark.parametrize("method", ["build_all_requests", "apply_filters", "process_results"])
def test_an_item_that_a_task_cannot_read_ends_in_one_line(error, method):
    def fails(*arguments, **named):
        raise error

    task = SimpleNamespace(build_all_requests=len, apply_filters=len, process_results=len)
    setattr(task, method, fails)
    reading.say_in_one_line(task, "piqa")
    with pytest.raises(InputError, match=r"eval\.tasks: an item of piqa"):
        getattr(task, method)(1, limit=2)
    assert sum(getattr(task, other)([]) for other in vars(task) if other != method) == 0


def test_items_without_a_right_answer_are_counted_and_a_task_of_them_alone_is_refused(capsys):
    task = SimpleNamespace(OUTPUT_TYPE="multiple_choice", multiple_target=0)
    items = [{"id": str(place), "label": label} for place, label in enumerate([None, 0, None, 1])]
    results.check_answers("piqa", task, items)
    assert "piqa: 2 of 4 items have no right answer among their choices, and count as wrong: 0, 2" in (
        capsys.readouterr().out
    )
    with pytest.raises(InputError, match="no item of piqa has a right answer"):
        results.check_answers("piqa", task, [items[0]])


@pytest.mark.parametrize(
    ("base", "method"),
    [
        ("verdicts.judged.JudgedTask", "rate"),
        ("verdicts.code.CodeTask", "program"),
        ("long_context.tasks.LongTask", "items"),
    ],
)
def test_a_task_that_lacks_what_its_base_asks_for_is_said_before_an_engine_starts(tmp_path, base, method):
    module, _, name = base.rpartition(".")
    (tmp_path / "mine.py").write_text(
        f"from smallwright_eval.{module} import {name}\n\n\nclass Mine({name}):\n    pass\n"
    )
    (tmp_path / "mine.yaml").write_text("task: mine\nclass: !function mine.Mine\n")
    config = LMEvalConfig(tasks=("mine",), task_paths=(str(tmp_path),), engine="transformers", prompts=())
    (tmp_path / "model/hf").mkdir(parents=True)
    (tmp_path / "model/hf/config.json").write_text("{}")
    (tmp_path / "model/hf/x.safetensors").touch()
    job = Job(name="eval", output=tmp_path / "out", inputs={"model": tmp_path / "model"}, seed=0)
    with pytest.raises(
        InputError, match=rf"^eval\.tasks: the class of mine is not whole: .*abstract.* '?{method}'?\. Write"
    ):
        stage.LMEval(config).run(job)
