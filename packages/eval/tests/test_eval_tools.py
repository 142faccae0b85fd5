"""The tools for a paper's table: rows of other repositories as the hub has them, and scores beside published ones."""

import importlib.util
from importlib.resources import files
from pathlib import Path

import pytest
from core.compare import published

TOOLS = Path(__file__).resolve().parents[3] / "tools"


def load(name):
    if not (TOOLS / f"{name}.py").is_file():
        pytest.skip("the package is alone here, without the repository's tools")
    spec = importlib.util.spec_from_file_location(name, TOOLS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def tool():
    return load("eval_data")


def test_rows_get_the_columns_of_the_hub(tool):
    asked = {"query": "Question: What melts?", "choices": ["ice", "air"], "gold": 0}
    lettered = {"choices": {"text": ["ice", "air"], "label": ["A", "B"]}, "answerKey": "A"}
    assert tool.arc(asked) == {"question": "What melts?", **lettered}
    assert tool.openbookqa({**asked, "query": "Ice is"}) == {"question_stem": "Ice is", **lettered}
    assert tool.piqa({**asked, "query": "Question: Dry a cup\n"}) == {
        "goal": "Dry a cup", "sol1": "ice", "sol2": "air", "label": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("one", "other", "sentence"),
    [
        ("Ann met Bea as Ann", "Ann met Bea as Bea", "Ann met Bea as _ ran."),
        ("For the cup", "For the cap", "For the _ ran."),
        ("The blue cup", "The blue box", "The blue _ ran."),
    ],
)
def test_a_sentence_up_to_two_options_gets_its_gap_back(tool, one, other, sentence):
    row = tool.winogrande({"context_options": [one, other], "continuation": "ran.", "gold": 1})
    assert (row["sentence"], row["answer"]) == (sentence, "2")
    assert [row["sentence"].replace("_", row[option]) for option in ("option1", "option2")] == [
        f"{one} ran.", f"{other} ran.",
    ]  # fmt: skip


def test_a_score_is_near_within_two_errors_and_a_point():
    table = load("published_table")
    scores = [
        score
        for score in published.read(files("smallwright_eval") / "published/smollm2.yaml")
        if score.model == "SmolLM2-135M-Instruct"
    ]
    row = {"n": 500, "stderr": 0.01, "stderr_clustered": None}
    rows = {
        ("smollm2_piqa", "acc_norm"): {**row, "task": "smollm2_piqa", "value": 0.635},  # 66.3 was published
        ("smollm2_hellaswag", "acc_norm"): {**row, "task": "smollm2_hellaswag", "value": 0.37},  # 40.9
        ("smollm2_arc_easy", "acc_norm"): {**row, "task": "smollm2_arc_easy", "value": 0.457},
        ("smollm2_bbh_navigate", "exact_match"): {**row, "task": "smollm2_bbh_navigate", "value": 0.4},
        ("smollm2_bbh_snarks", "exact_match"): {**row, "task": "smollm2_bbh_snarks", "value": 0.2},
        ("smollm2_ifeval", "prompt_level_strict_acc"): {**row, "task": "smollm2_ifeval", "value": 0.2},
        ("smollm2_ifeval", "inst_level_strict_acc"): {
            **row,
            "task": "smollm2_ifeval",
            "value": 0.4,
            "stderr_clustered": 0.02,
        },
    }
    lines = table.table(scores, rows, 1.0)
    assert "| PIQA | 66.3 | 63.5 | 500 | 2.0 | near, 2.8 |" in lines
    assert "| HellaSwag | 40.9 | 37.0 | 500 | 2.0 | apart, 3.9 |" in lines
    assert "| ARC average | 37.3 | 45.7 | 500 | 2.0 | of smollm2_arc_easy alone |" in lines
    assert "| BBH | 28.2 | 30.0 | 500 | 1.4 | of 2 parts alone |" in lines
    assert "| IFEval average | 29.9 | 30.0 | 500 | 3.0 | near, 0.1 |" in lines
    assert "| MMLU cloze | 29.3 | | | | not asked |" in lines
    rows["smollm2_ifeval", "inst_level_strict_acc"] |= {"stderr": None, "stderr_clustered": None}
    assert "| IFEval average | 29.9 | 30.0 | 500 | 2.0 | near, 0.1 |" in table.table(scores, rows, 1.0)
