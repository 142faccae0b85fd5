"""The published numbers of DCLM-Edu, and the order of its steps."""

from importlib.resources import files

import pytest
from omegaconf import OmegaConf


@pytest.fixture(scope="module")
def steps():
    return OmegaConf.create(files("smallwright_dclm_edu.conf").joinpath("data/dclm_edu.yaml").read_text()).steps


def test_order_is_pool_dedup_filter_scores(steps):
    labels = list(steps)
    order = ["extract", "gopher_quality", "bloom_dedup", "dclm_filter", "classifier", "keep_probability"]
    assert [label for label in labels if label in order] == order


def test_published_numbers(steps):
    assert steps.extract.extractor == "resiliparse"  # DCLM §4.1
    assert (steps.bloom_dedup.ngram, steps.bloom_dedup.threshold) == (13, 0.8)
    assert steps.dclm_classifier.word_ngrams == 2  # DCLM §4.4
    probabilities = steps.keep_probability.probabilities  # SmolLM2 §6: 0 dropped, 1 and 2 downsampled, the rest kept
    assert probabilities[0] == 0.0
    assert 0 < probabilities[1] < probabilities[2] < probabilities[3] == 1.0
