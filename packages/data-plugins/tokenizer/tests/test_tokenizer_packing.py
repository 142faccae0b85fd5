"""The packer on a small corpus: what it writes, whichever way the work is spread and ended, and what it holds out."""

import copy
import itertools
import json
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from core import token_files
from core.data.by_hash import id_hash
from core.data.executor import Executor, LocalExecutor
from core.data.recipe import LocalExecutorConfig
from core.errors import ConfigError, InputError, UserError
from core.interfaces import TokensMeta
from core.token_files import TokenIndex, TokenShards, tokenizer_digest
from core.typed import build
from smallwright_tokenizer import corpus as corpus_module
from smallwright_tokenizer import held_out
from smallwright_tokenizer.config import SPECIAL_TOKENS, PackedConfig
from tokenizer_support import VOCABULARY, add_template, brought, pack, train, write_corpus


def content(folder):
    """Return every file of an artifact."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.fixture(scope="session")
def packed(corpus, tokenizer, tmp_path_factory):
    """The corpus packed with a fifth held out, in one piece."""
    output = tmp_path_factory.mktemp("packed")
    summary = pack(corpus, tokenizer, output, validation_fraction=0.2)
    return output, summary


@pytest.fixture
def small_pieces(monkeypatch):
    monkeypatch.setattr(corpus_module, "PIECE_BYTES", 2000)


class Backwards(Executor):
    """Runs the last rank first, each with a copy of the steps, as workers of a pool may."""

    def __init__(self, limit=100):
        super().__init__(None)
        self.limit = limit

    def run(self, pipeline, tasks, logs, finished):
        for rank in [*reversed(range(tasks))][: self.limit]:
            for step in copy.deepcopy(pipeline):
                step.run(None, rank, tasks)
        if self.limit < tasks:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    "change",
    [
        lambda tokenizer: tokenizer.enable_padding(pad_id=17, pad_token="<|pad|>"),
        lambda tokenizer: tokenizer.enable_padding(pad_id=17, pad_token="<|pad|>", length=64, direction="left"),
        lambda tokenizer: tokenizer.enable_truncation(5),
        add_template("<|im_start|> $A <|endoftext|>"),
    ],
    ids=["padding", "padding to a length", "truncation", "template"],
)
def test_what_a_brought_tokenizer_does_to_batches_is_not_done_to_documents(corpus, tokenizer, packed, tmp_path, change):
    folder = brought(tokenizer, tmp_path / "brought", change)
    train(corpus, tmp_path / "taken", path=str(folder))
    assert pack(corpus, tmp_path / "taken", tmp_path / "out", validation_fraction=0.2) == packed[1]
    assert content(tmp_path / "out") == content(packed[0])


@pytest.mark.parametrize("single", ["<|im_start|> $A", "<|im_start|> $A <|endoftext|>"])
def test_what_the_template_adds_is_packed_when_asked_for(corpus, tokenizer, texts, packed, tmp_path, single):
    folder = brought(tokenizer, tmp_path / "brought", add_template(single))
    plain = packed[1]
    summary = pack(corpus, folder, tmp_path / "out", add_special_tokens=True, validation_fraction=0.2)
    assert summary["empty_documents"] == plain["empty_documents"] == texts.count("")
    for side in token_files.SPLITS:
        shards = TokenShards(tmp_path / "out", side)
        assert shards.tokens == plain[f"{side}_tokens"] + plain[f"{side}_documents"]
        ids, starts = shards.read(0, shards.tokens), shards.starts(0, shards.tokens)
        assert set(ids[starts]) == {SPECIAL_TOKENS.index("<|im_start|>")}
        assert set(ids[np.append(starts[1:], shards.tokens) - 1]) == {0}


def test_packed_files_hold_every_document_once(packed, tokenizer, texts):
    from tokenizers import Tokenizer

    output, _ = packed
    meta = TokensMeta.load(output)
    decoder = Tokenizer.from_file(str(tokenizer / "tokenizer.json"))
    found = Counter()
    for side in token_files.SPLITS:
        shards = TokenShards(output, side)
        documents = [shards.document(index).tolist() for index in range(shards.documents)]
        assert {document[-1] for document in documents} == {meta.eos_token_id}
        assert all(meta.eos_token_id not in document[:-1] for document in documents)
        decoded = [decoder.decode(document[:-1], skip_special_tokens=False) for document in documents]
        found.update(decoded)
        if side == "validation":
            assert meta.validation_bytes == sum(len(text.encode()) for text in decoded)
            hashes = {text: id_hash(f"page-{number}", "validation") for number, text in enumerate(texts)}
            assert decoded == [text for text in sorted(hashes, key=hashes.get) if text and hashes[text] < 0.2 * 2**64]
    assert found == Counter(text for text in texts if text)
    assert meta.dtype == "uint16"


def test_the_index_names_the_tokenizer_and_vouches_for_every_file(packed, tokenizer):
    output, _ = packed
    index = TokenIndex.load(output)
    assert index.tokenizer == tokenizer_digest(tokenizer)
    index.check_content(output)
    named = {name for file in index.files for name in (file.name, file.starts_name)}
    assert named == {path.name for path in output.iterdir()} - {"work", "index.json", "meta.json"}


def test_the_summary_says_how_many_tokens_a_word_has(packed, tokenizer, texts):
    from tokenizers import Tokenizer

    encoder = Tokenizer.from_file(str(tokenizer / "tokenizer.json"))
    encoder.encode_special_tokens = True
    tokens = sum(len(encoder.encode(text).ids) for text in texts)
    assert packed[1]["tokens_per_word"] == round(tokens / sum(len(text.split()) for text in texts), 4)


def test_unigram_loss_is_that_of_add_one_counts(packed):
    output, summary = packed
    train_ids, validation_ids = ([*TokenShards(output, side).read(0, 10**9)] for side in token_files.SPLITS)
    counts = Counter(train_ids)
    losses = [-math.log((counts[token] + 1) / (len(train_ids) + VOCABULARY)) for token in validation_ids]
    assert summary["unigram_loss"] == pytest.approx(sum(losses) / len(losses), rel=1e-12)


def test_pieces_are_row_groups_in_their_order(texts, tmp_path, small_pieces):
    corpus = write_corpus(tmp_path, texts, files=2, rows_a_group=10)
    files = corpus_module.document_files(corpus)
    pieces, size = corpus_module.pieces(files)
    assert len(pieces) > 5
    assert size == sum(map(corpus_module.text_bytes, files))
    read = [name for piece in pieces for names, _ in corpus_module.read_piece(piece, 7) for name in names]
    assert read == [f"page-{number}" for half in (0, 1) for number in range(half, len(texts), 2)]
    assert sum(part.documents for piece in pieces for part in piece) == len(texts)


@pytest.mark.slow
def test_the_stream_is_the_same_in_pieces_and_the_bytes_for_any_spread(
    texts, tokenizer, packed, tmp_path, small_pieces
):
    corpus = write_corpus(tmp_path / "corpus", texts, rows_a_group=10)
    one = pack(
        corpus, tokenizer, tmp_path / "one", LocalExecutor(LocalExecutorConfig(workers=2)), validation_fraction=0.2
    )
    other = pack(corpus, tokenizer, tmp_path / "two", Backwards(), validation_fraction=0.2, batch_documents=3)
    assert one == other
    assert one["pieces"] > 5
    assert content(tmp_path / "one") == content(tmp_path / "two")
    for side in token_files.SPLITS:
        ids = [TokenShards(folder, side).read(0, 10**9).tolist() for folder in (packed[0], tmp_path / "one")]
        assert ids[0] == ids[1]


def test_a_file_ends_where_the_next_document_would_pass_its_limit(
    texts, corpus, tokenizer, packed, tmp_path, monkeypatch
):
    monkeypatch.setattr(token_files, "TOKENS_A_FILE", 1000)
    pack(corpus, tokenizer, tmp_path, validation_fraction=0.2)
    files = TokenIndex.load(tmp_path).of("train")
    assert len(files) > 5
    assert all(500 < file.tokens <= 1000 for file in files[:-1])
    for side in token_files.SPLITS:
        ids = [TokenShards(folder, side).read(0, 10**9).tolist() for folder in (packed[0], tmp_path)]
        assert ids[0] == ids[1]


def test_killed_packing_goes_on_with_the_pieces_that_are_not_finished(texts, tokenizer, tmp_path, small_pieces):
    corpus = write_corpus(tmp_path / "corpus", texts, rows_a_group=10)
    pack(corpus, tokenizer, tmp_path / "whole", Backwards())
    with pytest.raises(KeyboardInterrupt):
        pack(corpus, tokenizer, tmp_path / "broken", Backwards(limit=3))
    finished = sorted((tmp_path / "broken" / "work" / "pieces").glob("*/piece.json"))
    before = [path.stat().st_mtime_ns for path in finished]
    assert len(finished) == 3
    pack(corpus, tokenizer, tmp_path / "broken", Backwards())
    assert [path.stat().st_mtime_ns for path in finished] == before
    assert content(tmp_path / "broken") == content(tmp_path / "whole")


@pytest.mark.slow
def test_packing_that_is_killed_at_its_end_moves_what_is_left(corpus, tokenizer, tmp_path, monkeypatch):
    class Killed(BaseException):
        pass

    pack(corpus, tokenizer, tmp_path / "whole")
    replace, done = Path.replace, []

    def move(path, target):
        done.append(path)
        if len(done) == at:
            raise Killed
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", move)
    for at in itertools.count(1):
        done.clear()
        output = tmp_path / str(at)
        try:
            pack(corpus, tokenizer, output)
            break
        except Killed:
            at = 0  # and the next time nothing is in the way
            pack(corpus, tokenizer, output)
        assert content(output) == content(tmp_path / "whole")
    assert len(done) == 2 + 1 + 4 + 2, "the piece and its record, the plan, the moves, index and meta.json"


@pytest.mark.parametrize(
    ("tokens", "held"),
    [
        (1e5, 0.05),  # a small corpus gives a twentieth
        (4e6, 0.025),  # 100,000 tokens
        (1e7, 0.01),
        (1e8, 0.01),
    ],
)
def test_the_share_that_is_held_out_falls_to_a_hundredth(tokens, held):
    assert held_out.share(PackedConfig(), tokens) == pytest.approx(held)
    assert held_out.share(PackedConfig(validation_fraction=0.2), tokens) == 0.2


@pytest.mark.parametrize("documents", [1000, 100_000, 1_000_000])
def test_held_out_are_two_million_tokens_at_most_and_the_smallest_hashes(documents):
    lengths = np.full(documents, 1000)
    hashes = np.random.default_rng(1).integers(0, 2**64, documents, dtype=np.uint64)
    total = 1000 * documents
    candidates = hashes < np.uint64(held_out.candidates_cut(PackedConfig(), 4 * total))
    chosen = held_out.choose(PackedConfig(), total, hashes[candidates], lengths[candidates])
    expected = {1000: 50, 100_000: 1000, 1_000_000: 2000}[documents]
    assert len(chosen) == pytest.approx(expected, rel=0.25)
    assert len(chosen) * 1000 <= 2_000_000
    assert hashes[candidates][chosen].tolist() == np.sort(hashes)[: len(chosen)].tolist()
    assert candidates.sum() < 20 * expected  # the others are written twice


@pytest.mark.parametrize("limit", [1, 400])
def test_tokens_that_are_held_out_have_a_limit_and_one_document_at_least(corpus, tokenizer, packed, tmp_path, limit):
    summary = pack(corpus, tokenizer, tmp_path, validation_fraction=0.9, validation_tokens=limit)
    assert summary["validation_documents"] == 1 if limit == 1 else 0 < summary["validation_tokens"] <= limit
    total = sum(packed[1][f"{side}_tokens"] for side in token_files.SPLITS)
    assert summary["train_tokens"] + summary["validation_tokens"] == total


@pytest.mark.parametrize("fraction", [1e-9, 0.999_999])
@pytest.mark.parametrize("count", [2, 7])
def test_each_side_gets_a_document(tokenizer, tmp_path, fraction, count):
    corpus = write_corpus(tmp_path / "corpus", [f"page {number}" for number in range(count)] + [""], files=1)
    pack(corpus, tokenizer, tmp_path / "out", validation_fraction=fraction, validation_least=0)
    meta = TokensMeta.load(tmp_path / "out")
    held = 1 if fraction < 0.5 else count - 1
    assert (meta.train_documents, meta.validation_documents) == (count - held, held)
    hashes = [id_hash(f"page-{number}", "validation") for number in range(count)]
    from tokenizers import Tokenizer

    decoder = Tokenizer.from_file(str(tokenizer / "tokenizer.json"))
    first = decoder.decode(TokenShards(tmp_path / "out", "validation").document(0)[:-1].tolist())
    assert first == f"page {hashes.index(min(hashes))}"


@pytest.mark.parametrize("pages", [["one page"], ["one page", "", ""], ["", ""]])
def test_one_document_is_not_enough(tokenizer, tmp_path, pages):
    with pytest.raises(UserError, match=r"nothing left .*data\.paths"):
        pack(write_corpus(tmp_path / "corpus", pages, files=1), tokenizer, tmp_path / "out")


def test_empty_corpus_points_at_the_funnel(tokenizer, tmp_path):
    (tmp_path / "documents").mkdir()
    with pytest.raises(InputError, match=r"holds no documents.*funnel\.json.*rejected"):
        pack(tmp_path, tokenizer, tmp_path / "out")


def test_large_vocabularies_take_four_bytes(corpus, tokenizer, packed, tmp_path):
    wide = tmp_path / "wide"
    wide.mkdir()
    settings = json.loads((tokenizer / "tokenizer.json").read_text())
    settings["added_tokens"].append({**settings["added_tokens"][1], "content": "<far>", "id": 70_000})
    (wide / "tokenizer.json").write_text(json.dumps(settings))
    (wide / "tokenizer_config.json").write_bytes((tokenizer / "tokenizer_config.json").read_bytes())
    pack(corpus, wide, tmp_path / "out", validation_fraction=0.2)
    assert TokensMeta.load(tmp_path / "out").dtype == TokenIndex.load(tmp_path / "out").dtype == "uint32"
    wide_ids, narrow_ids = (TokenShards(folder, "train").read(0, 10**9) for folder in (tmp_path / "out", packed[0]))
    assert wide_ids.tolist() == narrow_ids.tolist()


@pytest.mark.parametrize("fraction", [0.0, 1.0, -1.0])
def test_fraction_must_leave_both_sides(fraction):
    with pytest.raises(ConfigError, match="validation_fraction"):
        build(PackedConfig, {"validation_fraction": fraction}, "tokens")
