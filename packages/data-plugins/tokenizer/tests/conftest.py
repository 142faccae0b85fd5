"""A small corpus and a tokenizer trained on it, for the tests of both stages."""

import random
import sys
from pathlib import Path

import pytest

HERE = str(Path(__file__).parent)
if HERE not in sys.path:
    sys.path.insert(0, HERE)

from tokenizer_support import HOSTILE, train, write_corpus  # noqa: E402


@pytest.fixture(scope="session")
def texts():
    generator = random.Random(7)
    words = ["".join(generator.choices("abcdefghij", k=generator.randrange(2, 9))) for _ in range(300)]
    pages = [" ".join(generator.choices(words, k=60)) + f" = {generator.randrange(10**6)}\n" for _ in range(80)]
    return [*pages, HOSTILE, ""]


@pytest.fixture(scope="session")
def corpus(texts, tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("corpus"), texts)


@pytest.fixture(scope="session")
def tokenizer(corpus, tmp_path_factory):
    output = tmp_path_factory.mktemp("tokenizer")
    train(corpus, output)
    return output
