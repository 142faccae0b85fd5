"""Hosts and registrable domains of URLs, and lists of them in files."""

import functools
import re
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from core.errors import InputError
from core.storage import open_file

LONGEST_URL = 2_000
"""Characters of a URL that are looked at. No host is that long, and a hostile page can give any length."""
_ADDRESS = re.compile(r"[\d.]+|.*:.*")


def host_of(url: str) -> str:
    """Return the host of ``url`` in lower case, without a port; empty where there is none."""
    url = url[:LONGEST_URL]
    try:
        return (urlsplit(url if "//" in url else f"//{url}").hostname or "").rstrip(".")
    except ValueError:  # a broken IPv6 address
        return ""


def domain_of(url: str, kind: str) -> str:
    """Return what groups pages of one site.

    Args:
        kind: ``host``: the host without ``www.``; ``registrable``: the part of it that can be registered, such as
            ``example.co.uk``. Under a suffix that the list does not know it is the last two labels.
    """
    host = host_of(url)
    return host.removeprefix("www.") if kind == "host" else registrable(host)


@functools.lru_cache(maxsize=65_536)
def registrable(host: str) -> str:
    """Return the registrable domain of ``host``; an address or a single label stays what it is."""
    from tld import get_fld

    if not host or "." not in host or _ADDRESS.fullmatch(host):
        return host
    return get_fld(f"http://{host}", fail_silently=True) or ".".join(host.split(".")[-2:])


def entries(lines: Iterable[str]) -> Iterator[str]:
    """Yield the lines of a list without comments, empty lines and surrounding space."""
    for line in lines:
        if (entry := line.strip()) and not entry.startswith("#"):
            yield entry


def entries_of_files(paths: Iterable[str]) -> Iterator[str]:
    """Yield the entries of list files, wherever fsspec finds them.

    Raises:
        InputError: a file cannot be read.
    """
    for path in paths:
        try:
            with open_file(path, "rt", encoding="utf-8-sig", compression="infer") as file:
                yield from entries(file)
        except (OSError, ValueError, ImportError) as error:
            cause = getattr(error, "strerror", None) or error
            raise InputError(f"{path}: cannot read this list ({cause}).") from None
