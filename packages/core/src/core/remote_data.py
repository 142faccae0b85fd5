"""Which data sets of the Hugging Face hub a stage reads."""

import dataclasses
import re
from collections.abc import Iterable, Sequence

LOCK = "datasets.lock.json"
"""Beside fetched data sets: the commit, size and SHA-256 of each file."""
DEFAULT = "default"
CONVERTED = "refs/convert/parquet"
"""Where the hub keeps its own conversion of a data set to Parquet, below each configuration a folder for each split."""

_PART = re.compile(r"(.*-)(\d{5})(-of-(\d{5}).*)")
"""A file of a split that has several; hubs put a hash behind it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RemoteData:
    """A data set on the hub that a stage reads; stages name theirs with :meth:`core.interfaces.Stage.fetches`."""

    name: str
    """``owner/name``."""
    config: str | None = None
    splits: tuple[str, ...]
    revision: str | None = None
    """The commit to read; None: the newest, which the lock then keeps."""
    converted: bool = False
    """The commit has no Parquet: the hub's own conversion is read."""
    elsewhere: str = ""
    """Where the data is, if it is not on the hub and must be brought by hand."""
    wanted_by: str = ""
    """What reads it, for messages."""

    @property
    def folder(self) -> str:
        """Return where it is below the folder of all."""
        return f"{self.name.replace('/', '__')}/{self.config or DEFAULT}"


def merged(data: Sequence[RemoteData]) -> list[RemoteData]:
    """Return each data set and configuration once, with the splits of all that read it."""
    found: dict[tuple[str, str | None], RemoteData] = {}
    for one in data:
        former = found.get((one.name, one.config))
        splits = tuple(dict.fromkeys([*(former.splits if former else ()), *one.splits]))
        found[one.name, one.config] = dataclasses.replace(former or one, splits=splits)
    return list(found.values())


def missing_part(names: Iterable[str]) -> str | None:
    """Return the first file that a split lacks by the names of its others: ``test-00001-of-00002.parquet``.

    Of a name with a hash behind it, the file that is missing has another hash; the name says its place all the same.
    """
    there: dict[tuple[str, int], dict[int, str]] = {}
    for name in names:
        if found := _PART.fullmatch(name):
            there.setdefault((found[1], int(found[4])), {})[int(found[2])] = name
    for (beginning, total), parts in there.items():
        lost = next((number for number in range(total) if number not in parts), None)
        if lost is not None:
            return f"{beginning}{lost:05d}-of-{total:05d}.parquet"
    return None
