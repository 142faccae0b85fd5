"""Perplexity on held-out tokens, through the same engine that answers the tasks."""

import dataclasses
import hashlib
import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from core.errors import InputError
from core.interfaces import TokensMeta
from core.token_files import TokenShards

from smallwright_eval.results import interval
from smallwright_eval.samples import HASH

TASK = "validation"


@dataclasses.dataclass(frozen=True, kw_only=True)
class HeldOut:
    """Documents of one corpus that training did not see."""

    corpus: str
    documents: list[list[int]]
    """Token ids by document, each with its closing end-of-text id."""
    complete: bool
    """False when ``perplexity_tokens`` cut some documents off."""
    meta: TokensMeta


def load(tokens: Mapping[str, Path], max_tokens: int | None) -> list[HeldOut]:
    """Read whole validation documents in order, until the next one would pass ``max_tokens``; the first always.

    Of several corpora each has the part of ``max_tokens`` that its held-out tokens are of all.

    Args:
        tokens: Tokens artifacts by corpus.

    Raises:
        InputError: files missing or damaged, or no validation documents.
    """
    try:
        shards = {corpus: TokenShards(folder, "validation") for corpus, folder in tokens.items()}
    except InputError as error:
        raise InputError(f"{error} Or take eval.perplexity=false to go without.") from error
    total = sum(one.tokens for one in shards.values())
    for corpus, one in shards.items():
        if not one.documents:
            raise InputError(f"tokens={tokens[corpus]}: no validation documents. Take eval.perplexity=false.")
    return [
        _documents(corpus, one, None if max_tokens is None else max_tokens * one.tokens // total)
        for corpus, one in shards.items()
    ]


def _documents(corpus: str, shards: TokenShards, max_tokens: int | None) -> HeldOut:
    documents: list[list[int]] = []
    for start, end in map(shards.bounds, range(shards.documents)):
        if documents and max_tokens is not None and end > max_tokens:
            break
        documents.append(shards.read(start, end).tolist())
    return HeldOut(corpus=corpus, documents=documents, complete=len(documents) == shards.documents, meta=shards.meta)


def measure(lm: Any, held_out: Sequence[HeldOut], vocab_size: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the cross-entropy of the held-out documents under the model, of all together and of each.

    Every token of a document is predicted once, its end-of-text id included, the first from the end-of-text id that
    stood before it in training (a chat tokenizer's own prefix token is one that the model never saw). A document longer
    than the engine's longest input is cut into windows as lm-eval's rolling tasks do: the last window has as much
    context as fits, each of the others one token. Cutting a document so raises its loss a little.

    Args:
        lm: Model as lm-eval's ``TemplateLM``.
        held_out: The documents of each corpus; all their tokens weigh the same.
        vocab_size: Rows of the model's embedding.

    Returns:
        ``nats_per_token``, ``perplexity``, ``bits_per_byte`` with their standard errors (over documents, since
        tokens of one document are no independent samples), and ``tokens``, ``documents``, ``cut_documents``, ``bytes``;
        of several corpora also ``by_corpus``, the same for each;
        and an object for each document, as :mod:`core.samples` describes those of items, whose metrics
        are ``nats`` and ``tokens``.

    Raises:
        InputError: token ids that the model does not have: tokens of another tokenizer.
    """
    from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

    documents = [document for one in held_out for document in one.documents]
    ends_of_text = [one.meta.eos_token_id for one in held_out for _ in one.documents]
    highest = max(max(document) for document in documents)
    if highest >= vocab_size:
        raise InputError(
            f"tokens: id {highest} is outside the model's vocabulary of {vocab_size}; these tokens are of another "
            "tokenizer. Take eval.perplexity=false for this model."
        )
    requests, owners = [], []
    for owner, (document, end_of_text) in enumerate(zip(documents, ends_of_text, strict=True)):
        windows = get_rolling_token_windows(
            token_list=document, prefix_token=end_of_text, max_seq_len=lm.max_length - 2, context_len=1
        )
        for context, continuation in map(make_disjoint_window, windows):
            requests.append((None, context, continuation))
            owners.append(owner)
    answers = lm._loglikelihood_tokens(requests, disable_tqdm=True)
    losses = np.zeros(len(documents))
    np.add.at(losses, owners, [-loglikelihood for loglikelihood, _ in answers])
    lengths = np.array([len(document) for document in documents])
    is_cut = np.array([Counter(owners)[owner] > 1 for owner in range(len(documents))])
    sizes = [_size_in_bytes(lm, one) for one in held_out]
    unigrams = [one.meta.unigram_loss for one in held_out]
    ends = [*itertools.accumulate((len(one.documents) for one in held_out), initial=0)]
    measured = _figures(losses, lengths, is_cut, sum(sizes))
    weights = [int(lengths[first:last].sum()) for first, last in itertools.pairwise(ends)]
    measured["unigram_nats_per_token"] = sum(np.multiply(unigrams, weights)) / sum(weights)
    if len(held_out) > 1:
        measured["by_corpus"] = {
            one.corpus: _figures(losses[first:last], lengths[first:last], is_cut[first:last], size)
            | {"unigram_nats_per_token": unigram}
            for one, (first, last), size, unigram in zip(
                held_out, itertools.pairwise(ends), sizes, unigrams, strict=True
            )
        }
    return measured, [
        {
            "task": TASK,
            "id": str(place),
            "correct": None,
            "metrics": {"nats": float(loss), "tokens": float(len(document))},
            "hash": hashlib.sha256(np.array(document, "<u4").tobytes()).hexdigest()[:HASH],
        }
        for place, (document, loss) in enumerate(zip(documents, losses, strict=True))
    ]


def _figures(losses: np.ndarray, lengths: np.ndarray, is_cut: np.ndarray, size: int) -> dict[str, Any]:
    """Return what :func:`measure` says of some documents, each of shape (documents,); ``size`` is their bytes."""
    nats = float(losses.sum() / lengths.sum())
    error = _ratio_error(losses, lengths)
    bits = nats * int(lengths.sum()) / size / math.log(2)
    return {
        "nats_per_token": nats,
        "nats_per_token_stderr": error,
        "perplexity": math.exp(nats),
        "perplexity_stderr": None if error is None else math.exp(nats) * error,
        "bits_per_byte": bits,
        "bits_per_byte_stderr": None if error is None else bits * error / nats,
        "tokens": int(lengths.sum()),
        "documents": len(losses),
        "cut_documents": int(is_cut.sum()),
        "bytes": size,
    }


def rows(measured: dict[str, Any], vocab_size: int) -> list[dict[str, Any]]:
    """Turn :func:`measure`'s answer into rows of the score table; chance is a uniform guess over the vocabulary."""
    uniform = math.log(vocab_size)
    chances = {
        "nats_per_token": uniform,
        "perplexity": float(vocab_size),
        "bits_per_byte": uniform * measured["tokens"] / measured["bytes"] / math.log(2),
    }
    return [
        {
            "task": TASK,
            "metric": metric,
            "value": measured[metric],
            **interval(measured[metric], measured[f"{metric}_stderr"], chance),
            "n": measured["tokens"],
            "n_of": "tokens",
            "higher_is_better": False,
            "num_fewshot": 0,
            "cut_items": measured["cut_documents"],
            "lost_fewshots": 0,
            "empty_answers": 0,
        }
        for metric, chance in chances.items()
    ]


def _size_in_bytes(lm: Any, held_out: HeldOut) -> int:
    if held_out.complete:
        return held_out.meta.validation_bytes
    texts = lm.tokenizer.batch_decode(
        [[token for token in document if token != held_out.meta.eos_token_id] for document in held_out.documents],
        skip_special_tokens=True,  # a template's, where the packer was asked to put them into the documents
        clean_up_tokenization_spaces=False,
    )
    return sum(len(text.encode()) for text in texts)


def _ratio_error(losses: np.ndarray, lengths: np.ndarray) -> float | None:
    """Return the standard error of sum(losses) / sum(lengths) over documents; None for a single document."""
    count = len(losses)
    if count < 2:
        return None
    residuals = losses - losses.sum() / lengths.sum() * lengths
    return float(np.sqrt((residuals**2).sum() * count / (count - 1)) / lengths.sum())
