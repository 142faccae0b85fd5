"""The tokenizer on a small corpus: what it writes, whether it repeats, and what it refuses."""

import json
import random
import subprocess
import sys
import time

import pytest
from core.errors import InputError, UserError
from core.interfaces import Job
from core.token_files import tokenizer_digest
from core.typed import build
from smallwright_tokenizer.bpe import LONGEST_WORD
from smallwright_tokenizer.config import SPECIAL_TOKENS, BpeConfig
from smallwright_tokenizer.files import end_of_text_id
from smallwright_tokenizer.stage import Bpe
from tokenizer_support import VOCABULARY, train, write_corpus


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


@pytest.mark.slow
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
    with pytest.raises(InputError, match=r"names a: .* this run has one"):
        Bpe(BpeConfig(weights={"a": 1.0})).check_corpora(["corpus"])


def test_an_empty_corpus_among_several_is_named(corpus, tmp_path):
    (tmp_path / "none" / "documents").mkdir(parents=True)
    job = Job(name="tokenizer", output=tmp_path, inputs={"corpus-a": corpus, "corpus-b": tmp_path / "none"}, seed=1)
    with pytest.raises(InputError, match=r"the corpus .*/none holds no documents"):
        Bpe(BpeConfig(vocab_size=400)).run(job)


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
    assert summary["origin"] == str(tokenizer)
    assert tokenizer_digest(tokenizer).startswith(summary["content"])
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
        ({"vocab_size": 10**11}, "vocab_size=100000000000: must be at most 4194304"),
        ({"special_tokens": ["<|endoftext|>"]}, r"<\|im_start\|> <\|im_end\|> <\|pad\|>"),
        ({"vocab": 3}, "unknown key"),
    ],
)
def test_wrong_settings_are_refused(corpus, tmp_path, settings, message):
    with pytest.raises(UserError, match=message):
        train(corpus, tmp_path, **settings)


def test_training_cuts_what_no_token_is_as_long_as(texts, tmp_path):
    letters = random.Random(1).choices("acgt", k=150_000)
    long = write_corpus(tmp_path / "long", [*texts, "".join(letters), " " * 50_000, "é" * 20_000])
    begun = time.process_time()
    train(long, tmp_path / "tokenizer")
    assert time.process_time() - begun < 10  # each merge would look at the whole word: some 25 seconds
    trained = (tmp_path / "tokenizer" / "tokenizer.json").read_text()
    assert "FixedLength" not in trained
    cut = ["".join(letters[start : start + LONGEST_WORD]) for start in range(0, len(letters), LONGEST_WORD)]
    pieces = write_corpus(tmp_path / "pieces", [*texts, *cut, *[" " * LONGEST_WORD] * 50, *["é" * 500] * 40])
    train(pieces, tmp_path / "same")
    assert (tmp_path / "same" / "tokenizer.json").read_text() == trained
