"""Tokens of hub datasets and of folders: Parquet with ``input_ids``, files ``.ds`` below one another, the commit."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from core import compose, discovery, graph
from core.errors import ConfigError, InputError, NotAtHand
from core.interfaces import Job
from core.token_files import TokenIndex, TokenShards, tokenizer_digest
from core.typed import build
from huggingface_hub import constants
from smallwright_tokenizer import ready, ready_rows
from smallwright_tokenizer.config import ReadyConfig
from smallwright_tokenizer.ready_rows import ReadyRows
from smallwright_tokenizer.stage import ReadyTokens
from test_tokenizer_ready import documents as documents
from test_tokenizer_ready import write

COMMIT = "0123456789abcdef0123456789abcdef01234567"
END = 0


def parquet(path, rows, **columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"input_ids": pa.array(rows, pa.list_(pa.int32())), **columns}), path, row_group_size=3)
    return path


def read(path, rows):
    made = ReadyRows(path=path, name=path.name, end_of_text=END, rows=rows)
    found = [(first, ids.tolist(), lengths.tolist()) for first, ids, lengths in made.chunks()]
    ids = [one for _, part, _ in found for one in part]
    ends = made.ends().tolist()
    assert [first for first, _, _ in found] == [0, *np.cumsum([len(row) for _, _, row in found])[:-1].tolist()]
    assert (made.documents, made.tokens) == (len(ends), len(ids))
    return [ids[start:end] for start, end in zip([0, *ends], ends, strict=False)]


@pytest.mark.parametrize("at_once", [1, 2, 1024])
def test_rows_are_documents_whose_end_is_added_where_it_is_missing(tmp_path, monkeypatch, at_once):
    monkeypatch.setattr(ready_rows, "ROWS", at_once)
    rows = [[5, 6, END], [7], [], [8, END, 9, 10], None, [END]]
    found = read(parquet(tmp_path / "a.parquet", rows), "document")
    assert found == [[5, 6, END], [7, END], [8, END], [9, 10, END], [END]]


@pytest.mark.parametrize("at_once", [1, 2, 1024])
def test_windows_of_a_stream_are_joined_and_no_end_is_added_within(tmp_path, monkeypatch, at_once):
    monkeypatch.setattr(ready_rows, "ROWS", at_once)
    rows = [[5, 6, 7], [8, END, 9], [10, 11, 12], [END, END, 13]]
    found = read(parquet(tmp_path / "a.parquet", rows), "stream")
    assert found == [[5, 6, 7, 8, END], [9, 10, 11, 12, END], [END], [13, END]]


def test_padding_is_left_out_by_the_mask(tmp_path):
    mask = pa.array([[1, 1, 0], [0, 1, 1], [0, 0, 0]], pa.list_(pa.int8()))
    path = parquet(tmp_path / "a.parquet", [[5, END, 1], [1, 6, 7], [1, 1, 1]], attention_mask=mask)
    assert read(path, "document") == [[5, END], [6, 7, END]]


def test_what_rows_of_one_length_are_must_be_said(tmp_path):
    windows = parquet(tmp_path / "a.parquet", [[5, 6, END], [7, 8, 9]])
    with pytest.raises(InputError, match=r"the rows of a\.parquet have 3 ids each, .* tokens\.rows=stream \(windows"):
        ready_rows.kind_of(windows, END, "tokens.folder=x")
    for rows in ([[5, END], [7, 8, 9]], [[5, 6, END], [7, 8, END]], [[5]], []):
        assert ready_rows.kind_of(parquet(tmp_path / "b.parquet", rows), END, "x") == "document"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The hub's cache without a network, with a dataset in it; a function that writes another file into that."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    dataset = tmp_path / "cache" / "datasets--org--tokens"
    (dataset / "refs").mkdir(parents=True)
    (dataset / "refs" / "main").write_text(COMMIT)
    (dataset / "refs" / "v1").write_text(COMMIT)
    (dataset / "snapshots" / COMMIT / "data").mkdir(parents=True)
    return dataset / "snapshots" / COMMIT / "data"


def settings(folder, **more):
    config = build(ReadyConfig, {"folder": str(folder), **more}, "tokens")
    config.check(None, "tokens")
    return config


@pytest.mark.parametrize("named", ["org/tokens", "org/tokens@v1", f"org/tokens@{COMMIT}"])
@pytest.mark.parametrize("kind", ["ds", "parquet"])
def test_a_dataset_of_the_hub_is_taken_at_its_commit(cache, documents, tokenizer, tmp_path, named, kind):
    if kind == "ds":
        write(cache, documents)
    else:
        parquet(cache / "train-00000-of-00001.parquet", [document[:-1] for document in documents])
        parquet(cache / "test-00000-of-00001.parquet", [[5, 6]])
    config = settings(named)
    assert (config.folder, config.revision) == ("org/tokens", COMMIT)
    (output := tmp_path / "out").mkdir()
    job = Job(name="tokens", output=output, inputs={"tokenizer": tokenizer}, seed=1)
    ReadyTokens(config).run(job)
    train, held = TokenShards(output, "train"), TokenShards(output, "validation")
    taken = [shards.document(place).tolist() for shards in (train, held) for place in range(shards.documents)]
    assert sorted(taken) == sorted(documents)
    assert TokenIndex.load(output).tokenizer == tokenizer_digest(tokenizer)


def test_what_has_no_tokens_is_refused_while_planning(cache, tmp_path):
    with pytest.raises(InputError, match=r"tokens\.folder=org/nothing: there is no such folder, and it is not in the"):
        settings("org/nothing")
    with pytest.raises(InputError, match=r"no file that ends in \.ds or \.parquet"):
        settings(tmp_path / "cache")
    path = tmp_path / "text" / "a.parquet"
    path.parent.mkdir()
    pq.write_table(pa.table({"text": ["a"]}), path)
    with pytest.raises(InputError, match=r"a\.parquet has no column input_ids of ids\. Its columns: text\. Text is"):
        settings(path.parent)
    path.write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"a\.parquet is no Parquet file"):
        settings(path.parent)
    (path.parent / "a.ds").touch()
    with pytest.raises(InputError, match=r"has files of both kinds"):
        settings(path.parent)


def test_files_of_one_name_in_two_folders_are_told_apart(documents, tmp_path):
    for part in ("a", "b"):
        write(tmp_path / part, documents)
    names = [file.name for file in ready.files_below(tmp_path, "x")]
    assert names == ["a/00000_a.ds", "a/00001_a.ds", "b/00000_a.ds", "b/00001_a.ds"]


@pytest.mark.slow
def test_a_run_is_planned_on_datasets_and_their_tokenizer_must_be_named(cache, tokenizer, tmp_path):
    registry = discovery.load()
    parquet(cache / "a.parquet", [[5, 6], [7]])
    parquet(tmp_path / "own" / "b.parquet", [[5, 6], [7]])

    def specs(tokens, *more, at_hand=True):
        words = [f"tokens={tokens}", "+arch=gqa", "~eval", f"store={tmp_path / 'st'}", *more]
        config = compose.compose(words, registry)
        return {spec.name: spec for spec in graph.build(config, registry, at_hand=at_hand)}

    named = f"tokenizer={tokenizer}"
    one = specs("org/tokens@v1", named)
    assert [*one] == ["tokenizer", "tokens", "pretrain"]
    assert one["tokens"].identity() == specs(f"org/tokens@{COMMIT}", named)["tokens"].identity()
    assert one["tokens"].content["revision"] == COMMIT
    two = specs(f"{{web: org/tokens, own: {tmp_path / 'own'}}}", named, "pretrain.mixture={web: 0.5, own: 0.5}")
    assert [name for name in two if name.startswith("tokens")] == ["tokens-web", "tokens-own"]
    with pytest.raises(
        NotAtHand, match=r"tokens\.folder=org/nothing@v2: there is no such folder, and it is not in the"
    ):
        specs("org/nothing@v2", named)
    assert [*specs("org/nothing@v2", named, at_hand=False)] == ["tokenizer", "tokens", "pretrain"]
    with pytest.raises(ConfigError, match=r"tokens: made elsewhere\. Name the tokenizer that made them"):
        specs("org/tokens")
    with pytest.raises(ConfigError, match=r"tokens=org/tokens: a corpus stands beside it"):
        specs("org/tokens", named, "+data=finemath")
