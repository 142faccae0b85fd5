"""From tokens artifacts to the feed: what is opened, and what it takes."""

import dataclasses
import json

import numpy as np
import pytest
from core.errors import InputError
from core.token_files import NPY_HEADER, TOKENS_A_FILE, TokenFile, TokenIndex
from smallwright_pretrain.sources import Sources
from smallwright_testing.tokens import write_tokens


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stage:
    name: str = "all"
    mixture: dict | None = None
    seq_len: int = 16
    sequences: int = 100
    round: int = 1


def write_large(folder, tokens: int, documents: int):
    """Write an index of sparse files, which hold nothing: it can be opened, and nothing of it be read."""
    folder.mkdir()
    files = []
    for number, first in enumerate(range(0, tokens, TOKENS_A_FILE)):
        count = min(TOKENS_A_FILE, tokens - first)
        own = count * documents // tokens
        name = f"train-{number:05d}.bin"
        files.append(TokenFile(name=name, split="train", tokens=count, documents=own, sha256="", starts_sha256=""))
        for path, size in ((folder / name, 2 * count), (folder / files[-1].starts_name, NPY_HEADER + 4 * own)):
            with path.open("wb") as file:
                file.truncate(size)
    TokenIndex(tokenizer="", dtype="uint16", files=tuple(files)).save(folder)
    write_tokens(meta := folder / "meta")
    content = json.loads((meta / "meta.json").read_text())
    content |= {"train_tokens": tokens, "train_documents": sum(file.documents for file in files)}
    (folder / "meta.json").write_text(json.dumps(content))
    return folder


@pytest.fixture(scope="module")
def hundred_billion(tmp_path_factory):
    folder = tmp_path_factory.mktemp("large")
    return {
        "web": write_large(folder / "web", 90_000_000_000, 90_000_000),
        "code": write_large(folder / "code", 10_000_000_000, 3_000_000),
    }


SIZES = [90_000_000_000 // 2048, 10_000_000_000 // 2048]


def test_a_hundred_billion_tokens_are_opened_and_located_in_a_few_megabytes(hundred_billion, peak_memory):
    stage = Stage(mixture={"web": 0.9, "code": 0.1}, seq_len=2048, sequences=10**9)

    def locate():
        return Sources(hundred_billion, [stage]).feed(seed=1).locate(0, np.arange(10**8, 10**8 + 1000))

    located = locate()
    assert peak_memory(locate) < 5e6
    assert (located.window_N < np.array(SIZES)[located.source_N]).all()
    assert np.bincount(located.source_N).tolist() == [900, 100]


def test_without_a_mixture_an_epoch_is_each_window_once_however_many_there_are(hundred_billion):
    feed = Sources(hundred_billion, [Stage(seq_len=2048, sequences=10**9)]).feed(seed=1)
    assert feed.drawn(0, sum(SIZES)).tolist() == SIZES
    half = feed.drawn(0, sum(SIZES) // 2)
    assert np.abs(half - np.array(SIZES) / 2).max() < 3


def test_a_corpus_in_two_views_is_two_sources_of_one_size(tmp_path):
    folder = write_tokens(tmp_path / "books", [[1] * 100, *[[1] * 10] * 30])
    stages = [Stage(mixture={"books": 1}), Stage(mixture={"books": {"share": 1, "view": "long"}}, seq_len=32)]
    sources = Sources({"books": folder}, stages)
    feed = sources.feed(seed=1)
    assert feed.names == ("books", "books (long)")
    assert [sources.corpus(name) for name in feed.names] == ["books", "books"]
    assert [dict(source.windows) for source in feed.sources] == [{16: 24}, {32: 3}]
    assert sources.tokens("books") == 400


def test_without_tokens_it_is_said_what_is_missing():
    with pytest.raises(InputError, match="needs token files"):
        Sources({}, [Stage()])
