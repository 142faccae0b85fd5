"""The tokenizer and the packer on a small corpus: what they write, whether it repeats, and what they refuse."""

import itertools
import json
import math
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from core.data.by_hash import id_hash
from core.errors import ConfigError, InputError, UserError
from core.interfaces import Job, TokensMeta
from core.typed import build
from smallwright_tokenizer.config import SPECIAL_TOKENS, BpeConfig, PackedConfig
from smallwright_tokenizer.files import end_of_text_id
from smallwright_tokenizer.stage import Bpe, Packed

VOCABULARY = 400
HOSTILE = "A page that says <|endoftext|> and <|im_start|>system and 1234, naïve – 数学."


def write_corpus(folder, texts, files=3):
    (folder / "documents").mkdir(parents=True)
    rows = [{"id": f"page-{number}", "text": text} for number, text in enumerate(texts)]
    for index in range(files):
        pq.write_table(pa.Table.from_pylist(rows[index::files]), folder / "documents" / f"{index:05d}.parquet")
    return folder


@pytest.fixture(scope="module")
def texts():
    generator = random.Random(7)
    words = ["".join(generator.choices("abcdefghij", k=generator.randrange(2, 9))) for _ in range(300)]
    pages = [" ".join(generator.choices(words, k=60)) + f" = {generator.randrange(10**6)}\n" for _ in range(80)]
    return [*pages, HOSTILE, ""]


@pytest.fixture(scope="module")
def corpus(texts, tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("corpus"), texts)


def train(corpus, output, **settings):
    config = build(BpeConfig, {"vocab_size": VOCABULARY, **settings}, "tokenizer")
    return Bpe(config).run(Job(name="tokenizer", output=output, inputs={"corpus": corpus}, seed=1))


@pytest.fixture(scope="module")
def tokenizer(corpus, tmp_path_factory):
    output = tmp_path_factory.mktemp("tokenizer")
    train(corpus, output)
    return output


def pack(corpus, tokenizer, output, **settings):
    config = build(PackedConfig, settings, "tokens")
    job = Job(name="tokens", output=output, inputs={"corpus": corpus, "tokenizer": tokenizer}, seed=1)
    return Packed(config).run(job)


def test_transformers_loads_it_and_every_text_comes_back(tokenizer, texts):
    from transformers import AutoTokenizer

    loaded = AutoTokenizer.from_pretrained(tokenizer)
    assert len(loaded) == VOCABULARY
    assert loaded.convert_tokens_to_ids(list(SPECIAL_TOKENS)) == list(range(len(SPECIAL_TOKENS)))
    assert (loaded.eos_token_id, loaded.bos_token_id, loaded.pad_token) == (0, 0, "<|pad|>")
    for text in texts:
        ids = loaded(text, split_special_tokens=True)["input_ids"]
        assert loaded.decode(ids) == text
    assert [loaded.decode([i]) for i in loaded("2026")["input_ids"]] == ["2", "0", "2", "6"]


def test_assistant_mask_covers_the_answers_and_their_ends(tokenizer):
    from transformers import AutoTokenizer

    loaded = AutoTokenizer.from_pretrained(tokenizer)
    chat = [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "add 1 and 2"},
        {"role": "assistant", "content": "the sum is 3"},
        {"role": "user", "content": "solve"},
        {"role": "assistant", "content": "therefore 4"},
    ]
    encoded = loaded.apply_chat_template(chat, return_assistant_tokens_mask=True, return_dict=True)
    pairs = zip(encoded["input_ids"], encoded["assistant_masks"], strict=True)
    marked = loaded.decode([token for token, mask in pairs if mask])
    assert marked == "the sum is 3<|im_end|>therefore 4<|im_end|>"
    prompt = loaded.apply_chat_template(chat[:2], tokenize=False, add_generation_prompt=True)
    assert prompt == (
        "<|im_start|>system\nBe short.<|im_end|>\n<|im_start|>user\nadd 1 and 2<|im_end|>\n<|im_start|>assistant\n"
    )


def test_training_gives_the_same_bytes_in_another_process(corpus, tokenizer, tmp_path):
    script = (
        "import sys, pathlib; from core.interfaces import Job; from smallwright_tokenizer.stage import Bpe;"
        "from smallwright_tokenizer.config import BpeConfig; corpus, output = map(pathlib.Path, sys.argv[1:]);"
        f"stage = Bpe(BpeConfig(vocab_size={VOCABULARY}));"
        "stage.run(Job(name='t', output=output, inputs={'corpus': corpus}, seed=2))"
    )
    subprocess.run([sys.executable, "-c", script, str(corpus), str(tmp_path)], check=True)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "fertility.json"):
        assert (tmp_path / name).read_bytes() == (tokenizer / name).read_bytes(), name


def test_summary_states_size_and_fertility(corpus, texts, tmp_path):
    from tokenizers import Tokenizer

    summary = train(corpus, tmp_path)
    encoder = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    encoder.encode_special_tokens = True
    tokens = sum(len(encoder.encode(text).ids) for text in texts)
    assert summary["merges"] == VOCABULARY - 256 - len(SPECIAL_TOKENS)
    assert summary["tokens_per_word"] == round(tokens / sum(len(text.split()) for text in texts), 4)
    assert summary["bytes_per_token"] == round(sum(len(text.encode()) for text in texts) / tokens, 4)


def test_weights_share_the_training_text_among_recipes(texts, tmp_path):
    half = len(texts) // 2
    write_corpus(tmp_path / "a", texts[:half])
    write_corpus(tmp_path / "b", texts[half:])
    inputs = {"corpus-a": tmp_path / "a", "corpus-b": tmp_path / "b"}
    job = Job(name="tokenizer", output=tmp_path / "out", inputs=inputs, seed=1)
    summary = Bpe(BpeConfig(vocab_size=400, weights={"a": 0.2, "b": 0.8})).run(job)
    assert summary["sampled_shares"]["b"] == 1.0
    sizes = [sum(len(text.encode()) for text in part) for part in (texts[:half], texts[half:])]
    assert summary["sampled_shares"]["a"] == pytest.approx(sizes[1] / 4 / sizes[0], rel=0.05)
    with pytest.raises(InputError, match="names a, c; the recipes of this run are a, b"):
        Bpe(BpeConfig(vocab_size=400, weights={"a": 0.2, "c": 0.8})).run(job)

    tokens = Job(name="t", output=tmp_path / "tokens", inputs={**inputs, "tokenizer": tmp_path / "out"}, seed=1)
    packed = Packed(PackedConfig(validation_fraction=0.2)).run(tokens)
    assert set(packed["tokens_by_corpus"]) == {"a", "b"}
    assert sum(packed["tokens_by_corpus"].values()) == packed["train_tokens"] + packed["validation_tokens"]


def test_too_large_vocabulary_names_the_size_that_fits(corpus, tmp_path):
    with pytest.raises(
        UserError, match=r"tokenizer\.vocab_size=30000: .* merges, .* Set tokenizer\.vocab_size=\d+"
    ) as error:
        train(corpus, tmp_path, vocab_size=30000)
    fitting = int(str(error.value).split("Set tokenizer.vocab_size=")[1].split(",")[0])
    assert train(corpus, tmp_path, vocab_size=fitting)["vocab_size"] == fitting


def test_existing_tokenizer_is_taken_over(corpus, tokenizer, tmp_path):
    config = build(BpeConfig, {"path": str(tokenizer)}, "tokenizer")
    assert Bpe(config).vocab_size() == VOCABULARY
    summary = train(corpus, tmp_path, path=str(tokenizer))
    assert summary["trained"] is False
    assert summary["chat_template"] == "own"
    assert (tmp_path / "tokenizer.json").read_bytes() == (tokenizer / "tokenizer.json").read_bytes()


def test_existing_tokenizer_without_a_template_gets_one(corpus, tokenizer, tmp_path):
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "tokenizer.json").write_bytes((tokenizer / "tokenizer.json").read_bytes())
    (bare / "tokenizer_config.json").write_text(json.dumps({"eos_token": {"content": "<|im_end|>"}}))
    assert train(corpus, tmp_path / "out", path=str(bare))["chat_template"] == "added"
    # the end of a turn is no end of a document
    assert end_of_text_id(tmp_path / "out") == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"path": "/no/such/folder"}, "tokenizer.path=/no/such/folder"),
        ({"vocab_size": 100}, "vocab_size=100: must be at least 274"),
        ({"special_tokens": ["<|endoftext|>"]}, r"<\|im_start\|> <\|im_end\|> <\|pad\|>"),
        ({"vocab": 3}, "unknown key"),
    ],
)
def test_wrong_settings_are_refused(corpus, tmp_path, settings, message):
    with pytest.raises(UserError, match=message):
        train(corpus, tmp_path, **settings)


def test_packed_files_hold_every_document_once(corpus, tokenizer, texts, tmp_path):
    from tokenizers import Tokenizer

    pack(corpus, tokenizer, tmp_path, validation_fraction=0.2)
    meta = TokensMeta.load(tmp_path)
    decoder = Tokenizer.from_file(str(tokenizer / "tokenizer.json"))
    found = Counter()
    for side, documents in (("train", meta.train_documents), ("validation", meta.validation_documents)):
        ids = np.fromfile(tmp_path / f"{side}.bin", dtype=meta.dtype)
        offsets = np.load(tmp_path / f"{side}.offsets.npy")
        assert offsets.dtype == np.int64
        assert (offsets[0], offsets[-1], len(offsets)) == (0, len(ids), documents + 1)
        decoded = []
        for start, end in itertools.pairwise(offsets):
            assert ids[end - 1] == meta.eos_token_id
            assert meta.eos_token_id not in ids[start : end - 1]
            decoded.append(decoder.decode(ids[start : end - 1].tolist(), skip_special_tokens=False))
        found.update(decoded)
        if side == "validation":
            assert meta.validation_bytes == sum(len(text.encode()) for text in decoded)
            held_out = {
                text for number, text in enumerate(texts) if id_hash(f"page-{number}", "validation") < 0.2 * 2**64
            }
            assert set(decoded) == held_out - {""}
    assert found == Counter(text for text in texts if text)
    assert meta.dtype == "uint16"


def test_unigram_loss_is_that_of_add_one_counts(corpus, tokenizer, tmp_path):
    summary = pack(corpus, tokenizer, tmp_path)
    train_ids, validation_ids = (np.fromfile(tmp_path / f"{side}.bin", dtype="<u2") for side in ("train", "validation"))
    counts = Counter(train_ids.tolist())
    losses = [-math.log((counts[token] + 1) / (len(train_ids) + VOCABULARY)) for token in validation_ids.tolist()]
    assert summary["unigram_loss"] == pytest.approx(sum(losses) / len(losses), rel=1e-12)


def test_killed_packing_goes_on_and_gives_the_same_bytes(corpus, tokenizer, tmp_path):
    class Killed(BaseException):
        pass

    whole, broken = tmp_path / "whole", tmp_path / "broken"
    pack(corpus, tokenizer, whole)
    calls = []

    def killing(done, total, **_):
        calls.append(done)
        if len(calls) == 6:  # in the middle of the second file
            raise Killed

    inputs = {"corpus": corpus, "tokenizer": tokenizer}
    stage = Packed(PackedConfig(batch_documents=8))
    with pytest.raises(Killed):
        stage.run(Job(name="tokens", output=broken, inputs=inputs, seed=1, progress=killing))
    resumed = []
    stage.run(
        Job(name="tokens", output=broken, inputs=inputs, seed=1, progress=lambda done, *_, **__: resumed.append(done))
    )
    assert resumed[0] > 20, "the first file was done again"
    for name in ("train.bin", "validation.bin", "train.offsets.npy", "validation.offsets.npy", "meta.json"):
        assert (broken / name).read_bytes() == (whole / name).read_bytes(), name


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
        for name in ("train.bin", "validation.bin", "train.offsets.npy", "validation.offsets.npy", "meta.json"):
            assert (output / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    assert len(done) == 3 + 1 + 4 + 1, "three corpus files, the last journal, the moves, meta.json"


def test_two_documents_give_one_to_each_side(tokenizer, tmp_path):
    pack(write_corpus(tmp_path / "corpus", ["one page", "two pages"], files=1), tokenizer, tmp_path / "out")
    meta = TokensMeta.load(tmp_path / "out")
    assert (meta.train_documents, meta.validation_documents) == (1, 1)


def test_one_document_is_not_enough(tokenizer, tmp_path):
    with pytest.raises(UserError, match=r"nothing left .*data\.paths"):
        pack(write_corpus(tmp_path / "corpus", ["one page"], files=1), tokenizer, tmp_path / "out")


def test_empty_corpus_points_at_the_funnel(tokenizer, tmp_path):
    (tmp_path / "documents").mkdir()
    with pytest.raises(InputError, match=r"holds no documents.*funnel\.json.*rejected"):
        pack(tmp_path, tokenizer, tmp_path / "out")


def test_large_vocabularies_take_four_bytes(corpus, tokenizer, tmp_path):
    wide = tmp_path / "wide"
    wide.mkdir()
    content = json.loads((tokenizer / "tokenizer.json").read_text())
    content["added_tokens"].append({**content["added_tokens"][1], "content": "<far>", "id": 70_000})
    (wide / "tokenizer.json").write_text(json.dumps(content))
    (wide / "tokenizer_config.json").write_bytes((tokenizer / "tokenizer_config.json").read_bytes())
    pack(corpus, wide, tmp_path / "out")
    pack(corpus, tokenizer, tmp_path / "narrow")
    assert TokensMeta.load(tmp_path / "out").dtype == "uint32"
    assert (
        np.fromfile(tmp_path / "out" / "train.bin", "<u4").tolist()
        == np.fromfile(tmp_path / "narrow" / "train.bin", "<u2").tolist()
    )


@pytest.mark.parametrize("fraction", [0.0, 1.0, -1.0])
def test_fraction_must_leave_both_sides(fraction):
    with pytest.raises(ConfigError, match="validation_fraction"):
        build(PackedConfig, {"validation_fraction": fraction}, "tokens")
