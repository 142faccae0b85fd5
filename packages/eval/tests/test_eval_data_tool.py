"""``tools/eval_data.py``: rows of other repositories with the columns that the hub gives them."""

import importlib.util
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[3] / "tools/eval_data.py"


@pytest.fixture(scope="module")
def tool():
    if not TOOL.is_file():
        pytest.skip("the package is alone here, without the repository's tools")
    spec = importlib.util.spec_from_file_location("eval_data", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
