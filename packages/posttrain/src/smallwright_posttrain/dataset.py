"""Where the rows of a chat or preference set come from, and what can be said of it while planning."""

from collections import Counter
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

from core.errors import ConfigError, InputError, nearest

from smallwright_posttrain import files, forms
from smallwright_posttrain.columns import KEYS_OF_MESSAGES
from smallwright_posttrain.config import TrainConfig
from smallwright_posttrain.rows import BadRow

ROWS_LOOKED_AT = 100
"""Rows that planning looks at."""

Numbered = Iterator[tuple[int, Any]]


def open_rows(config: TrainConfig, where: str, shipped: str) -> tuple[str, Numbered]:
    """Return the name of the set and its rows, numbered from 1.

    Args:
        where: Place of the settings, such as ``posttrain.sft``.
        shipped: File of this package that is read where the settings name none.

    Raises:
        InputError: there is no such file, or the hub does not give the set.
    """
    if config.dataset is None:
        with resources.as_file(resources.files("smallwright_posttrain.datasets") / shipped) as path:
            return f"smallwright_posttrain/{shipped}", iter(list(files.read_rows(path, where)))
    place = f"{where}.dataset={config.dataset}"
    if not config.on_hub():
        return config.dataset, files.read_rows(_local(config.dataset, place), place)
    from datasets import load_dataset

    # The hub fails in many ways (network, name, access, configuration), and its message says which it was.
    try:
        found = load_dataset(
            config.dataset, config.dataset_config, split=config.dataset_split, revision=config.dataset_revision
        )
    except Exception as error:
        first = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"{place}: not loaded from the hub: {first}") from error
    return config.dataset, ((number, row) for number, row in enumerate(found, start=1))


def check(config: TrainConfig, where: str, reader: forms.Reader) -> None:
    """Refuse, while planning, a file of which none of the first rows can be read.

    Raises:
        InputError: naming what the file has and what is read.
        ConfigError: ``columns`` names a column that the rows do not have.
    """
    if config.dataset is None or config.on_hub():
        return
    place = f"{where}.dataset={config.dataset}"
    reasons: Counter[str] = Counter()
    columns: dict[str, None] = {}
    for count, (_, row) in enumerate(files.read_rows(_local(config.dataset, place), place), start=1):
        try:
            if isinstance(row, BadRow):
                raise row
            columns |= dict.fromkeys(map(str, row))
            reader(row, config.columns or {})
        except BadRow as error:
            reasons[str(error)] += 1
        else:
            _check_columns(config, where, columns)
            return
        if count == ROWS_LOOKED_AT:
            break
    if columns:
        _check_columns(config, where, columns)
    raise InputError(nothing_usable(place, reasons.total(), reasons, list(columns), reader, first=True))


def nothing_usable(
    place: str, read: int, reasons: Counter[str], columns: list[str], reader: forms.Reader, *, first: bool = False
) -> str:
    """Return the line for a set of which no row can be used."""
    if not read:
        return f"{place}: the set is empty."
    reason, count = reasons.most_common(1)[0]
    which = f"none of the first {read} rows" if first and read == ROWS_LOOKED_AT else f"none of {read} rows"
    line = f"{place}: {which} can be used; {count} of them: {reason}."
    if columns:
        line += f" Its columns: {', '.join(columns[:30])}."
    if any("form" in reason or "pairs" in reason for reason in reasons):
        known = forms.CHAT_FORMS if reader is forms.chat_row else forms.PREFERENCE_FORMS
        line += f" Read are: {known}; name others with columns={{prompt: <column>, ...}}."
    return line


def _local(name: str, place: str) -> Path:
    path = Path(name).expanduser()
    if path.is_dir():
        raise InputError(f"{place}: a folder; name one file ({', '.join(files.ENDINGS)}).")
    if not path.is_file():
        raise InputError(f"{place}: there is no such file.")
    return path


def _check_columns(config: TrainConfig, where: str, found: dict[str, None]) -> None:
    for name, column in (config.columns or {}).items():
        if name not in KEYS_OF_MESSAGES and column not in found and column.split(".")[0] not in found:
            raise ConfigError(
                f"{where}.columns.{name}={column}: the rows have no such column.{nearest(column, found)} "
                f"Columns there: {', '.join(found)}."
            )
