"""What generated answers are worth, against verdicts that others stored, and what keeps a checker too long."""

import gzip
import json
import os
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest
from core.errors import MissingPluginError
from lm_eval.api.instance import Instance
from smallwright_eval import local_tasks, needs
from smallwright_eval.config import LMEvalConfig
from smallwright_eval.verdicts import ifeval, maths, text
from smallwright_eval.verdicts.limited import Checker, OutOfBounds

SHARED = Path(os.environ.get("SMALLWRIGHT_SHARED", Path(__file__).resolve().parents[4] / "shared"))
DATA = SHARED / "data"
MARKER = "A: "


def stored(name: str) -> list[dict]:
    """Return the rows of a file of real data, or skip."""
    path = DATA / f"{name}.jsonl.gz"
    if not path.is_file():
        pytest.skip(f"{path} is not there; SMALLWRIGHT_SHARED names the folder above data/")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def installed(*modules: str) -> None:
    for module in modules:
        pytest.importorskip(module)


def box(answer: str) -> str:
    return f"So the answer is $\\boxed{{{answer}}}$."


def gsm8k(tmp_path: Path):
    folder = tmp_path / "openai__gsm8k" / "main"
    folder.mkdir(parents=True)
    rows = [{"question": f"What is {i} + 1?", "answer": f"It is {i + 1}.\n#### {i + 1}"} for i in range(8)]
    for split, some in (("train", rows[1:]), ("test", rows[:1])):
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in some))
    settings = LMEvalConfig(tasks=("smollm2_gsm8k",), data_dir=str(tmp_path))
    return local_tasks.task_manager(settings, tmp_path / "work").load(["smollm2_gsm8k"])["tasks"]["smollm2_gsm8k"]


def filtered(task, gold: str, answer: str) -> dict[str, float]:
    """Return the score of an answer by each filter of a task."""
    doc = {"question": "", "answer": gold}
    request = Instance("generate_until", doc, ("", {}), 0, ("", 0, 1))
    request.resps = [answer]
    task._instances = [request]
    task.apply_filters()
    return {name: task.process_results(doc, [found])["exact_match"] for name, found in request.filtered_resps.items()}


def test_gsm8k_agrees_with_all_graded_solutions(tmp_path):
    rows = stored("gsm8k/example_model_solutions_first300")
    task = gsm8k(tmp_path)
    seen = [
        (
            filtered(
                task, *(text.replace(f"\n{MARKER}", "\n#### ") for text in (row["ground_truth"], one["solution"]))
            ),
            one,
        )
        for row in rows
        for name, one in row.items()
        if name.endswith(("finetuning", "verification"))
    ]
    assert len(seen) == 1200
    assert sum(scores["flexible-extract"] == one["is_correct"] for scores, one in seen) == 1200
    assert sum(scores["strict-match"] == one["is_correct"] for scores, one in seen) == 1200


def test_gsm8k_asks_as_smollm2_does(tmp_path):
    task = gsm8k(tmp_path)
    task.set_fewshot_seed(1234)
    task.build_all_requests(limit=1, rank=0, world_size=1)
    context, settings = task.instances[0].arguments
    assert context.count("Question: ") == 6
    assert context.endswith("\n\nQuestion: What is 0 + 1?\nAnswer:")
    assert "Question: What is 0 + 1?\nAnswer: It" not in context
    assert (settings["until"], settings["max_gen_toks"]) == (["Question:", "Question"], 256)
    assert filtered(task, "#### 1,000", "so 1000 #### 1000.")["strict-match"] == 1.0
    assert filtered(task, "#### 7", "it is 7")["strict-match"] == 0.0
    assert filtered(task, "#### 7", "it is 7")["flexible-extract"] == 1.0
    assert filtered(task, "#### 7", "")["flexible-extract"] == 0.0


def test_ifeval_agrees_with_the_reference():
    installed("langdetect", "immutabledict", "punkt")
    asked = stored("ifeval/input_data_dev")
    answers = {row["prompt"]: row["response"] for row in stored("ifeval/gpt4_responses_dev")}
    strict, loose = (
        {row["prompt"]: row["follow_instruction_list"] for row in stored(f"ifeval/eval_results_{kind}_dev")}
        for kind in ("strict", "loose")
    )
    compared = [row for row in asked if row["key"] not in ifeval.UNDECIDED_KEYS]
    found = {row["key"]: ifeval.follow(row, answers[row["prompt"]]) for row in compared}
    differing = [row["key"] for row in compared if found[row["key"]] != (strict[row["prompt"]], loose[row["prompt"]])]
    assert (len(asked), len(compared), differing) == (277, 276, [])


def test_ifeval_counts_prompts_and_instructions():
    installed("langdetect", "immutabledict", "punkt")
    doc = {
        "key": 1,
        "prompt": "Say it without commas, in two sentences.",
        "instruction_id_list": ["punctuation:no_comma", "length_constraints:number_sentences"],
        "kwargs": [{"relation": None}, {"relation": "at least", "num_sentences": 2}],
    }
    scores = ifeval.process_results(doc, ["*Hi, there*\nOne is here. Two is there."])
    assert scores["inst_level_strict_acc"] == [False, True]
    assert scores["inst_level_loose_acc"] == [True, True]  # without its first line
    assert (scores["prompt_level_strict_acc"], scores["prompt_level_loose_acc"]) == (False, True)
    assert ifeval.process_results(doc, [""])["inst_level_loose_acc"] == [False, False]
    assert ifeval.share_followed([[True, False], [True, True, True]]) == 0.8


def test_ifeval_needs_no_network_and_no_data_but_a_package(tmp_path):
    """With an empty home, in a namespace without a network where that can be made."""
    installed("langdetect", "immutabledict", "punkt")
    code = (
        "from smallwright_eval.verdicts import ifeval_checker as c;"
        "print(c.follow({'key': 1, 'prompt': 'x', 'instruction_id_list': ['length_constraints:number_sentences'],"
        "'kwargs': [{'relation': 'at least', 'num_sentences': 2}]}, 'Dr. Who came. He left.'))"
    )
    cut = ["unshare", "-rn"] if subprocess.run(["unshare", "-rn", "true"], capture_output=True).returncode == 0 else []
    done = subprocess.run(
        [*cut, sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "HOME": str(tmp_path), "NLTK_DATA": str(tmp_path / "none")},
    )
    assert done.stdout == "([True], [True])\n", done.stderr[-2000:]
    (folder,) = (tmp_path / ".cache" / "smallwright").iterdir()
    assert len(list(folder.rglob("*.t*"))) == 4


@pytest.mark.slow
def test_math_takes_every_gold_answer_for_equal_and_no_neighbours():
    installed("math_verify")
    rows = stored("math/math_test_dev")
    assert sum(all(maths.compare(row["chain_of_thought"], box(row["answer"]))) for row in rows) == 2451
    pairs = [(a["answer"], b["answer"]) for a, b in pairwise(rows) if a["answer"] != b["answer"]]
    assert [(a, b) for a, b in pairs if any(maths.compare(box(a), box(b)))] == []


@pytest.mark.parametrize(
    ("gold", "answer", "equal", "same"),
    [
        ("\\frac{1}{2}", "\\boxed{0.5}", True, True),
        ("\\frac12", "\\boxed{\\frac{1}{2}}", True, True),
        ("10,000", "\\boxed{10000}", True, False),
        ("x+1", "\\boxed{1+x}", True, False),
        ("2\\sqrt{2}", "\\boxed{\\sqrt{8}}", True, False),
        ("(1,2)", "\\boxed{(2,1)}", False, False),
        ("3", "\\boxed{4} no, \\boxed{3}", True, True),
        ("3", "\\boxed{3} no, \\boxed{4}", False, False),
        ("3", "The answer is 3.", True, False),
        ("3", "", False, False),
        ("3", "\\boxed{3", False, False),
    ],
)
def test_math_answers_are_compared_as_expressions_and_as_text(gold, answer, equal, same):
    installed("math_verify")
    assert maths.process_results({"solution": box(gold)}, [answer]) == {
        "math_verify": float(equal),
        "exact_match": float(same),
    }


def test_an_expression_that_never_ends_is_wrong_and_the_next_one_is_decided(monkeypatch, capsys):
    installed("math_verify")
    maths.compare(box("1"), box("1"))
    monkeypatch.setattr(maths.CHECKER, "seconds", 0.5)
    started = time.monotonic()
    assert maths.compare(box("2"), box("9^{9^{9}}")) == (False, False)
    assert time.monotonic() - started < 120
    assert "counted as wrong" in capsys.readouterr().out
    monkeypatch.undo()
    assert maths.compare(box("2"), box("2")) == (True, True)


def test_a_checker_that_raises_is_a_mistake_and_one_that_takes_all_memory_is_ended():
    with pytest.raises(RuntimeError, match="JSONDecodeError"):
        Checker("json").call("loads", "{")
    small = Checker("os", memory=1 << 28)
    with pytest.raises(OutOfBounds):
        small.call("urandom", 1 << 30)
    assert small.call("getcwd") == os.getcwd()


def test_a_fork_leaves_the_checker_of_its_parent_alone():
    checker = Checker("os")
    mine = checker.call("getpid")
    child = os.fork()
    if child == 0:
        other = checker.call("getpid")
        checker.close()
        os._exit(0 if other != mine else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert checker.call("getpid") == mine


@pytest.mark.parametrize(("answer", "right"), [("No", 1.0), (" No\n\n", 1.0), ("no", 0.0), ("No.", 0.0), ("", 0.0)])
def test_bbh_takes_the_answer_to_the_letter(answer, right):
    assert text.exactly_matched({"target": "No"}, [answer]) == {"exact_match": right}


def test_bbh_asks_as_smollm2_does_and_averages_its_subsets(tmp_path):
    path = DATA / "bbh" / "navigate.json.gz"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    folder = tmp_path / "lighteval__big_bench_hard" / "navigate"
    folder.mkdir(parents=True)
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = json.load(file)["examples"]
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = LMEvalConfig(tasks=("smollm2_bbh_navigate",), data_dir=str(tmp_path))
    manager = local_tasks.task_manager(settings, tmp_path / "work")
    task = manager.load(["smollm2_bbh_navigate"])["tasks"]["smollm2_bbh_navigate"]
    task.set_fewshot_seed(1234)
    task.build_all_requests(limit=20, rank=0, world_size=1)
    for request in task.instances:
        context = request.arguments[0]
        assert context.count("Question: ") == 4
        assert context.endswith(f"\n\nQuestion: {request.doc['input']}\nAnswer: ")
        assert context.count(request.doc["input"]) == 1
    own = local_tasks._own(LMEvalConfig())
    assert len(local_tasks.wanted(["smollm2_bbh"], own)) == 1 + 27


def test_packages_that_are_not_installed_are_named_while_planning(monkeypatch):
    monkeypatch.setitem(needs.PACKAGES, "ifeval", ("no_such_module",))
    with pytest.raises(MissingPluginError, match=r"smollm2_ifeval needs the package no_such_module.*\[generative\]"):
        needs.check({"task": "smollm2_ifeval", "metadata": {"needs": ["ifeval"]}}, LMEvalConfig(), "eval")
