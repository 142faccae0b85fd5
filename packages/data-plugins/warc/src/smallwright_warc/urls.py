"""URLs in a form that can be compared, and sets of very many of them."""

import array
import bisect
import hashlib
import re
from collections.abc import Iterable

from core.errors import InputError
from core.storage import open_file

_PARTS = re.compile(
    r"(?:https?://)?(?:[^/?#@]*@)?(?P<host>\[[^\]/?#]*\]|[^/?#:]*)(?::(?P<port>\d*))?(?P<rest>[^#]*)", re.IGNORECASE
)
_ESCAPE = re.compile(r"%[0-9a-fA-F]{2}")
_UNRESERVED = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~")


def normalize_url(url: str) -> str:
    """Return what two spellings of one page's URL share: ``host/path?query``.

    Left out are the scheme, user names, default ports, a ``www.`` before the host, the fragment and a last slash;
    the host is in lower case, and escapes of letters, digits, ``-._~`` are resolved (RFC 3986 §6.2).
    """
    match = _PARTS.match(url.strip())
    assert match is not None, "every part of the pattern may be empty"
    host = match["host"].lower().rstrip(".").removeprefix("www.")
    port = f":{match['port']}" if match["port"] not in (None, "", "80", "443") else ""
    path, mark, query = match["rest"].partition("?")
    return host + port + _ESCAPE.sub(_resolve, path).rstrip("/") + mark + _ESCAPE.sub(_resolve, query)


def _resolve(match: re.Match[str]) -> str:
    character = chr(int(match.group()[1:], 16))
    return character if character in _UNRESERVED else match.group().upper()


class UrlSet:
    """URLs, compared normalised, kept as sorted 64-bit hashes: eight bytes each.

    Among a hundred million URLs a wrong match has a probability of 5e-12 a page.
    """

    def __init__(self, urls: Iterable[str]) -> None:
        self._hashes = array.array("Q", sorted({_hash(url) for url in urls if url.strip()}))

    @classmethod
    def load(cls, urls: tuple[str, ...], files: tuple[str, ...], where: str) -> "UrlSet | None":
        """Read URLs from settings and from files of one URL a line; None when there are no settings.

        Raises:
            InputError: a file cannot be read, or there is no URL in any of them.
        """
        if not urls and not files:
            return None
        found = cls([])
        hashes = array.array("Q", (_hash(url) for url in urls if url.strip()))
        for path in files:
            try:
                with open_file(path, "rt", encoding="utf-8", errors="replace", compression="infer") as file:
                    hashes.extend(_hash(line) for line in file if line.strip())
            except (OSError, ValueError, ImportError) as error:
                raise InputError(f"{where}.url_files: {path} cannot be read: {error}") from error
        if not hashes:
            raise InputError(f"{where}.url_files: no URL in {', '.join(files)}.")
        import numpy as np

        found._hashes = array.array("Q")
        found._hashes.frombytes(np.unique(np.frombuffer(hashes, dtype=np.uint64)).tobytes())
        return found

    def __len__(self) -> int:
        return len(self._hashes)

    def __contains__(self, url: str) -> bool:
        value = _hash(url)
        place = bisect.bisect_left(self._hashes, value)
        return place < len(self._hashes) and self._hashes[place] == value


def _hash(url: str) -> int:
    digest = hashlib.blake2b(normalize_url(url).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")
