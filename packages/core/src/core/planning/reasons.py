"""Why an artifact is made anew, in the keys that a user writes: what an earlier one's identity has otherwise."""

import re
from collections.abc import Sequence
from typing import Any

from core.graph import StageSpec
from core.interfaces import is_tokens
from core.store import Difference

DIGEST = re.compile(r"[0-9a-f]{12}|[0-9a-f]{64}")
"""What stands for an artifact, or for the content of a file, in an identity."""
MOST = 3


def render(spec: StageSpec, differences: Sequence[Difference]) -> str:
    """Return the first differences as one line: ``pretrain.steps 5 -> 7; another corpus; and 2 more``."""
    said = list(dict.fromkeys(_said(spec, difference) for difference in differences))
    more = [f"and {len(said) - MOST} more"] if len(said) > MOST else []
    return "; ".join(said[:MOST] + more)


def _said(spec: StageSpec, difference: Difference) -> str:
    key, before, after = difference.key, difference.before, difference.after
    first, _, rest = key.partition(".")
    if first == "inputs":
        if is_tokens(rest):
            return f"other {rest.replace('tokens-', 'tokens of data.')}"
        if rest.startswith("logits-"):
            return "other stored distributions of the teacher"
        return f"another {rest.replace('corpus-', 'corpus of data.')}"
    if first in ("implementation", "plugin"):
        return f"made by {after} instead of {before}"
    if first == "artifact_version":
        return f"a newer way of making it ({before} -> {after})"
    place = _place(spec, first, rest)
    if place.endswith(".artifact_version"):
        return f"a newer way of doing {place.removesuffix('.artifact_version')} ({before} -> {after})"
    if _is_content(before) or _is_content(after):
        return f"{place}: other files, or other content"
    return f"{place} {_shown(before)} -> {_shown(after)}"


def _place(spec: StageSpec, first: str, rest: str) -> str:
    """Return the key of a setting on the command line, for the key that an identity has it under."""
    own = {"crawl": "data.source", "init": "arch.initializer"}.get(first, first)
    if spec.folder in ("data", "crawl") and "-" in spec.name:  # one of several recipes
        own = own.replace("data", f"data.{spec.name.partition('-')[2]}", 1)
    if spec.folder == "posttrain" and first == spec.name.partition("-")[0]:
        own = f"posttrain.{spec.name}"
    # A step's settings stand under its label, its name under ``use``.
    rest = re.sub(r"^(steps\.[^.]+)\.config(\.|$)", r"\1\2", rest)
    rest = re.sub(r"^(steps\.[^.]+)\.implementation$", r"\1.use", rest)
    rest = "paths" if (own.startswith("data"), rest) == (True, "files") else rest
    return f"{own}.{rest}" if rest else own


def _is_content(value: Any) -> bool:
    values = value if isinstance(value, (list, tuple)) else [value]
    return bool(values) and any(isinstance(one, str) and DIGEST.fullmatch(one) for one in values)


def _shown(value: Any) -> str:
    if value is None:
        return "null"
    text = str(value).lower() if isinstance(value, bool) else " ".join(str(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."
