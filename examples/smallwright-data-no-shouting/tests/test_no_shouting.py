"""The step ``no_shouting``: what every step must hold, and what this one keeps and rejects."""

import pytest
from core.data.steps import Rejection
from datatrove.data import Document
from smallwright_testing import StepConformance

from smallwright_no_shouting.config import NoShoutingConfig
from smallwright_no_shouting.steps import NoShouting


class TestNoShoutingConformance(StepConformance):
    plugin = "no_shouting"
    settings = {"longest_run": 2}
    wrong_settings = {"longest_run": {"longest_run": 0}, "max_share": {"max_share": 2.0}}


@pytest.mark.parametrize(
    "text", ["Two and two are four.", "1 + 1 = 2", "", "I A B c", "NASA and ESA fly", "ÀÉ are two"]
)
def test_calm_documents_are_kept(text):
    document = Document(text=text, id="1")
    assert NoShouting(NoShoutingConfig()).process_document(document) is document


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("BUY NOW or weep", "mostly capitals"),
        ("calm words, " * 20 + "BUY IT NOW", "a long run of capitals"),
    ],
)
def test_shouting_is_rejected(text, reason):
    step = NoShouting(NoShoutingConfig(longest_run=2, max_share=0.4))
    with pytest.raises(Rejection, match=reason):
        step.process_document(Document(text=text, id="1"))
