"""What is read of a tokens artifact, over the borders of its files, and what is refused."""

import itertools
import json
import os
import time
from pathlib import Path

import numpy as np
import pytest
from core import token_files
from core.errors import InputError
from core.token_files import TokenFile, TokenIndex, TokenShards
from smallwright_testing.tokens import write_tokens

DOCUMENTS = [[5, 6, 7, 0], [8, 0], [9, 10, 11, 12, 13, 0], [0], [14, 15, 0], [16, 17, 18, 0], [19, 0]]
STREAM = [*itertools.chain.from_iterable(DOCUMENTS)]
STARTS = [*itertools.accumulate((len(document) for document in DOCUMENTS[:-1]), initial=0)]


@pytest.fixture(params=[6, 7, 100])
def tokens(request, tmp_path):
    """The documents in several files, or in one."""
    return write_tokens(tmp_path / "tokens", DOCUMENTS, [[1, 2, 0]], tokens_a_file=request.param)


def test_any_part_of_the_stream_is_read_over_the_borders_of_files(tokens):
    shards = TokenShards(tokens, "train")
    assert (shards.tokens, shards.documents, len(TokenShards(tokens, "validation").files)) == (22, 7, 1)
    for start, stop in itertools.combinations_with_replacement(range(len(STREAM) + 3), 2):
        ids = shards.read(start, stop)
        assert (ids.dtype, ids.tolist()) == (np.int64, STREAM[start:stop])
        assert shards.starts(start, stop).tolist() == [place for place in STARTS if start <= place < stop]
    assert np.concatenate([*shards.chunks(4)]).tolist() == STREAM


def test_lengths_and_starts_of_documents_are_those_of_each_file(tokens):
    shards, before = TokenShards(tokens, "train"), 0
    for place, lengths in enumerate(shards.lengths()):
        own, starts = DOCUMENTS[before : before + len(lengths)], [*STARTS[before:], len(STREAM)]
        assert lengths.tolist() == [len(document) for document in own]
        for first, count in itertools.product(range(len(own)), (1, 2, 9)):
            upto = min(first + count, len(own)) + 1
            assert shards.starts_of(place, first, count).tolist() == starts[first:upto]
        before += len(lengths)
    assert before == len(DOCUMENTS)


def test_documents_are_those_that_were_written(tokens):
    shards = TokenShards(tokens, "train")
    assert [shards.document(index).tolist() for index in range(shards.documents)] == DOCUMENTS
    for index in (-1, 7):
        with pytest.raises(IndexError, match=f"document {index} of 7"):
            shards.document(index)


def test_a_split_without_files_is_an_empty_stream(tmp_path):
    shards = TokenShards(write_tokens(tmp_path, [], [[1, 0]]), "train")
    assert (shards.tokens, shards.documents) == (0, 0)
    assert shards.read(0, 5).tolist() == shards.starts(0, 5).tolist() == [*shards.chunks()] == []


def _cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 2)


def _edit(folder: Path, **changes: object) -> None:
    path = folder / token_files.INDEX
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


HARM = {
    "cut": (
        lambda folder: _cut(folder / "train-00001.bin"),
        "12 bytes, but index.json says 7 tokens",
    ),
    "cut starts": (
        lambda folder: _cut(folder / "train-00000.starts.npy"),
        "134 bytes, but index.json says 2 docu",
    ),
    "gone": (lambda folder: (folder / "train-00001.bin").unlink(), "train-00001.bin: missing"),
    "no index": (lambda folder: (folder / "index.json").unlink(), "index.json: missing"),
    "no JSON": (lambda folder: (folder / "index.json").write_text("{"), "index.json: damaged"),
    "later": (lambda folder: _edit(folder, format=99), "format 99, and this version reads 1"),
    "type": (lambda folder: _edit(folder, dtype="int8"), "index.json: damaged"),
    "fewer": (lambda folder: _edit(folder, files=[]), "0 tokens in 0 documents of train, and meta.json 22 in 7"),
}


@pytest.mark.parametrize("harm", HARM)
def test_a_damaged_artifact_is_refused_with_what_is_wrong(tmp_path, harm):
    write_tokens(tmp_path, DOCUMENTS, [[1, 2, 0]], tokens_a_file=7)
    do, message = HARM[harm]
    do(tmp_path)
    with pytest.raises(InputError, match=message):
        TokenShards(tmp_path, "train")


def test_names_that_lead_out_of_the_folder_are_refused(tmp_path):
    index = TokenIndex.load(write_tokens(tmp_path, DOCUMENTS, [[1, 2, 0]]))
    _edit(tmp_path, files=[{**vars(index.files[0]), "name": "../train-00000.bin"}])
    with pytest.raises(InputError, match="damaged"):
        TokenIndex.load(tmp_path)


def test_content_is_compared_with_its_checksums(tmp_path):
    index = TokenIndex.load(write_tokens(tmp_path, DOCUMENTS, [[1, 2, 0]], tokens_a_file=7))
    index.check_content(tmp_path)
    (tmp_path / "train-00001.bin").write_bytes(bytes(14))
    with pytest.raises(InputError, match=r"train-00001\.bin: damaged"):
        index.check_content(tmp_path)


def test_a_file_that_was_made_anew_is_read_anew(tmp_path):
    first = TokenShards(write_tokens(tmp_path, [[1, 2, 0]], [[3, 0]]), "train")
    assert first.read(0, 3).tolist() == [1, 2, 0]
    (tmp_path / "train-00000.bin").unlink()
    second = TokenShards(write_tokens(tmp_path, [[4, 5, 0]], [[3, 0]]), "train")
    assert second.read(0, 3).tolist() == [4, 5, 0]


def test_digests_of_tokenizers_differ_where_their_ids_do(tmp_path):
    content = {"model": {"vocab": {"a": 0, "b": 1}}, "added_tokens": [], "decoder": None}

    def digest(**changes: object) -> str:
        (tmp_path / "tokenizer.json").write_text(json.dumps({**content, **changes}))
        return token_files.tokenizer_digest(tmp_path)

    assert digest() == digest(decoder={"type": "ByteLevel"}) == digest(model={"vocab": {"b": 1, "a": 0}})
    assert len({digest(), digest(model={"vocab": {"a": 1, "b": 0}}), digest(normalizer={"type": "NFC"})}) == 3
    (tmp_path / "tokenizer.json").write_text("[]")
    with pytest.raises(InputError, match="is no tokenizer's"):
        token_files.tokenizer_digest(tmp_path)


def test_an_index_of_100_billion_tokens_opens_at_once_and_maps_nothing(tmp_path):
    files, tokens, documents = 100, 10**9, 10**6
    rows = []
    for number in range(files):
        row = TokenFile(
            name=f"train-{number:05d}.bin", split="train", tokens=tokens, documents=documents, sha256="",
            starts_sha256="",
        )  # fmt: skip
        for name, size in ((row.name, 2 * tokens), (row.starts_name, token_files.NPY_HEADER + 4 * documents)):
            with open(tmp_path / name, "wb") as file:
                file.truncate(size)  # takes no space
        rows.append(row)
    write_tokens(tmp_path)
    TokenIndex(tokenizer="", dtype="uint16", files=tuple(rows)).save(tmp_path)
    meta = json.loads((tmp_path / "meta.json").read_text())
    meta |= {"train_tokens": files * tokens, "train_documents": files * documents}
    (tmp_path / "meta.json").write_text(json.dumps(meta))
    mapped, begun = token_files._map.cache_info().currsize, time.process_time()
    shards = TokenShards(tmp_path, "train")
    assert time.process_time() - begun < 1
    assert token_files._map.cache_info().currsize == mapped
    assert shards.read(shards.tokens - 3, shards.tokens + 3).tolist() == [0, 0, 0]
