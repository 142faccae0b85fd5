"""Tokens that DataTrove wrote: what becomes of them, and what is refused."""

import os

import pytest
from core import store
from core.errors import InputError, UserError
from core.interfaces import Job, TokensMeta
from core.token_files import TokenIndex, TokenShards, tokenizer_digest
from core.typed import build
from datatrove.pipeline.tokens.tokenizer import TokenizedFile
from smallwright_tokenizer import ready
from smallwright_tokenizer.config import DataTroveConfig
from smallwright_tokenizer.files import load_for_texts
from smallwright_tokenizer.stage import DataTroveTokens


@pytest.fixture
def documents(tokenizer, texts):
    encoder = load_for_texts(tokenizer)
    return [[*encoder.encode(text).ids, 0] for text in texts if text]


def write(folder, documents, token_size=2):
    """Write the documents into two files, as DocumentTokenizer does."""
    half = len(documents) // 2
    for name, part in (("00000_a.ds", documents[:half]), ("00001_a.ds", documents[half:])):
        file = TokenizedFile(str(folder), name, token_size=token_size, save_final_metadata=True)
        for document in part:
            file.write(document, None)
        file.close()
    return folder


def take(folder, tokenizer, output, **settings):
    output.mkdir()
    config = build(DataTroveConfig, {"folder": str(folder), **settings}, "tokens")
    return DataTroveTokens(config).run(Job(name="tokens", output=output, inputs={"tokenizer": tokenizer}, seed=1))


@pytest.mark.parametrize("token_size", [2, 4])
def test_every_document_is_taken_once_and_some_are_held_out(documents, tokenizer, tmp_path, monkeypatch, token_size):
    monkeypatch.setattr(ready, "CHUNK", 300)
    summary = take(write(tmp_path / "ds", documents, token_size), tokenizer, tmp_path / "out", validation_fraction=0.2)
    train, validation = (TokenShards(tmp_path / "out", side) for side in ("train", "validation"))
    held = [validation.document(index).tolist() for index in range(validation.documents)]
    assert 5 < len(held) < 30
    rest = [train.document(index).tolist() for index in range(train.documents)]
    assert rest == [document for document in documents if document not in held]
    assert sorted(rest + held) == sorted(documents)
    decoder = load_for_texts(tokenizer)
    sizes = [len(decoder.decode(document[:-1], skip_special_tokens=False).encode()) for document in held]
    assert TokensMeta.load(tmp_path / "out").validation_bytes == sum(sizes)
    index = TokenIndex.load(tmp_path / "out")
    index.check_content(tmp_path / "out")
    assert (index.tokenizer, index.dtype) == (tokenizer_digest(tokenizer), "uint16")
    assert 3 < summary["unigram_loss"] < 7
    assert (summary["origin"], summary["revision"]) == (str(tmp_path / "ds"), None)
    assert summary["content"] == store.digest({file.name: file.sha256 for file in index.files})


def test_one_document_is_not_enough(tokenizer, tmp_path):
    with pytest.raises(UserError, match="nothing left"):
        take(write(tmp_path / "ds", [[5, 6, 0]]), tokenizer, tmp_path / "out")


def test_the_lowest_document_is_held_out_where_none_is_below_the_cut(documents, tokenizer, tmp_path):
    folder = write(tmp_path / "ds", documents)
    summary = take(folder, tokenizer, tmp_path / "out", validation_fraction=1e-9, validation_least=0)
    assert (summary["validation_documents"], summary["train_documents"]) == (1, len(documents) - 1)


HARM = {
    "no files": (lambda folder: [path.unlink() for path in folder.iterdir()], r"has no file \*\.ds with documents"),
    "no index": (lambda folder: (folder / "00000_a.ds.index").unlink(), r"00000_a\.ds has no 00000_a\.ds\.index"),
    "cut": (lambda folder: os.truncate(folder / "00001_a.ds", 100), r"00001_a\.ds has 100 bytes, and 00001_a\.ds\.i"),
}


@pytest.mark.parametrize("harm", HARM)
def test_damaged_files_are_refused_while_planning(documents, tmp_path, harm):
    do, message = HARM[harm]
    do(write(tmp_path, documents))
    config = build(DataTroveConfig, {"folder": str(tmp_path)}, "tokens")
    with pytest.raises(InputError, match=f"tokens.folder={tmp_path}: {message}"):
        config.check(None, "tokens")


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([5, 6], "document 1 of 00001_a.ds ends with the id 6, and documents must end with the tokenizer's end of"),
        ([5, 400, 0], "00001_a.ds has the id 400, and the tokenizer 400 ids"),
    ],
)
def test_tokens_of_another_tokenizer_are_refused(tokenizer, tmp_path, document, message):
    folder = write(tmp_path / "ds", [[5, 0], [6, 0], [7, 0], document])
    with pytest.raises(InputError, match=message):
        take(folder, tokenizer, tmp_path / "out")
