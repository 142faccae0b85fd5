"""What the writer of ``key=value`` means, so that Hydra's grammar reads it: the home folder, quotes, brackets."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from core.errors import ConfigError
from core.kinds import GROUPS, SEVERAL_GROUPS

OVERRIDE = re.compile(r"^(?P<prefix>\+\+|\+|~)?(?P<key>[\w./@:\-]+)(?P<assign>=(?P<value>.*))?$", re.DOTALL)
HOME = re.compile(r"~[\w.-]*(?=/|$)")
"""The home folder at the beginning of a path, the user's own or that of another."""
CLOSES = {"[": "]", "{": "}", "(": ")"}


def home_written_out(text: str) -> str:
    """Return a path that begins with ``~`` with the home folder in its place; any other text as it is."""
    match = HOME.match(text)
    if match is None:
        return text
    try:
        return f"{Path(match[0]).expanduser()}{text[match.end() :]}"
    except RuntimeError:  # no such user
        return text


def given_twice(overrides: Sequence[str]) -> list[str]:
    """Return a line for each key that has two values: as in Hydra the last one counts, so that scripts can append."""
    values: dict[str, str] = {}
    lines = []
    for override in overrides:
        match = OVERRIDE.match(override)
        if match is None or match["prefix"] == "~" or not match["assign"]:
            continue
        key, value = match["key"], match["value"].strip()
        if values.get(key, value) != value:
            lines.append(f"{key} is set twice; {key}={value} counts, and {key}={values[key]} changes nothing")
        values[key] = value
    return lines


def readable(override: str) -> str:
    """Return the override with quotes where Hydra's grammar needs them: around accents, spaces, ``~`` and signs.

    Raises:
        ConfigError: a bracket or a quote is not closed, or several values stand where one is meant.
    """
    match = OVERRIDE.match(override)
    if match is None or not match["value"] or match["prefix"] == "~":
        return override
    start = override[: match.start("value")]
    key, value = match["key"], match["value"].strip()
    refuse_open(key, value)
    if _is_list(value) or _is_mapping(value):
        value = _with_quotes(value)
    elif not _reads(value):
        if is_sweep(override):
            raise ConfigError(_of_a_sweep(key, value))
        if _reads(value, sweep=True):
            return f"{start}[{value}]"
        value = _quoted(value)
    return f"{start}{value}"


def is_sweep(override: str) -> bool:
    """Whether an override asks for a run of each of several values; one of several options of a group does not."""
    match = OVERRIDE.match(override)
    if match is None or not match["value"] or match["prefix"] == "~" or match["key"] in SEVERAL_GROUPS:
        return False
    value = match["value"].strip()
    alone = _is_list(value) or _is_mapping(value) or _reads(value)
    return not alone and _reads(value, sweep=True)


def _of_a_sweep(key: str, value: str) -> str:
    if len(list(split(value, ","))) == 1:
        return f"{key}={value}: a run for each of these values? Then add -m. As a text: '{key}=\"{value}\"'."
    if key in GROUPS:
        return f"{key}={value}: one option of {key} a run. Add -m for a run of each."
    return (
        f"{key}={value}: several values. Write '{key}=[{value}]' for a list, add -m for a run of each, or put quotes "
        f"where the commas belong to one value: '{key}=\"{value}\"'."
    )


def _reads(value: str, *, sweep: bool = False) -> bool:
    """Whether Hydra reads a value as one, or with ``sweep`` as several."""
    try:
        return OverridesParser.create().parse_override(f"key={value}").is_sweep_override() <= sweep
    except HydraException:
        return False


def _with_quotes(value: str) -> str:
    """Return a list or mapping with quotes around the items that need them."""
    items = []
    for item in split(value[1:-1], ","):
        key = ""
        if _is_mapping(value) and len(parts := list(split(item, ":"))) > 1:
            key, item = f"{parts[0].strip()}: ", ":".join(parts[1:])
        item = item.strip()
        if _is_list(item) or _is_mapping(item):
            items.append(f"{key}{_with_quotes(item)}")
        else:
            items.append(f"{key}{item if not item or _reads(item) else _quoted(item)}")
    return f"{value[0]}{', '.join(items)}{value[-1]}"


def _quoted(text: str) -> str:
    if text[0] in "'\"" and text[-1] == text[0] and len(text) > 1:
        return text
    quote = '"' if "'" in text and '"' not in text else "'"
    # A backslash counts as itself unless a quote follows.
    escaped = re.sub(rf"(\\*)({quote}|$)", lambda found: found[1] * 2 + (rf"\{quote}" if found[2] else ""), text)
    return f"{quote}{escaped}{quote}"


def _is_list(value: str) -> bool:
    return value.startswith("[") and _end(value) == len(value) - 1


def _is_mapping(value: str) -> bool:
    return value.startswith("{") and _end(value) == len(value) - 1


def _end(value: str) -> int | None:
    """Return the place of the bracket that closes the first one."""
    return next((place for place, depth in _depths(value) if depth == 0 and place), None)


def split(text: str, sign: str) -> Iterator[str]:
    """Yield the parts of a text between signs outside of brackets and quotes."""
    begin = 0
    for place, depth in _depths(text):
        if depth == 0 and text[place] == sign:
            yield text[begin:place]
            begin = place + 1
    yield text[begin:]


def _depths(text: str) -> Iterator[tuple[int, int]]:
    """Yield each place outside of quotes with the number of brackets that are open after it."""
    depth, quote, begins = 0, "", True
    for place, sign in enumerate(text):
        if quote:
            if sign == quote and text[place - 1] != "\\":
                quote = ""
            continue
        # A quote begins a value; elsewhere it is an apostrophe.
        if sign in "'\"" and begins and _closing_quote(text, place) is not None:
            quote = sign
            continue
        depth += (sign in CLOSES) - (sign in CLOSES.values())
        begins = sign in "[{,:" or (begins and sign == " ")
        yield place, depth


def _closing_quote(text: str, place: int) -> int | None:
    found = re.compile(rf"(?<!\\){text[place]}").search(text, place + 1)
    return None if found is None else found.start()


def unmatched(text: str) -> str | None:
    """Return the first bracket that keeps a comma from parting values though it is not closed, or closes none."""
    opened: list[int] = []
    for place, _ in _depths(text):
        if text[place] in CLOSES:
            opened.append(place)
        elif text[place] in CLOSES.values():
            if not opened and "," in text[place:]:
                return text[place]
            opened = opened[:-1]
    return text[opened[0]] if opened and "," in text[opened[0] :] else None


def refuse_open(key: str, value: str) -> None:
    """Refuse a list or mapping that is not closed, and a value that begins with a quote and does not end with it."""
    if value[0] in "[{" and all(depth > 0 for _, depth in _depths(value)):
        raise ConfigError(f"{key}={value}: the {value[0]} is not closed. Write '{key}={value}{CLOSES[value[0]]}'.")
    if value[0] in "'\"" and _closing_quote(value, 0) is None:
        raise ConfigError(f"{key}={value}: the quote {value[0]} is not closed. Write {key}={value}{value[0]}.")
