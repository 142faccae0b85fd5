"""What is written like an e-mail or IP address and is none: versions, object identifiers, file names, code.

DataTrove's patterns find the places. Here they are judged by what stands in them and around them. In doubt it is an
address: a version that nothing around it calls one is masked.
"""

import re
from collections.abc import Iterable, Iterator

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
_CALLED_A_VERSION = re.compile(
    r"(?:"
    r"(?:versi[oó]n\w*|versão|versie|wersj\w+|verze|верси\w+|版本?|バージョン|버전|oids?|identifier)\W{0,6}"
    r"|(?<![A-Za-z])(?:v|ver|vers|release[sd]?|release notes|rel|build|firmware|kernel|patch|revision|rev|section|sec|"
    r"chapter|clause|paragraph|(?:up|down)grad\w+ (?:from|to)|updated? (?:from|to))\W{0,3}|§\s?"
    r"|(?:[~<>]=|~>)\s?|[\w)\]](?:[=!]=|[<>^~])"  # pkg==1.2.3.4, pkg (>= 1.2.3.4)
    r"|(?:^|[\s(\"'])[A-Za-z][\w+-]*/"  # Firefox/3.0.0.10
    r"|[\w-]+(?:\.[\w-]+)+:[\w.-]+:"  # org.group:artifact:1.2.3.4
    r"|[A-Za-z_][\w.]*-"  # lib2-1.2.3.4
    r")\Z",
    re.IGNORECASE,
)
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
    last_end, version = 0, False
    for start, end in spans:
        before = text[max(last_end, start - CONTEXT) : start]
        if not last_end or not _LIST.match(before):
            version = _CALLED_A_VERSION.search(text[max(0, start - CONTEXT) : start]) is not None
        last_end = end
        whole = not _NUMBER_BEFORE.search(text[max(0, start - 2) : start]) and not _NUMBER_BEHIND.match(text, end)
        if whole and not version and not _OBJECT_IDENTIFIER.match(text[start:end]):
            yield start, end


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
