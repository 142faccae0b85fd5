"""What is written like an e-mail or IP address and is none: versions, object identifiers, file names, code.

DataTrove's patterns find the places. Here they are judged by what stands in them and around them. In doubt it is an
address: a version is masked unless something around it calls it one, or the name of a program stands right before it.
"""

import re
from collections.abc import Iterable, Iterator

from smallwright_quality.products import is_called_a_host, is_version_of_product

CONTEXT = 60
"""Characters before an address that are looked at."""

_COMMON_ENDINGS = frozenset(("com", "org", "net", "edu", "gov", "info", "biz", "mil", "int"))
_FILE_ENDINGS = frozenset(
    ("bmp", "css", "csv", "cpp", "dll", "dmg", "exe", "gif", "gz", "htm", "html", "ico", "jar", "java")
)
_FILE_ENDINGS |= frozenset(
    ("jpeg", "jpg", "js", "json", "jsx", "less", "lock", "pdf", "php", "png", "scss", "svg", "tar")
)
_FILE_ENDINGS |= frozenset(("tgz", "tif", "tiff", "toml", "tsx", "txt", "webp", "whl", "xml", "yaml", "yml"))
"""Endings of file names that no domain has."""
_NOBODY = frozenset(("git", "git+git", "hg", "svn", "this", "super", "self"))
"""What stands before an @ in addresses of repositories (``git@host:path``), and in code (``this@Main.finish()``)."""
# RFC 5322 allows all of these in the local part; there they are quotes, assignments and parameters of what is around.
_BEFORE_LOCAL_PART = re.compile(r".*[=/`{|}&?#!$%*^~]'*|'+")
_SCREEN_SCALE = re.compile(r"[1-9](?:\.\d+)?x[.-]")
_VERSION = re.compile(r"v?\d+\.\d")
_NUMBERS_BEHIND = re.compile(r"(?:\.\d+)*\Z")

_NUMBER_BEFORE = re.compile(r"(?:[A-Za-z0-9_]|[A-Za-z0-9]\.)\Z")
_NUMBER_BEHIND = re.compile(
    r"[A-Za-z0-9_]|\.\d|[+-]\d*[A-Za-z]|\.(?:deb|dll|dmg|exe|gz|jar|js|css|min|msi|nupkg|pkg|rpm|so|tar|tgz|war|whl|zip)\b"
)
_VERSION_IN = (
    "version",
    "versión",
    "versão",
    "versie",
    "wersj",
    "verze",
    "верси",
    "版本",
    "バージョン",
    "버전",
    "identifier",
)
_VERSION_IS = frozenset(
    ("v", "ver", "vers", "oid", "oids", "rel", "release", "released", "releases", "rev", "revision")
)
_VERSION_IS |= frozenset(
    ("build", "firmware", "kernel", "patch", "sec", "section", "chapter", "clause", "paragraph", "§", "版")
)
_VERSION_IS |= frozenset(
    (
        "annex",
        "appendix",
        "article",
        "artikel",
        "equation",
        "example",
        "exercise",
        "fig",
        "figure",
        "lemma",
        "table",
        "tables",
    )
)
"""Words that a version, an object identifier or a section is called by: any that has one of the first in it."""
_CHANGES = re.compile(r"(?:(?:up|down)grad|updat)\w+\Z", re.IGNORECASE)
_BETWEEN = " \t\u00a0:=.\"'(<>[]{},#-"
_MOST_BETWEEN = 6
_LAST_WORD = re.compile(r"[\w§]+\Z")
_REQUIREMENT = re.compile(r"(?:(?:[~<>]=|~>)\s?|[\w)\]](?:[=!]=|[<>^~]))\Z")  # pkg==1.2.3.4, pkg (>= 1.2.3.4)
_PRODUCT = re.compile(r"(?:^|[\s(\"'])[A-Za-z][\w+-]*/\Z")  # Firefox/3.0.0.10
_ARTIFACT = re.compile(r"[\w-]+(?:\.[\w-]+)+:[\w.-]+:\Z")  # org.group:artifact:1.2.3.4
_LIBRARY = re.compile(r"[A-Za-z_][\w.]*-\Z")  # lib2-1.2.3.4
_OBJECT_IDENTIFIER = re.compile(r"(?:1\.3\.6\.1|2\.5\.(?:4|29)\.\d+)\Z")
_LIST = re.compile(r"[ \t]*(?:[,;/&–-]|and\b|or\b|to\b|through\b)(?:[ \t,;]|and\b|or\b|to\b)*\Z")
"""What stands between the members of a list or range: if the first one is called a version, all of them are."""


def mail_addresses(text: str, spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield the spans that are e-mail addresses, without the code or the URL that stands before one."""
    for start, end in spans:
        local, _, domain = text[start:end].rpartition("@")
        before = _BEFORE_LOCAL_PART.match(local)
        if before is not None and before.end() < len(local):
            start, local = start + before.end(), local[before.end() :]
        numbers = _NUMBERS_BEHIND.search(domain)
        if numbers is not None and not domain.startswith("["):  # the end of a sentence without a blank behind it
            end, domain = end - len(numbers.group()), domain[: numbers.start()]
        if text[start - 1 : start] != "\\" and _is_person(local) and _is_domain(domain, text[end : end + 1]):
            yield start, end


def ip_addresses(text: str, spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield the spans that are IP addresses."""
    last_end, version, first = 0, False, ""
    for start, end in spans:
        number, behind = text[start:end], text[end : end + 2]
        if not last_end or not _LIST.match(text[max(last_end, start - CONTEXT) : start]):
            first = text[max(0, start - CONTEXT) : start]
            version = _is_called_a_version(first)
        last_end = end
        whole = not _NUMBER_BEFORE.search(text[max(0, start - 2) : start]) and not _NUMBER_BEHIND.match(text, end)
        if not whole or version or _OBJECT_IDENTIFIER.match(number) or is_version_of_product(first, number, behind):
            continue
        yield start, end


def _is_called_a_version(before: str) -> bool:
    """Say whether what stands before a number calls it a version, or something else that is no address."""
    last = before[-1:]
    if last in "/-" and is_called_a_host(before):
        return False
    if last == "/":
        return _PRODUCT.search(before) is not None
    if last == "-":
        return _LIBRARY.search(before) is not None
    if _REQUIREMENT.search(before[-4:]) or (last == ":" and _ARTIFACT.search(before)):
        return True
    head = before.rstrip(_BETWEEN)
    word = _LAST_WORD.search(head[-24:]) if len(before) - len(head) <= _MOST_BETWEEN else None
    if word is None:
        return False
    name = word.group().lower()
    if name in _VERSION_IS or any(part in name for part in _VERSION_IN):
        return True
    ahead = head[: len(head) - len(name)].rstrip() if name in ("notes", "from", "to") else ""
    return bool(ahead) and (
        _CHANGES.search(ahead) is not None if name != "notes" else ahead.lower().endswith("release")
    )


def _is_person(local: str) -> bool:
    return local.lower() not in _NOBODY


def _is_domain(domain: str, behind: str) -> bool:
    if domain.startswith("["):
        return True
    ending = domain.rpartition(".")[2].lower()
    common = ending in _COMMON_ENDINGS
    if not ((ending.isalpha() and len(ending) > 1) or ending.startswith("xn--")) or ending in _FILE_ENDINGS:
        return False
    if _VERSION.match(domain) or (_SCREEN_SCALE.match(domain) and not common):
        return False
    # A call: numpy's x@weights.transpose(), Kotlin's this@Main.finish()
    return behind != "(" or common or len(ending) == 2
