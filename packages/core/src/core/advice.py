"""Advice that can be followed: what a message offers is tried first."""

import re

from core import typed
from core.errors import ConfigError, UserError
from core.registry import Entry

_SETTABLE = re.compile(r"\b([Ss]et) arch\.[\w.]+=[^\s,]+,? or ")
_ARCH = re.compile(r"arch\.(?=\w+=)")
_TEXT = re.compile(r"data\.steps\.read\.text=text: (.*)", re.DOTALL)
_TEXT_FIX = re.compile(r" Name the field of the text, such as .*", re.DOTALL)


def of_entries(error: UserError, model: str | None, corpus: str | None) -> UserError:
    """Return an error in the words of who starts from what exists, and so has set no keys of ``arch`` or ``data``.

    Args:
        model: What ``model=`` names, if anything.
        corpus: What ``corpus=`` names.
    """
    text = str(error)
    if model is not None and _ARCH.match(text):
        fixed = _SETTABLE.sub(lambda found: f"{found[1]} ", text)
        text = f"model={model}: config.json: {_ARCH.sub('', fixed, count=1)}"
    if corpus is not None and (found := _TEXT.match(text)):
        said = re.sub("no such (column|field)", r"no \1 text", _TEXT_FIX.sub("", found[1]))
        use = " data.steps.read.use=read_parquet" if "column" in said else ""
        text = (
            f"corpus={corpus}: {said} To take the documents from another, name it in a recipe: +data=jsonl "
            f"'data.paths=[<files>]'{use} data.steps.read.text=<name>."
        )
    elif corpus is not None and text.startswith("data."):
        text = f"corpus={corpus}: {text}"
    return type(error)(text)


def of_recipe(error: UserError, where: str) -> UserError:
    """Return an error of a step's settings under the keys of its recipe, which may be one of several.

    Args:
        where: Place of the recipe: ``data``, or ``data.<label>``.
    """
    return type(error)(str(error).replace("data.steps.", f"{where}.steps."))


def tokenizer_of(entry: Entry, config: object, ids: int) -> str:
    """Return ``" or tokenizer.vocab_size=<ids>"`` where that tokenizer can be had with so many ids, else nothing."""
    try:
        smaller = typed.build(type(config), {**vars(config), "vocab_size": ids}, "tokenizer")
        fits = entry.build(smaller).vocab_size() == ids
    except (UserError, TypeError):
        return ""
    return f" or tokenizer.vocab_size={ids}" if fits else ""


def as_of_tokenizer(error: ConfigError, where: str, config: object) -> ConfigError:
    """Return an error under the key that the user has: the rows of an embedding follow the tokenizer's vocabulary."""
    rows = f"{where}.vocab_size"
    if not str(error).startswith(rows):
        return error
    own = "tokenizer.vocab_size" if hasattr(config, "vocab_size") else "tokenizer"
    return ConfigError(f"{own}{str(error).removeprefix(rows)} {rows} follows it.")
