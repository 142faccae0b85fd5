"""Words and sentences that texts are made of; none comes from a data set."""

import random
import string
import uuid
from importlib.resources import files

import yaml

_READ = yaml.safe_load((files("smallwright_eval") / "long_context" / "words.yaml").read_text(encoding="utf-8"))
_ADJECTIVES, _NOUNS, CITIES = (_READ[kind].split() for kind in ("adjectives", "nouns", "cities"))
_PARTS = tuple(_READ[kind] for kind in ("subjects", "verbs", "objects", "times"))


def word(draw: random.Random) -> str:
    """Return an adjective and a noun, as RULER's keys are: ``quiet-harbor``."""
    return f"{draw.choice(_ADJECTIVES)}-{draw.choice(_NOUNS)}"


def number(draw: random.Random) -> str:
    """Return a number of seven digits."""
    return str(draw.randint(1_000_000, 9_999_999))


def identifier(draw: random.Random) -> str:
    """Return a random UUID."""
    return str(uuid.UUID(int=draw.getrandbits(128), version=4))


def letters(draw: random.Random, count: int, *, upper: bool = False) -> str:
    """Return random letters."""
    return "".join(draw.choices(string.ascii_uppercase if upper else string.ascii_lowercase, k=count))


def sentence(draw: random.Random) -> str:
    """Return a sentence about nothing in particular."""
    text = " ".join(draw.choice(kind) for kind in _PARTS)
    return f"{text[0].upper()}{text[1:]}."
