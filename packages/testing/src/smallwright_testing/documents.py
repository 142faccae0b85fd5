"""Documents for the tests of data steps: ordinary ones, and what real crawls hold beside them.

A document here is plain data, the arguments of DataTrove's ``Document``.
"""

import json
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Given = dict[str, Any]
"""``text``, ``id`` and ``metadata`` of a document."""

HUGE = 300_000
"""Characters of the longest document."""

SENTENCES = (
    "The sum of the angles of a triangle is {n} degrees and that is easy to prove.",
    "To solve the equation we have to divide both sides by {n}.",
    "Let us start with the definition of a prime number such as {n}.",
    "A river carries sand and stones to the sea, with every flood a little more.",
    "It is known that the theorem holds for all numbers below {n}.",
    "She wrote a letter to the editor of the paper, who did not answer for {n} weeks.",
    "Bread is made of flour, water, salt and yeast, and of patience.",
    "For example, $x^2 + {n} = 0$ has no real solution.",
    "The function returns the first of {n} values that the list has.",
    "We have measured the speed of the train with two clocks.",
)


def plain_documents(count: int = 24, seed: int = 0) -> list[Given]:
    """Return ordinary English documents; every fourth is a copy of an earlier one, every sixth nearly one."""
    chance = random.Random(seed)
    texts: list[str] = []
    for place in range(count):
        if place % 4 == 3:
            texts.append(texts[place - 3])
        elif place % 6 == 4:
            texts.append(texts[place - 4].replace("number", "figure", 1) + " That is all.")
        else:
            said = [chance.choice(SENTENCES).format(n=chance.randrange(1000)) for _ in range(chance.randrange(8, 30))]
            texts.append("\n\n".join(" ".join(said[start : start + 5]) for start in range(0, len(said), 5)))
    return [
        {
            "text": text,
            "id": f"plain-{place}",
            "metadata": {
                "url": f"https://site{place % 5}.example.org/page/{place}",
                "language": ("en", "de")[place % 3 == 2],
                "score": place % 6,
                "source": f"source-{place % 2}",
            },
        }
        for place, text in enumerate(texts)
    ]


def nasty_documents() -> list[Given]:
    """Return documents that break careless steps; the id of each says what is wrong with it."""
    sentence = SENTENCES[0].format(n=180)
    texts = {
        "empty": "",
        "white-space": " \t\n\u00a0\u2003\n\n",
        "one-character": "a",
        "huge-line": "word " * (HUGE // 5),
        "huge-word": "x" * HUGE,
        "many-lines": "line\n" * (HUGE // 50),
        "lone-surrogate": f"{sentence} \ud800 and \udfff. {sentence}",
        "nul": f"\x00{sentence}\x00\x00{sentence}\x00",
        "control-characters": f"\x01\x07\x1b[31m{sentence}\x7f\x85\ufeff\ufffe{sentence}",
        "line-ends": f"{sentence}\r\n{sentence}\r{sentence}\u2028{sentence}\x0b\x0c{sentence}",
        "right-to-left": "מספר ראשוני הוא מספר טבעי \u202e" + sentence,
        "no-spaces": "素数とは、1とその数自身でしか割り切れない自然数である。" * 20,
        "combining": "e" + "\u0301" * 5000,
        "emoji": "👩\u200d👩\u200d👧 🇩🇪 " * 50,
        "punctuation": "?!.,;:-_#{}[]()<>$%&" * 100,
        "numbers": "1234567890 " * 200,
        "markup": "<div><p onclick='x()'>&amp;&#0;&bogus;<![CDATA[" * 40,
        "brackets": "(" * 20_000,
        "repeated": f"{sentence}\n" * 100,
        "format-string": "%s %d {0} {name} {{}} \\N{BULLET} ${x} {n:>999999}",
    }
    documents = [{"text": text, "id": f"text-{name}", "metadata": {}} for name, text in texts.items()]
    metadata: dict[str, dict[str, Any]] = {
        "url-none": {"url": None},
        "url-number": {"url": 5},
        "url-broken": {"url": "http://[::1"},
        "url-surrogate": {"url": "https://example.org/\ud83d"},
        "url-long": {"url": "https://example.org/" + "a/" * 5000},
        "score-text": {"score": "high", "label": "none", "int_score": []},
        "score-nan": {"score": float("nan"), "label": float("inf"), "int_score": float("-inf")},
        "score-giant": {"score": 10**400, "label": -(10**400), "int_score": 10**400},
        "language-list": {"language": ["en"], "source": {"a": 1}, "date": 0},
        "nested": {"a": {"b": [{"c": None}, [[[]]]]}, "list": list(range(100))},
        "strange-keys": {"": 1, "a.b": 2, "\u0000": 3, "key with spaces": "\ud800"},
    }
    text = plain_documents(1, seed=1)[0]["text"]
    documents += [
        {"text": f"{text} {name}", "id": f"metadata-{name}", "metadata": value} for name, value in metadata.items()
    ]
    return documents


def write_shards(folder: Path, documents: list[Given], shards: int) -> list[Path]:
    """Write ``documents`` as JSON lines in files of about equal size, in order, and return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    share = -(-len(documents) // shards)
    return [
        _write(folder / f"{shard:03d}.jsonl", documents[shard * share : (shard + 1) * share]) for shard in range(shards)
    ]


def _write(path: Path, documents: Iterable[Given]) -> Path:
    path.write_text("".join(json.dumps(document) + "\n" for document in documents), encoding="ascii")
    return path
