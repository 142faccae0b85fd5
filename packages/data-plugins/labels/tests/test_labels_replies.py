"""Replies are read: constrained and free ones, refusals, what was cut off, and the texts of a real judge."""

import gzip
import json
import os
import re
from pathlib import Path

import pytest
from smallwright_labels.replies import (
    CUT_OFF,
    LABELLED,
    OUTSIDE,
    REFUSED,
    UNPARSED,
    asking,
    read_reply,
    reply_pattern,
    response_format,
)

SHARED = Path(os.environ.get("SMALLWRIGHT_SHARED", Path(__file__).resolve().parents[4].parent / "shared"))
JUDGED = SHARED / "data/llm_scores/vicuna_eval.jsonl.gz"

FORMS = {
    "score line": "{feedback}\n\nScore: {score}",
    "FineWeb-Edu's": "{feedback}\n\nEducational score: {score}",
    "bold": "{feedback}\n\n**Score:** {score}",
    "of the scale": "{feedback}\n\nFinal score: **{score}/5**",
    "in words": "{feedback}\nTotal points: {score} out of 5.",
    "the judge's own": "Feedback: {feedback} [RESULT] {score}",
    "reason first in JSON": '{{"reason": {quoted}, "score": {score}}}',
    "fenced JSON": '```json\n{{"score": {score}, "reason": {quoted}}}\n```',
    "after thinking": "<think>Perhaps score: 1. Or score: 5?</think>{feedback}\nScore: {score}",
}


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("3", 3),
        (" 4.\n", 4),
        ("**2**", 2),
        ("Score: 3", 3),
        ("score = 0", 0),
        ("Score: 1\nOn second thought, score: 2", 2),
        ("The score is 4.", 4),
        ("> **Rating:** `5`", 5),
        ("[RESULT] (3)", 3),
        ('{"reason": "clear steps", "score": 4}', 4),
        ('{"reason": "a line\nand a tab\t", "score": "4"}', 4),
        ('Here it is: {"score": 2.0} as asked', 2),
        ('{"reason": "it says {x} and \\"y\\"", "score": 1}', 1),
        ('{"reason": "cut after", "score": 3', 3),
    ],
)
def test_scores_are_read(text, label):
    record = read_reply(text, 5)
    assert (record["label"], record["outcome"]) == (label, LABELLED)
    assert type(record["label"]) is int
    assert "reply" not in record


@pytest.mark.parametrize(
    ("text", "finish", "outcome"),
    [
        ("", "stop", UNPARSED),
        ('{"reason": "clear ste', "stop", UNPARSED),
        ('{"reason": "clear ste', "length", CUT_OFF),
        ("<think>score: 3, I think, because", "length", CUT_OFF),
        ("A fine page of 5 sections.", "stop", UNPARSED),
        ("It does not deserve a score of 5 as the rubric has it.", "stop", UNPARSED),
        ("Score: 3-4", "stop", UNPARSED),
        ("Score: 3 or 4", "stop", UNPARSED),
        ("Score: 6/10", "stop", UNPARSED),
        ("Score: 3rd", "stop", UNPARSED),
        ("Score: 9", "stop", OUTSIDE),
        ("Score: 3.5", "stop", OUTSIDE),
        ('{"reason": "x", "score": -1}', "stop", OUTSIDE),
        ('{"reason": "x", "score": 1' + "0" * 400 + "}", "stop", OUTSIDE),
        ('{"reason": "x", "score": NaN}', "stop", OUTSIDE),
        ("Score: 3/" + "5" * 5000, "stop", UNPARSED),
        ('{"reason": "x", "score": true}', "stop", UNPARSED),
        ('{"reason": "x", "score": null}', "stop", UNPARSED),
        ("[" * 50_000 + "{" + "[" * 50_000 + "}", "stop", UNPARSED),
        ("I'm sorry, but I can't help with that.", "stop", REFUSED),
        ("I cannot rate this page, as it has no text.", "stop", REFUSED),
        ('{"reason": "I am unable to rate this page.", "score": 0}', "stop", REFUSED),
        ("anything", "content_filter", REFUSED),
    ],
)
def test_replies_without_a_score_say_why(text, finish, outcome):
    record = read_reply(text, 5, finish)
    assert (record["label"], record["outcome"]) == (None, outcome)
    assert record["reply"] == text[:2000]


@pytest.mark.parametrize(
    "reason",
    [
        "I cannot give the fourth point: there are no steps.",
        "I can't award more, as it does not explain how to rate the answer.",
        "The author is sorry for the delay; one point.",
        "We cannot say that it argues clearly.",
    ],
)
def test_a_point_not_given_is_no_refusal(reason):
    assert read_reply(json.dumps({"reason": reason, "score": 3}), 5)["label"] == 3
    assert read_reply(f"{reason}\nScore: 3", 5) == {"label": 3, "outcome": LABELLED, "reason": reason}


def test_the_scale_is_the_prompts():
    assert read_reply("Score: 4", 3)["outcome"] == OUTSIDE
    assert read_reply("Score: 3/3", 3)["label"] == 3
    assert read_reply("Score: 10", 10)["label"] == 10


def test_what_is_asked_for_admits_what_is_read():
    reply = '{"reason": "One point: it has 3 + 4 = 7.", "score": 1}'
    assert re.fullmatch(reply_pattern(5, 100), reply)
    assert not re.fullmatch(reply_pattern(5, 10), reply)
    assert not re.fullmatch(reply_pattern(3, 100), reply.replace("1}", "4}"))
    schema = response_format(3, True, 100)["json_schema"]["schema"]
    assert list(schema["properties"]) == ["reason", "score"]
    assert schema["properties"]["score"]["enum"] == [0, 1, 2, 3]
    assert list(response_format(3, False, 100)["json_schema"]["schema"]["properties"]) == ["score"]
    for justification in (True, False):
        for structured in (True, False):
            assert "from 0 to 3" in asking(3, justification, structured)


@pytest.mark.skipif(not JUDGED.is_file(), reason="the judge's texts are not on this machine")
@pytest.mark.parametrize("form", FORMS)
def test_real_judgements_parse_in_every_form_that_judges_are_asked_for(form):
    judgements = read_judgements()
    assert len(judgements) == 960
    read = [
        read_reply(FORMS[form].format(feedback=feedback, score=score, quoted=json.dumps(feedback)), 5)["label"]
        for feedback, score in judgements
    ]
    assert read == [score for _, score in judgements]


@pytest.mark.skipif(not JUDGED.is_file(), reason="the judge's texts are not on this machine")
def test_no_score_is_invented_for_real_judgements_that_state_none():
    """64 of the 960 speak of scores in passing, such as "required by a score of 5"."""
    records = [read_reply(feedback, 5) for feedback, _ in read_judgements()]
    assert [record["label"] for record in records] == [None] * 960
    assert {record["outcome"] for record in records} == {UNPARSED}


def read_judgements():
    with gzip.open(JUDGED, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return [pair for row in rows for pair in zip(row["gpt4_feedback"], row["gpt4_score"], strict=True)]
