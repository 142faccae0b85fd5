"""Rows of the embedding and the head for a child whose tokenizer is not the source's.

Fast Vocabulary Transfer (Gee et al., arXiv 2402.09977, section 3): a token that both vocabularies have, the same
string, keeps its row; another one gets the mean of the rows of the pieces that the source's tokenizer makes of its
text. Ours, where the paper says nothing: the token that ends documents takes the row of the source's; a token that is
part of a character (byte-level BPE) takes the mean of its bytes' rows; a token whose text has no pieces, and rows that
pad the embedding beyond the tokenizer, take the mean of all rows.
"""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import InputError, UserError
from core.weights import ModelFolder

if TYPE_CHECKING:
    import torch

UNDECODABLE = "\ufffd"
METASPACE = "\u2581"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """Which rows of the source each row of the child comes from."""

    unchanged: bool
    """The tokenizers give every token the same id."""
    rows: list[list[int]]
    """For each row of the child the source's rows that it is the mean of; empty: of all."""
    counts: dict[str, int]
    """How many rows came in which way."""
    tokenizers: tuple[Any, Any] | None = None
    """The run's and the source's ``tokenizers.Tokenizer``; None where they are the same."""

    def __call__(self, weight_VD: "torch.Tensor") -> "torch.Tensor":
        """Return the child's rows of an embedding or head of the source."""
        if self.unchanged and len(self.rows) == len(weight_VD) and self.rows[-1]:
            return weight_VD
        single = [row[0] if len(row) == 1 else 0 for row in self.rows]
        result_VD = weight_VD[single].clone()
        mean_D = weight_VD.float().mean(0)
        for row, pieces in enumerate(self.rows):
            if len(pieces) != 1:
                result_VD[row] = (weight_VD[pieces].float().mean(0) if pieces else mean_D).to(weight_VD.dtype)
        return result_VD

    def in_source_ids(self, windows: Sequence[Sequence[int]]) -> list[int]:
        """Return the text of windows of the run's ids as one sequence of the source's ids."""
        assert self.tokenizers is not None, "the same tokenizer needs no translation"
        ours, theirs = self.tokenizers
        texts = ours.decode_batch([list(window) for window in windows])
        return [i for encoding in theirs.encode_batch(texts, add_special_tokens=False) for i in encoding.ids]


def read_tokenizer(source: ModelFolder, source_rows: int, rows: int, *, same: bool) -> Any:
    """Return the source's ``tokenizers.Tokenizer``.

    Args:
        source_rows: Rows of the source's embedding.
        rows: Rows of the child's embedding: the run's tokenizer has no more tokens.
        same: Refuse a tokenizer that has more tokens than that, and so is not the run's.

    Raises:
        core.errors.UserError: when there is none, it is damaged, or not this model's or, with ``same``, this run's.
    """
    path = source.directory / "tokenizer.json"
    if not path.is_file():
        raise source.refusal(
            "tokenizer.json: not found, so it is not known which tokens the source's embedding has rows for. Put its "
            "tokenizer there: AutoTokenizer.from_pretrained(...).save_pretrained(...)."
        )
    tokenizer = _load(path, f"{source.owner}: tokenizer.json")
    beyond = max(tokenizer.get_vocab().values(), default=0)
    if beyond >= source_rows:
        raise source.refusal(
            f"tokenizer.json: has id {beyond}, and the source's embedding {source_rows} rows: not its tokenizer."
        )
    if same and beyond >= rows:
        raise _another(source)
    return tokenizer


def match(
    tokenizer: Path | None, source: ModelFolder, rows: int, source_rows: int, *, source_eos: int | None, same: bool
) -> Vocabulary:
    """Find the source's rows for each of the child's.

    Args:
        tokenizer: Directory of the run's tokenizer; None where the stage has none.
        source: The source, with its ``tokenizer.json`` where the run has a tokenizer.
        rows: Rows of the child's embedding.
        source_rows: Rows of the source's embedding.
        source_eos: Id that ended the source's documents.
        same: Refuse tokenizers that differ.

    Raises:
        core.errors.UserError: when the vocabularies do not match, or cannot be compared.
    """
    if tokenizer is None or not (tokenizer / "tokenizer.json").is_file():
        if rows != source_rows:
            raise UserError(
                f"arch.vocab_size={rows}: the source has {source_rows} rows, and the run has no tokenizer to match "
                f"tokens by. Set arch.vocab_size={source_rows}."
            )
        return _unchanged(rows, source_rows)
    ours, theirs = tokenizer / "tokenizer.json", read_tokenizer(source, source_rows, rows, same=same)
    our_tokenizer = _load(ours, str(ours))
    if our_tokenizer.get_vocab() == theirs.get_vocab():
        return _unchanged(rows, source_rows)
    if same:
        raise _another(source)
    return _by_token(our_tokenizer, theirs, rows, _eos(tokenizer), source_eos)


def _another(source: ModelFolder) -> UserError:
    return source.refusal(
        "tokenizer.json: not this run's tokenizer, so its embedding rows mean other tokens. Train the source with this "
        "run's tokenizer, tokenize with the source's, or set arch.initializer.vocabulary=by_token."
    )


def _unchanged(rows: int, source_rows: int) -> Vocabulary:
    copied = min(rows, source_rows)
    counts = {"copied": copied, "mean_of_pieces": 0, "mean_of_all": rows - copied, "of": rows}
    return Vocabulary(unchanged=True, rows=[[row] for row in range(copied)] + [[]] * (rows - copied), counts=counts)


def _by_token(ours: Any, theirs: Any, rows: int, eos: str | None, source_eos: int | None) -> Vocabulary:
    known, tokens = theirs.get_vocab(), ours.get_vocab()
    found: list[list[int]] = [[] for _ in range(rows)]
    unknown: dict[str, int] = {}
    for token, row in tokens.items():
        if token in known:
            found[row] = [known[token]]
        elif token == eos and source_eos is not None:
            found[row] = [source_eos]
        else:
            unknown[token] = row
    copied = sum(map(bool, found))
    texts = [_text(ours, token, row) for token, row in unknown.items()]
    encodings = theirs.encode_batch(texts, add_special_tokens=False)
    for (token, row), text, encoding in zip(unknown.items(), texts, encodings, strict=True):
        in_bytes = [known[character] for character in token if character in known]
        found[row] = in_bytes if UNDECODABLE in text else list(encoding.ids)
    pieces = sum(map(bool, found)) - copied
    counts = {"copied": copied, "mean_of_pieces": pieces, "mean_of_all": rows - copied - pieces, "of": rows}
    return Vocabulary(unchanged=False, rows=found, counts=counts, tokenizers=(ours, theirs))


def _text(tokenizer: Any, token: str, row: int) -> str:
    """Return what a token stands for; decoders of Metaspace drop the space that a first token begins with."""
    if token.startswith(METASPACE):
        return token.replace(METASPACE, " ")
    return str(tokenizer.decode([row], skip_special_tokens=False))


def _load(path: Path, name: str) -> Any:
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the Rust side raises plain Exception
        raise InputError(f"{name}: is not a tokenizer ({error}).") from error
    # The file may have both switched on, and texts of a batch would get tokens that are not theirs.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _eos(directory: Path) -> str | None:
    """Return the token that ends documents, as ``tokenizer_config.json`` names it."""
    path = directory / "tokenizer_config.json"
    token = json.loads(path.read_text(encoding="utf-8")).get("eos_token") if path.is_file() else None
    return token.get("content") if isinstance(token, dict) else token
