"""The published numbers of FineWeb and FineWeb-Edu, and the order of their steps."""

from importlib.resources import files

import pytest
from omegaconf import OmegaConf


def recipe(name):
    return OmegaConf.create(files("smallwright_fineweb.conf").joinpath(f"data/{name}.yaml").read_text())


@pytest.fixture(scope="module")
def steps():
    return recipe("fineweb").steps


def test_order_is_that_of_the_paper(steps):
    order = ["read", "url_filter", "extract", "language", "gopher_repetition", "gopher_quality", "c4_quality"]
    assert list(steps)[: len(order)] == order
    assert list(steps)[len(order) :] == ["fineweb_quality", "minhash", "pii", "statistics"]


def test_heuristics(steps):  # FineWeb §3.3 to §3.6, Gopher table A1
    repetition = {key: value for key, value in steps.gopher_repetition.items() if key != "use"}
    assert repetition == {
        "dup_line_frac": 0.30,
        "dup_para_frac": 0.30,
        "dup_line_char_frac": 0.20,
        "dup_para_char_frac": 0.20,
        "top_2_gram": 0.20,
        "top_3_gram": 0.18,
        "top_4_gram": 0.16,
        **{f"dup_{n}_gram": share for n, share in zip(range(5, 11), (0.15, 0.14, 0.13, 0.12, 0.11, 0.10), strict=True)},
    }
    quality = steps.gopher_quality
    assert (quality.min_doc_words, quality.max_doc_words, quality.min_alpha_words_ratio) == (50, 100_000, 0.8)
    assert not steps.c4_quality.filter_no_terminal_punct
    assert steps.c4_quality.filter_curly_bracket
    rules = steps.fineweb_quality
    assert (rules.line_punct_thr, rules.short_line_thr, rules.char_duplicates_ratio) == (0.12, 0.67, 0.01)


def test_extraction_language_and_dedup(steps):
    assert (steps.extract.extractor, steps.extract.favour) == ("trafilatura", "precision")
    assert (list(steps.language.languages), steps.language.threshold) == (["en"], 0.65)
    assert (steps.minhash.bands, steps.minhash.rows, steps.minhash.ngram) == (14, 8, 5)
    assert steps.minhash.keep == "random"


def test_the_educational_variant_adds_a_classifier_and_its_threshold():
    edu = recipe("fineweb_edu")
    assert edu.defaults[0] == "fineweb"
    assert list(edu.steps) == ["label", "classifier", "threshold", "statistics_kept"]
    assert (edu.steps.threshold.key, edu.steps.threshold.minimum) == ("int_score", 3)
