"""What a reply says: the score, or why there is none.

A constrained reply always parses. An unconstrained one is read as JSON, else by its last score line, in the ways that
judges are asked to write it: ``Score: 3``, ``**Educational score:** 3/5``, ``[RESULT] 3``, ``Total points: 3``.
"""

import json
import math
import re
from typing import Any

LABELLED = "labelled"
REFUSED = "refused"
CUT_OFF = "reply cut off"
UNPARSED = "no score in the reply"
OUTSIDE = "score outside the scale"
NO_ANSWER = "no answer"
BAD_REQUEST = "request refused by the server"
NO_PROMPT = "no prompt for this document"

KEPT_REPLY_CHARS = 2000
READ_CHARS = 10_000
"""Characters at the end of a reply in which a score line is looked for: on more the patterns would take long."""
STRUCTURE_CHARS = len('{"reason": "", "score": 10}')
"""Characters of a constrained reply beside its reason."""

ASK_DIGIT = "Answer with the number of points alone: from 0 to {scale}."
ASK_JSON = (
    'Answer with one JSON object: {"reason": "<at most 100 words on the points given and not given>", '
    '"score": <points, from 0 to {scale}>}.'
)
ASK_JSON_SCORE = 'Answer with one JSON object: {"score": <points, from 0 to {scale}>}.'
ASK_TEXT = (
    "First say in at most 100 words which points you give and which you do not. Then end with a line of exactly this "
    "form:\nScore: <points, from 0 to {scale}>"
)
ASK_TEXT_SCORE = "Answer with one line of exactly this form:\nScore: <points, from 0 to {scale}>"
ASK_AGAIN = "Your answer had no score that can be read. Answer with one line alone: Score: <points, from 0 to {scale}>"

# Only a refusal of the whole task counts: "I cannot give the fourth point" is a reason.
REFUSAL = re.compile(
    r"\b(?:i|we)(?:['’]m| am| are)? ?(?:cannot|can['’]?t|can not|could not|(?:am |are )?(?:unable|not able|"
    r"not willing) to|won['’]t|will not|must decline to|decline to)(?: \w+){0,2} "
    r"(?:rate|assist|help|comply|evaluate|assess|judge|review|score|process|answer|fulfil|fulfill|complete|continue|"
    r"engage|respond|do (?:that|this)|provide (?:a|the|any) (?:score|rating|answer|assessment|evaluation))\b"
    r"|\A\W*(?:i['’]m sorry|i am sorry|sorry|i apologi[sz]e)\b",
    re.I,
)
THINKING = re.compile(r"\A\s*<think>.*?(?:</think>|\Z)", re.DOTALL)
NUMBER = r"(?P<score>\d+(?:\.\d+)?)(?!\w|\.\d)"
OF_SCALE = r"(?:\s*(?:/|out of)\s*(?P<of>\d+)(?!\w))?"
# an en dash or "to" after the number makes a range, which is no score
SCORE_LINE = re.compile(
    r"(?:"
    r"\b(?:score|rating|grade|points|total|result)\b[*_`\"'’\])]*\s*(?::|=|->|→)[*_`\"'(\[<\s]*"
    r"|\[result\]\s*[*_`\"'(\[<:]*\s*"
    r"|(?:^|\n)[^\S\n]*[*_#>]*[^\S\n]*(?:\w+[^\S\n]+){0,2}(?:score|rating)[^\S\n]+(?:is[^\S\n]+|of[^\S\n]+)?[*_]*"
    r")" + NUMBER + OF_SCALE + r"(?P<range>\s*(?:-|–|to\b|or\b)\s*\d)?",
    re.I,
)
SCORE_WORDS = re.compile(r"(?:\A|(?<=[.!?:\n]))[^\w\n.!?]*(?:\w+\s+){0,3}\Z")


def reply_pattern(scale: int, chars: int) -> str:
    """Return the regular expression that a reply with a reason of at most ``chars`` characters must match."""
    # printable ASCII without quote and backslash: nothing is escaped, and each token is at least one character
    scores = "|".join(str(score) for score in range(scale + 1))
    return r'\{"reason": "[ !#-\[\]-~]{1,' + str(chars) + r'}", "score": (' + scores + r")\}"


def response_format(scale: int, justification: bool, chars: int) -> dict[str, Any]:
    """Return OpenAI's ``response_format`` for a reply with a score from 0 to ``scale``."""
    score = {"type": "integer", "enum": list(range(scale + 1))}
    properties: dict[str, Any] = {"score": score}
    if justification:
        properties = {"reason": {"type": "string", "maxLength": chars}, "score": score}  # the reason comes first
    schema = {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
    return {"type": "json_schema", "json_schema": {"name": "rating", "strict": True, "schema": schema}}


def asking(scale: int, justification: bool, structured: bool) -> str:
    """Return the words that ask for the reply."""
    ask = {
        (True, True): ASK_JSON,
        (True, False): ASK_JSON_SCORE,
        (False, True): ASK_TEXT,
        (False, False): ASK_TEXT_SCORE,
    }[structured, justification]
    return ask.replace("{scale}", str(scale))


def read_reply(text: str, scale: int, finish: str | None = None) -> dict[str, Any]:
    """Return the record of one reply.

    Args:
        text: What the model wrote.
        scale: Highest score.
        finish: The engine's ``finish_reason``; ``length`` tells a reply cut off from one without a score.

    Returns:
        ``label`` (int or None) and ``outcome``; ``reason`` where the model gave one; ``reply`` (raw, at most 2,000
        characters) where there is no label.
    """
    answer = THINKING.sub("", text).strip()
    found, reason = _score(answer, scale)
    if finish == "content_filter" or ((found is None or reason) and REFUSAL.search((reason or answer)[:300])):
        return _without(REFUSED, text, reason)
    if found is None:
        return _without(CUT_OFF if finish == "length" else UNPARSED, text, reason)
    if not (found.is_integer() and 0 <= found <= scale):
        return _without(OUTSIDE, text, reason)
    return {"label": int(found), "outcome": LABELLED, **({"reason": reason} if reason else {})}


def read_score(text: str, scale: int) -> float | None:
    """Return the number of the last score line of a text, or None. It may lie outside the scale."""
    last = _last_line(text)
    if last is None or last["range"] or (last["of"] is not None and last["of"].lstrip("0") != str(scale)):
        return None
    return float(last["score"])


def _last_line(text: str) -> re.Match[str] | None:
    return max(SCORE_LINE.finditer(text), key=re.Match.start, default=None)


def _score(answer: str, scale: int) -> tuple[float | None, str | None]:
    """Return score and reason of a reply in JSON or in words."""
    start, end = answer.find("{"), answer.rfind("}")
    if 0 <= start < end:
        try:
            # models put line breaks and other control characters into strings
            value = json.loads(answer[start : end + 1], strict=False)
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, dict) and "score" in value:
            reason = value.get("reason")
            return _number(value["score"]), str(reason).strip() if reason else None
    answer = answer[-READ_CHARS:]
    bare = answer.strip("*_`. \n")
    if re.fullmatch(r"\d{1,3}", bare):
        return float(bare), None
    last = _last_line(answer)
    reason = SCORE_WORDS.sub("", answer[: last.start()]).strip(" \n*_#") if last is not None else ""
    return read_score(answer, scale), reason or None


def _number(value: Any) -> float | None:
    if isinstance(value, str) and re.fullmatch(r"\s*\d{1,3}(?:\.\d+)?\s*", value):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if abs(value) < 1e6 else math.inf


def _without(outcome: str, text: str, reason: str | None) -> dict[str, Any]:
    record = {"label": None, "outcome": outcome, "reply": text[:KEPT_REPLY_CHARS]}
    return record | ({"reason": reason} if reason else {})
