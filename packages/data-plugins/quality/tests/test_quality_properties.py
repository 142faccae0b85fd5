"""Any text at all: every step accounts for it, none fails, none takes for ever."""

import signal

import pytest
from core.data.steps import StepContext
from datatrove.data import Document
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from smallwright_quality import config as settings
from smallwright_quality.corpus_statistics import LongDocuments, Statistics
from smallwright_quality.heuristics import C4Quality, FineWebQuality, GopherQuality
from smallwright_quality.language import Language
from smallwright_quality.pii import Pii
from smallwright_quality.repetition import GopherRepetition
from smallwright_quality.threshold import KeepProbability
from smallwright_quality.url import UrlFilter
from smallwright_quality.words import _WORDS, FastWords

OFF = dict.fromkeys(("min_doc_words", "max_doc_words", "min_avg_word_length", "max_avg_word_length"))
STEPS = [
    Language(settings.LanguageConfig()),
    Language(settings.LanguageConfig(languages=None, max_chars=None, top_k=3)),
    GopherRepetition(settings.GopherRepetitionConfig()),
    GopherQuality(settings.GopherQualityConfig()),
    GopherQuality(settings.GopherQualityConfig(**OFF)),
    C4Quality(settings.C4QualityConfig()),
    C4Quality(settings.C4QualityConfig(min_num_sentences=None, min_words_per_line=None, max_word_length=None)),
    FineWebQuality(settings.FineWebQualityConfig()),
    FineWebQuality(settings.FineWebQualityConfig(line_punct_thr=None, short_line_thr=None)),
    Pii(settings.PiiConfig()),
    Statistics(settings.StatisticsConfig()),
    LongDocuments(settings.LongDocumentsConfig(min_tokens=10, keep="long")),
    KeepProbability(settings.KeepProbabilityConfig()),
]
NAMES = [f"{number}-{type(step).__name__}" for number, step in enumerate(STEPS)]

any_text = st.text(st.characters(exclude_categories=()), max_size=300)
PIECES = [
    "the",
    "of",
    "Word",
    ".",
    "...",
    "…",
    "\n",
    "\n\n",
    " ",
    "\t",
    "\x00",
    "\ud800",
    "{",
    "[1]",
    "•",
    "-",
    "#",
    "@",
]
PIECES += [
    "a@b.c",
    "8.8.8.8",
    "lorem ipsum",
    "JavaScript",
    "use cookies",
    "水。",
    "\u2028",
    "\x85",
    "\x1c",
    "é",
    "İ",
    "ﬁ",
]
web_text = st.lists(st.sampled_from(PIECES), max_size=80).map("".join)
texts = st.one_of(any_text, web_text, st.builds(lambda text, times: text * times, web_text, st.integers(1, 30)))


def account(step, text, **metadata):
    """Run one document through; return the kept one, or None."""
    step.bind(StepContext(label="x", position=0, seed=0))
    kept = list(step.run(iter([Document(text=text, id="a", metadata={"int_score": 2, **metadata})])))
    assert not step._ledger.failed
    assert len(kept) + step._ledger.rejected.total() == step._ledger.received == 1
    return kept[0] if kept else None


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS, ids=NAMES)
@hypothesis_settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(text=texts)
@example(text="")
@example(text="\n" * 50)
@example(text="\x00" * 50)
@example(text="\ud800 word" * 50)
def test_every_text_is_accounted_for(step, text):
    kept = account(step, text)
    if kept is not None and not isinstance(step, (C4Quality, Pii)):
        assert kept.text == text
    if kept is not None and isinstance(step, C4Quality):
        assert kept.text.strip()


@pytest.mark.slow
@hypothesis_settings(max_examples=300, deadline=None)
@given(url=st.one_of(any_text, st.builds("http://{}/{}".format, any_text, any_text)))
@example(url="http://[")
@example(url="http://" + "a." * 5000)
def test_every_url_is_accounted_for(url):
    account(UrlFilter(settings.UrlFilterConfig()), "text", url=url)
    account(Statistics(settings.StatisticsConfig()), "text", url=url)


@pytest.mark.slow
@hypothesis_settings(max_examples=300, deadline=None)
@given(text=texts)
def test_words_are_those_of_the_pattern(text):
    assert FastWords().word_tokenize(text) == _WORDS.findall(text)


@pytest.mark.slow
@hypothesis_settings(max_examples=200, deadline=None)
@given(text=texts)
def test_masking_changes_nothing_but_addresses(text):
    kept = account(Pii(settings.PiiConfig(email_replacements=("",), ip_replacements=("",))), text)
    if "@" not in text and "." not in text:
        assert kept.text == text
    left = iter(text)
    assert all(sign in left for sign in kept.text)  # what is left stands in the text, in the same order


SIZE = 200_000
SECONDS = 2
"""CPU time of this process, so that a busy machine changes nothing. Linear work on ``SIZE`` signs takes a hundredth of
it, quadratic work several times as much: 4e10 comparisons."""
RUNS = ["x", "\n", " ", ".", "-", "=", "@", "a@", "a.", "1.", "1.1.1.", "[1", "[", "{", "\x00", "\ud800", "é", "水"]
RUNS += ["a\n", "?!", "a-b_", "A1+/", "http://a.b/", "word ", "\u2028", "• ", "…\n", "a@b.c ", "\n\n", "'a"]


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS, ids=NAMES)
def test_long_runs_of_anything_end(step):
    def hang(*_):
        raise TimeoutError(f"more than {SECONDS} seconds of work")

    previous = signal.signal(signal.SIGVTALRM, hang)
    try:
        for run in RUNS:
            for text in (
                run * (SIZE // len(run)),
                "x" * SIZE + run,
                "a b. " + run * (SIZE // len(run)) + "@example.org",
            ):
                signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
                account(step, text)
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, previous)
