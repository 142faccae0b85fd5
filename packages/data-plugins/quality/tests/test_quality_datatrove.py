"""Decisions, reasons and texts of our heuristics against DataTrove's filters, on real and on made texts. Seconds: 8."""

import gzip
import json
import os
import random
from pathlib import Path

import pytest
from datatrove.data import Document
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)
from datatrove.pipeline.formatters import PIIFormatter
from smallwright_quality import config as settings
from smallwright_quality import repetition
from smallwright_quality.heuristics import C4Quality, FineWebQuality, GopherQuality
from smallwright_quality.pii import Pii
from smallwright_quality.repetition import GopherRepetition
from smallwright_quality.words import FastWords

SHARED = Path(os.environ.get("SMALLWRIGHT_SHARED", Path(__file__).resolve().parents[5] / "shared"))
PAIRS = {
    "gopher_repetition": (GopherRepetition, settings.GopherRepetitionConfig, GopherRepetitionFilter, {}),
    "gopher_quality": (GopherQuality, settings.GopherQualityConfig, GopherQualityFilter, {}),
    "c4_quality": (C4Quality, settings.C4QualityConfig, C4QualityFilter, {"filter_no_terminal_punct": False}),
    "fineweb_quality": (FineWebQuality, settings.FineWebQualityConfig, FineWebQualityFilter, {}),
}


def real_texts():
    """Pages, articles, books, code and mathematics, whole and in pieces, in many languages."""
    texts = []
    for path in sorted(SHARED.glob("data/web_text/*.gz")):
        with gzip.open(path, "rt") as file:
            texts += [json.loads(line)["text"] if ".jsonl" in path.name else line for line in file]
    with gzip.open(SHARED / "data/gutenberg/botchan.txt.gz", "rt") as file:
        book = file.read()
    texts += [book[start : start + 3000] for start in range(0, 60_000, 3000)]
    for path in sorted((SHARED / "data/extract_articles/html").glob("*.html*"))[:12]:
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rt", encoding="utf-8", errors="surrogateescape") as file:
            texts.append(file.read(20_000))  # mark-up as text: long lines, brackets, scripts
    return texts


def made_texts(count=400):
    """Texts that meet every rule: built of few words, symbols, repeated lines and broken signs."""
    rng = random.Random(5)
    words = ["the", "of", "river", "##", "...", "…", "-", "•", "{x}", "42", "a,b", "don't", "lorem ipsum", "=="]
    words += [
        "use cookies",
        "[1]",
        "end.",
        "what?",
        "“so”",
        "naïve",
        "水。",
        "x" * 1100,
        "\ud800",
        "\x00",
        "javascript",
    ]
    texts = ["", "\n", "\n\n\n", " \n ", "a", "\na\n", "a\n\na\n\na"]
    for _ in range(count):
        vocabulary = rng.sample(words, rng.randrange(1, 12)) + [f"w{i}" for i in range(rng.choice((3, 30, 300)))]
        vocabulary += rng.choice(([], ["the", "of", "and"] * 30, [rng.choice(words)] * 20))
        separators = [" "] * rng.choice((3, 12, 60)) + ["\n", ".\n", "\n\n", ". "]
        lines = "".join(rng.choice(vocabulary) + rng.choice(separators) for _ in range(rng.choice((20, 90, 400))))
        texts.append(lines * rng.choice((1, 1, 1, 2)))
    for number in range(2, 30):  # long lines of a few words; long words; bullets; lines that break off
        names = [f"{rng.choice('kmnprst')}{'ao' * number}{i}" for i in range(60)]
        texts += ["\n".join(f"{name} {name[::-1]}." for name in names), " the of ".join(names)]
        texts += [
            "\n".join(f"- the {name} of" for name in names),
            "\n".join(f"the {name} and of ..." for name in names),
        ]
        texts += [" ".join(f"the {name} of {'#' * (number % 3)} 1 2 3" for name in names)]
    return texts


def ours(step, text):
    """Return (verdict, reason, text) of one document."""
    step._ledger.rejected.clear()
    kept = list(step.process(iter([Document(text=text, id="a")]), 0, 1))
    assert not step._ledger.failed
    return (True, None, kept[0].text) if kept else (False, next(iter(step._ledger.rejected)), None)


def theirs(filter_, text):
    document = Document(text=text, id="a")
    verdict = filter_.filter(document)
    kept, reason = verdict if isinstance(verdict, tuple) else (verdict, None)
    return (True, None, document.text) if kept else (False, reason, None)


def compare(name, texts, language=None, **ours_only):
    step_class, config_class, filter_class, theirs_only = PAIRS[name]
    if issubclass(config_class, settings.LinesConfig):
        ours_only["lines"] = "lf"
    step = step_class(config_class(**ours_only))
    filter_ = filter_class(language=language or FastWords(), **theirs_only)
    reasons = set()
    for text in texts:
        if name != "gopher_repetition" and not text.strip():
            continue  # DataTrove divides by zero
        expected = theirs(filter_, text)
        if expected[0] and not expected[2]:
            continue
        assert ours(step, text) == expected, (name, text[:200])
        reasons.add(expected[1])
    return reasons


needs_texts = pytest.mark.skipif(not (SHARED / "data/web_text").is_dir(), reason=f"needs texts in {SHARED}/data")


@needs_texts
@pytest.mark.parametrize("name", PAIRS)
def test_same_as_datatrove_on_real_texts(name):
    assert len(compare(name, real_texts())) >= 2


@pytest.mark.slow
@pytest.mark.parametrize("name", PAIRS)
def test_same_as_datatrove_on_made_texts(name):
    seen = compare(name, made_texts())
    least = {"gopher_repetition": 8, "gopher_quality": 8, "c4_quality": 4, "fineweb_quality": 5}
    assert len(seen) >= least[name], seen


@pytest.mark.slow
def test_every_ngram_rule_is_met_alone():
    """Texts in which n-grams of each size repeat to every degree, with only that rule on, around its threshold."""
    rng = random.Random(1)
    for rule, n in [(f"top_{n}_gram", n) for n in (2, 3, 4)] + [(f"dup_{n}_gram", n) for n in range(5, 11)]:
        share = 0.04 if n < 5 else 0.1
        off = dict.fromkeys(("dup_line_frac", "dup_para_frac", "dup_line_char_frac", "dup_para_char_frac"))
        off |= {f"top_{m}_gram": None for m in (2, 3, 4)} | {f"dup_{m}_gram": None for m in range(5, 11)}
        step = GopherRepetition(settings.GopherRepetitionConfig(lines="lf", **(off | {rule: share})))
        numbers = {"top_n_grams": (), "dup_n_grams": ()} | {f"{rule[:3]}_n_grams": ((n, share),)}
        filter_ = GopherRepetitionFilter(
            language=FastWords(), dup_line_frac=None, dup_para_frac=None, dup_line_char_frac=None,
            dup_para_char_frac=None, **numbers,
        )  # fmt: skip
        verdicts = set()
        for _ in range(60):
            fresh = [f"{rng.choice('abcdefgh') * rng.randrange(1, 6)}{i}" for i in range(200)]
            block = fresh[: n + rng.randrange(3)]
            for _ in range(rng.randrange(25)):
                place = rng.randrange(len(fresh))
                fresh[place:place] = block
            text = " ".join(fresh)
            assert ours(step, text) == theirs(filter_, text)
            verdicts.add(ours(step, text)[0])
        assert verdicts == {True, False}, rule


def test_words_that_join_to_the_same_string_are_repeats_there_and_here():
    """DataTrove joins n-grams without spaces: ``ab c`` repeats ``a bc``. No shortcut may lose that."""
    parts = [("ab c d e f", "a bc d e f"), ("w x yz q r", "w xy z q r")]
    text = " ".join(f"{first} k{i} {second} m{i}" for i, (first, second) in enumerate(parts))
    step = GopherRepetition(settings.GopherRepetitionConfig(top_2_gram=None, top_3_gram=None, top_4_gram=None))
    filter_ = GopherRepetitionFilter(language=FastWords(), top_n_grams=())
    assert ours(step, text) == theirs(filter_, text) == (False, "duplicated_5_n_grams", None)


def test_texts_beyond_the_hashed_length_are_decided_alike(monkeypatch):
    texts = [text for text in made_texts(60) if text]
    before = [ours(GopherRepetition(settings.GopherRepetitionConfig()), text) for text in texts]
    monkeypatch.setattr(repetition, "LARGEST_HASHED", 10)
    assert [ours(GopherRepetition(settings.GopherRepetitionConfig()), text) for text in texts] == before


@needs_texts
def test_spacy_words_are_datatroves():
    pytest.importorskip("spacy")
    for name in PAIRS:
        compare(name, real_texts()[:12], language="eng", words="spacy")


@needs_texts
def test_pii_is_datatroves():
    ours_, formatter = Pii(settings.PiiConfig(lookalikes="mask")), PIIFormatter()
    rng = random.Random(2)
    marks = ["joe@foo.org", "a.b+c@mail.example.co.uk", "8.8.8.8", "10.0.0.1", "192.168.1.1", "1.2.3", "@home", "x@y",
             "<b@c.de>,d@e.fr", "m@[1.2.3.4]", "01.02.03.04", "127.0.0.1:80", "!bang@x.org", "-dash@x.org"]  # fmt: skip
    changed = 0
    for text in real_texts():
        words = text.split(" ")
        for mark in rng.sample(marks, 4):
            words.insert(rng.randrange(len(words) + 1), mark)
        text = " ".join(words)
        formatter.emails_replacer._replace_i = formatter.ip_replacer._replace_i = 0
        expected = formatter.format(text)
        assert ours_.process_document(Document(text=text, id="a")).text == expected
        changed += expected != text
    assert changed > 100
