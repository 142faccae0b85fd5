"""How far the two engines differ on the same items."""

from collections.abc import Iterable, Mapping
from typing import Any

from core.samples import key

PART = "parity"


def other(engine: str) -> str:
    """Return the name of the engine that is not the one given."""
    return "transformers" if engine == "vllm" else "vllm"


def difference(
    first: Iterable[Mapping[str, Any]], second: Iterable[Mapping[str, Any]], engines: tuple[str, str]
) -> dict[str, Any]:
    """Return how far the answers of two engines differ on the items that both have.

    Args:
        first: Rows of samples of one engine.
        second: Of the other.
        engines: Their names.

    Returns:
        ``engines``, ``items``; of log-likelihoods ``loglikelihoods`` (how many), ``largest_difference`` (nats) and
        ``same_choice`` (share of items); of texts ``answers`` (how many) and ``same_answers`` (share);
        ``differing``, the items that were right on one engine alone or answered otherwise, the first 20.
    """
    known = {key(dict(row)): row for row in first}
    pairs = [(known[name], row) for row in second if (name := key(dict(row))) in known]
    distances: list[float] = []
    choices: list[bool] = []
    texts: list[bool] = []
    differing = []
    for one, two in pairs:
        mine, theirs = one.get("loglikelihoods") or [], two.get("loglikelihoods") or []
        distances += [abs(a - b) for a, b in zip(mine, theirs, strict=True)]
        if one.get("chosen") is not None:
            choices.append(one["chosen"] == two.get("chosen"))
        said = list(zip(one.get("answers") or [], two.get("answers") or [], strict=False))
        texts += [a == b for a, b in said]
        if one.get("correct") != two.get("correct") or any(a != b for a, b in said):
            differing.append({"task": one["task"], "id": one["id"], "filter": one.get("filter")})
    return {
        "engines": list(engines),
        "items": len(pairs),
        "loglikelihoods": len(distances),
        "largest_difference": max(distances, default=None),
        "same_choice": sum(choices) / len(choices) if choices else None,
        "answers": len(texts),
        "same_answers": sum(texts) / len(texts) if texts else None,
        "differing": differing[:20],
    }


def sentence(found: Mapping[str, Any]) -> str:
    """Say in words what :func:`difference` found."""
    said = [f"{found['items']} items on {' and '.join(found['engines'])}"]
    if found["loglikelihoods"]:
        said.append(f"log-likelihoods differ by at most {found['largest_difference']:.2g} nats")
    if found["same_choice"] is not None:
        said.append(f"{found['same_choice']:.1%} of choices are the same")
    if found["answers"]:
        said.append(f"{found['same_answers']:.1%} of answers are the same")
    return ", ".join(said)
