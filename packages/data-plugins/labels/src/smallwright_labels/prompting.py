"""Prompts: text files with front matter for the scale, and variants chosen by a document's metadata.

A prompt file::

    ---
    scale: 5                       # highest score; the lowest is 0. Default: 5
    variants:                      # optional: one prompt for each, chosen by metadata[prompt_by]
      python: {names: [python, py], example: "a class with docstrings"}
    defaults: {example: "a short program"}   # optional: values that a variant may leave out
    ---
    Rate this file from 0 to 5. ... For example: {example}.

    {document}
"""

import dataclasses
import hashlib
import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from core.errors import ConfigError, InputError, nearest

PLACEHOLDER = "{document}"
FRONT_MATTER = re.compile(r"\A---\n(.*?\n)---\n", re.DOTALL)
DEFAULT_SCALE = 5
LARGEST_SCALE = 10
DOMAINS = ("maths", "maths_3", "education", "code")
# Control tokens of common chat formats, and the marks around the page in our prompts. A page that holds them could end
# the turn, or the page, and go on as if the rest were our words.
CONTROL_TOKENS = re.compile(
    r"<\|[^|<>\s]{1,40}\|>|<｜[^｜<>\s]{1,40}｜>|\[/?(?:INST|SYSTEM_PROMPT)\]|<</?SYS>>|</?s>|<[be]os>|"
    r"<(?:start|end)_of_turn>|<\s{0,9}/?\s{0,9}page\s{0,9}>",
    re.I,
)
REMOVED = "\N{REPLACEMENT CHARACTER}"
"""Stands where a control token was. With nothing in its place, the text before and after it could make a new one."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prompt:
    """One prompt with its scale."""

    name: str
    text: str
    """Instructions with ``{document}`` in them once."""
    scale: int
    """Highest score."""

    @property
    def tag(self) -> str:
        """Name and content: ``maths#1f2e3d4c5b6a``."""
        digest = hashlib.sha256(f"{self.scale}\n{self.text}".encode()).hexdigest()
        return f"{self.name}#{digest[:12]}"

    def filled(self, document: str, ask: str) -> str:
        """Return the whole instruction for one document."""
        return self.text.replace(PLACEHOLDER, document).rstrip() + "\n\n" + ask


def shown_text(text: str, max_chars: int) -> tuple[str, bool]:
    """Return as much of a document as is shown, without control tokens, and whether it was cut."""
    return CONTROL_TOKENS.sub(REMOVED, text[:max_chars]), len(text) > max_chars


class Prompts:
    """The prompt of each document.

    Args:
        name: A domain of this package, or the path of a prompt file.
        key: Metadata key that chooses the variant, where the prompt has variants.

    Raises:
        InputError: there is no such file, or it is no prompt.
    """

    def __init__(self, name: str, key: str | None) -> None:
        self._key = key
        stem, text = _source(name)
        matched = FRONT_MATTER.match(text)
        try:
            front = yaml.safe_load(matched[1]) if matched else {}
        except yaml.YAMLError as error:
            raise InputError(f"prompt {name}: its front matter is no YAML: {str(error).splitlines()[0]}") from None
        front = front or {}
        if not isinstance(front, Mapping) or not set(front) <= {"scale", "variants", "defaults"}:
            raise InputError(f"prompt {name}: front matter takes scale, variants and defaults, not {front!r:.200}.")
        self.scale = front.get("scale", DEFAULT_SCALE)
        if not isinstance(self.scale, int) or not 1 <= self.scale <= LARGEST_SCALE:
            raise InputError(f"prompt {name}: scale={self.scale!r} must be a whole number from 1 to {LARGEST_SCALE}.")
        body = text[matched.end() :] if matched else text
        if body.count(PLACEHOLDER) != 1:
            raise InputError(f"prompt {name}: it must have {PLACEHOLDER} in it exactly once.")
        self._names: dict[str, str] = {}
        self._prompts: dict[str, Prompt] = {}
        variants = front.get("variants") or {}
        if variants and key is None:
            raise ConfigError(
                f"prompt_by: prompt {stem} has variants ({', '.join(map(str, variants))}); name the metadata key that "
                "chooses one: data.scorer.prompt_by=language."
            )
        for variant, values in variants.items():
            if not isinstance(values, Mapping):
                raise InputError(f"prompt {name}: variant {variant} must be a mapping of words to put in.")
            own = {**(front.get("defaults") or {}), **values}
            for other in own.pop("names", [variant]):
                self._names[_plain(str(other))] = str(variant)
            filled = _put_in(_put_in(body, own), own)  # a value may use another one
            if filled.count(PLACEHOLDER) != 1:
                raise InputError(f"prompt {name}: variant {variant} must leave {PLACEHOLDER} in it exactly once.")
            self._prompts[str(variant)] = Prompt(name=f"{stem}/{variant}", text=filled, scale=self.scale)
        if not variants:
            self._prompts[""] = Prompt(name=stem, text=body, scale=self.scale)

    def of(self, metadata: Mapping[str, Any]) -> Prompt | None:
        """Return the prompt of a document; None when its metadata names no variant."""
        if not self._names:
            return self._prompts[""]
        assert self._key is not None
        variant = self._names.get(_plain(str(metadata.get(self._key, ""))))
        return None if variant is None else self._prompts[variant]

    def variants(self) -> tuple[Prompt, ...]:
        """Return all prompts that a document can get."""
        return tuple(self._prompts.values())


def _source(name: str) -> tuple[str, str]:
    own = files("smallwright_labels.prompts").joinpath(f"{name}.md")
    if re.fullmatch(r"\w+", name) and own.is_file():
        return name, own.read_text(encoding="utf-8")
    path = Path(name)  # "~" is not expanded: a run's identity takes the content of the path as it is written
    if path.is_file():
        try:
            return path.stem, path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise InputError(f"data.scorer.prompt={name}: the file is not UTF-8 text.") from None
    raise InputError(
        f"data.scorer.prompt={name}: no such file and no prompt of this package.{nearest(name, DOMAINS)} "
        f"Prompts: {', '.join(DOMAINS)}; or give a text file with {PLACEHOLDER} in it."
    )


def _plain(name: str) -> str:
    return name.strip().lower()


def _put_in(text: str, values: Mapping[str, Any]) -> str:
    for key, value in values.items():
        text = text.replace("{" + str(key) + "}", str(value))
    return text
