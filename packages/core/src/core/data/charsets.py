"""From the bytes of a web page to its text, by the labels and decoders of the Encoding Standard.

Python's codecs of the same names know fewer characters than browsers do: EUC-KR is cp949 there, Shift_JIS is cp932,
Big5 is cp950 with Hong Kong's characters, GBK is GB18030 with a euro at 0x80, and no windows-125x leaves a byte of
0x80 to 0x9F undefined. Reference: https://encoding.spec.whatwg.org/
"""

import codecs
import contextlib
import functools
import re
import threading
from collections.abc import Callable

from core.data.charset_labels import LABELS, PYTHON
from core.data.pages import Utf8Text

BOMS = ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
CJK = ("euc_kr", "shift_jis", "big5", "gbk", "gb18030", "euc_jp")
ESCAPED = ("iso2022_jp", "iso2022_kr", "hz")
"""Encodings whose bytes are all ASCII."""
NEARLY = 20
"""With a misfit or less for so many bytes beyond ASCII, a page is UTF-8 whatever it declares."""
FEW_BYTES = 6
"""With fewer bytes beyond ASCII, characters of an East Asian charset are often valid UTF-8 by chance."""
HEAD_BYTES = 1 << 16
"""How far into a page its declaration is looked for. Browsers look at 1,024 bytes before they begin and at the rest of
the head later."""

_COMMENT = re.compile(rb"<!--.*?(?:-->|\Z)", re.DOTALL)
_META = re.compile(rb"<meta[\s/]([^<>]{1,2000})", re.IGNORECASE)
_CONTENT_TYPE = re.compile(rb"""http-equiv\s*=\s*["']?\s*content-type""", re.IGNORECASE)
_CONTENT = re.compile(rb"""content\s*=\s*(?:"[^"]*"|'[^']*'|[^\s>]+)""", re.IGNORECASE)
_CHARSET = re.compile(rb"""(?:^|[\s/"';])charset\s*=\s*["']?\s*([^\s"'/>;,]{1,40})""", re.IGNORECASE)
_XML = re.compile(rb"""\s*<\?xml\s[^>]{0,200}?encoding\s*=\s*["']\s*([^\s"'>]{1,40})""")
_ESCAPE_JP = re.compile(rb"\x1b([($][@BIJ])")
_NEWER = {"koi8-u": {0xAE: "\u045e", 0xBE: "\u040e"}, "cp1255": {0xCA: "\u05ba"}}
"""Characters that the Encoding Standard has and Python's tables do not."""
_ODD_SHIFT_JIS = re.compile("[\uf8f0-\uf8f3]")
"""What cp932 makes of bytes that begin nothing."""
_PRIVATE_GB18030 = re.compile("[\ue5e5-\ue864]")
_GB18030_OF_2005 = str.maketrans(
    "\ue78d\ue78e\ue78f\ue790\ue791\ue792\ue793\ue794\ue795\ue796\ue7c7"
    "\ue81e\ue826\ue82b\ue82c\ue832\ue843\ue854\ue864\ue5e5",
    "\ufe10\ufe12\ufe11\ufe13\ufe14\ufe15\ufe16\ufe17\ufe18\ufe19\u1e3f"
    "\u9fb4\u9fb5\u9fb6\u9fb7\u9fb8\u9fb9\u9fba\u9fbb\u3000",
)
_JIS_OF_MICROSOFT = str.maketrans("\u301c\u2016\u2212\xa2\xa3\xac", "\uff5e\u2225\uff0d\uffe0\uffe1\uffe2")
_HIGH = bytes(byte | 0x80 if 0x21 <= byte <= 0x7E else byte for byte in range(256))
_BEYOND_ASCII = bytes(range(0x80, 0x100))

MOST_CALLS = 100_000
"""Bytes that Python's codec does not know and that are looked at one by one. No page has more; megabytes of them, made
on purpose, would take seconds."""


class _TooManyMisfits(Exception):
    """A page has more bytes that do not fit than are looked at."""


_left = threading.local()
Detect = Callable[[bytes], str | None]


def decode_page(data: bytes, declared: str = "", detect: Detect | None = None) -> tuple[str, str] | None:
    """Decode a page and return its text and the charset used; None where nothing says which it is.

    The first of these that applies is taken:

    1. a byte order mark, the zero bytes of UTF-16, or the escapes of ISO-2022-JP;
    2. UTF-8, where nearly all bytes beyond ASCII are valid UTF-8, whatever is declared: other text almost never is;
    3. the charset declared by the HTTP header, or by the page's ``<meta>`` or XML declaration, where that fits better;
    4. what ``detect`` says.

    A declaration is doubted only where most of what is not ASCII does not fit it; what does not fit becomes U+FFFD. A
    label of UTF-16 is not believed of a page of single bytes.

    Args:
        declared: Label of the HTTP header, or empty. Only labels of the Encoding Standard count.
        detect: Guesses a label.
    """
    for bom, name in BOMS:
        if data.startswith(bom):
            return decode(data[len(bom) :], name), name
    header = encoding_of(declared)
    if data.startswith(codecs.BOM_UTF8):
        data, header = data[len(codecs.BOM_UTF8) :], "utf-8"
    of_two_bytes = header is not None and header.startswith("utf-16")
    if (utf_16 := _utf_16_by_zeros(data, of_two_bytes)) is not None:
        return decode(data, utf_16), utf_16
    if data.isascii():
        escaped = _escaped(data, header)
        if escaped is not None:
            return decode(data, escaped), escaped
        unlike = header is not None and header not in ("utf-8", "cp1252") and not of_two_bytes
        return Utf8Text.decode(data), header if header is not None and unlike else "utf-8"
    with contextlib.suppress(UnicodeDecodeError):
        text = Utf8Text.decode(data)
        if len(data) - len(text) >= FEW_BYTES:  # as many are beyond ASCII at least, which need not be counted
            return text, "utf-8"
    beyond = len(data) - len(data.translate(None, _BEYOND_ASCII))
    utf_8 = _utf_8(data, beyond)
    if utf_8 is not None and beyond >= FEW_BYTES:
        return utf_8, "utf-8"
    found = {}
    for label in (header, encoding_of(declared_in(data))):
        if label is not None and label not in found and not label.startswith("utf-16"):
            text = decode(data, label)
            found[label] = (_misfits(data, text, label), text)
    best = min(found, key=lambda name: found[name][0], default=None)  # of those that fit as well, the first
    if utf_8 is not None and (best not in CJK or found[best][0] or max(utf_8) >= "\u0800"):
        return utf_8, "utf-8"
    if best is not None and found[best][0] * 2 <= beyond:
        return found[best][1], best
    if detect is None:
        return None
    name = encoding_of(detect(data) or "") or "cp1252"
    if name == "utf-8" or name.startswith("utf-16"):  # what was looked for above, and is not there
        name = "cp1252"
    return decode(data, name), name


def encoding_of(label: str) -> str | None:
    """Return the name of the encoding that a label of the Encoding Standard means; None for other labels."""
    return LABELS.get(label.strip(" \t\r\n\f\"'").lower()) if label else None


def declared_in(page: bytes) -> str:
    """Return the label that a page's XML declaration or ``<meta>`` elements give; empty where there is none."""
    head = page[:HEAD_BYTES]
    if b"<!--" in head:
        head = _COMMENT.sub(b"", head)
    if match := _XML.match(head):
        return match.group(1).decode("latin-1")
    for meta in _META.finditer(head):
        element = meta[1] if _CONTENT_TYPE.search(meta[1]) else _CONTENT.sub(b"", meta[1])
        if match := _CHARSET.search(element):
            label = match.group(1).decode("latin-1")
            if encoding_of(label) is not None:
                return "windows-1252" if label.lower() == "x-user-defined" else label
    return ""


def decode(data: bytes, name: str) -> str:
    """Decode by an encoding that :func:`encoding_of` returned.

    What fits nothing becomes U+FFFD, a character cut off at the very end is left out.
    """
    if name in ("utf-8", "utf-16-le", "utf-16-be"):
        return codecs.getincrementaldecoder(name)("replace").decode(data)
    if name in CJK or name == "iso2022_jp":
        _left.calls = MOST_CALLS
        try:
            return _decode_cjk(data, name) if name in CJK else _decode_iso_2022_jp(data)
        except _TooManyMisfits:
            return data.decode(PYTHON.get(name, name), "replace")
    if name in ESCAPED:
        return data.decode(name, "replace")
    return codecs.charmap_decode(data, "replace", _table(name))[0]


def _decode_cjk(data: bytes, name: str) -> str:
    text = data.decode(PYTHON.get(name, name), f"smallwright.{name}")
    if name in ("gbk", "gb18030") and _PRIVATE_GB18030.search(text):
        return text.translate(_GB18030_OF_2005)
    if name == "shift_jis":
        return _ODD_SHIFT_JIS.sub("\ufffd", text)
    return text.translate(_JIS_OF_MICROSOFT) if name == "euc_jp" else text


def decode_strictly(data: bytes, label: str) -> str:
    """Decode by Python's codec of a name, or by the wider one that the Encoding Standard means by it.

    Raises:
        LookupError: neither knows the label.
        UnicodeDecodeError: the bytes fit neither.
    """
    name = encoding_of(label)
    try:
        return data.decode(label)
    except LookupError:
        if name is None:
            raise
        refused = UnicodeDecodeError(label, data, 0, len(data), "bytes that fit nothing")
    except UnicodeDecodeError as error:
        refused = error
    if name is None or name.startswith("utf"):
        raise refused
    text = decode(data + b"\n", name)  # behind which no character can be unfinished
    if "\ufffd" in text:
        raise refused
    return text[:-1]


@functools.cache
def _table(name: str) -> str:
    """Return the 256 characters of an encoding of single bytes."""
    if name == "x-user-defined":
        return "".join(chr(byte if byte < 0x80 else 0xF700 + byte) for byte in range(256))
    characters = []
    for byte in range(256):
        try:
            characters.append(bytes([byte]).decode(PYTHON.get(name, name)))
        except UnicodeDecodeError:
            characters.append(chr(byte) if byte < 0xA0 else "\ufffd")
    for byte, character in _NEWER.get(name, {}).items():
        characters[byte] = character
    return "".join(characters)


def _utf_8(data: bytes, beyond: int) -> str | None:
    """Return data as UTF-8; None where it is something else."""
    try:
        return Utf8Text.decode(data)
    except UnicodeDecodeError:
        text = decode(data, "utf-8")
        return text if _misfits(data, text, "utf-8") * NEARLY <= beyond else None


def _misfits(data: bytes, text: str, name: str) -> int:
    """Return how many bytes or characters of ``data`` do not fit an encoding, in which it is ``text``."""
    if text.isascii():  # all that was more was taken for the start of a character that is cut off
        return len(data)
    if name in CJK or name in ESCAPED or name == "utf-8":
        return text.count("\ufffd")
    return len(data) - len(data.translate(None, _holes(name)))


@functools.cache
def _holes(name: str) -> bytes:
    """Return the bytes for which an encoding of single bytes has no character, or a control character."""
    table = _table(name)
    return bytes(byte for byte in range(0x80, 0x100) if "\x80" <= table[byte] < "\xa0" or table[byte] == "\ufffd")


def _escaped(data: bytes, header: str | None) -> str | None:
    """Return which encoding a page of ASCII is in whose escapes give other characters; None for plain ASCII."""
    if b"\x1b$B" in data or b"\x1b$@" in data:
        return "iso2022_jp"
    if b"~{" in data or b"\x1b$" in data:
        return next((name for name in (header, encoding_of(declared_in(data))) if name in ESCAPED), None)
    return None


def _utf_16_by_zeros(data: bytes, labelled: bool) -> str | None:
    """Return which UTF-16 a page without a byte order mark is in, by the zero bytes of its markup and spaces."""
    head = data[: 1 << 12]
    even, odd = head[::2].count(0), head[1::2].count(0)
    most, least = max(even, odd), min(even, odd)
    if most * (100 if labelled else 4) < len(head) // 2 or most == 0 or least * 8 > most:
        return None
    return "utf-16-le" if odd > even else "utf-16-be"


def _decode_iso_2022_jp(data: bytes) -> str:
    """Decode the parts between escapes, each by the character set that the escape before it names."""
    if data.count(b"\x1b") > MOST_CALLS:
        raise _TooManyMisfits
    mode, pieces = b"(B", []
    for number, part in enumerate(_ESCAPE_JP.split(data)):
        if number % 2:
            mode = part
        elif mode in (b"$@", b"$B"):
            pieces.append(_decode_cjk(part.translate(_HIGH), "euc_jp"))
        elif mode == b"(I":
            pieces.append("".join(chr(byte + 0xFF40) if 0x21 <= byte <= 0x5F else chr(byte) for byte in part))
        else:
            text = part.decode("ascii", "replace")
            pieces.append(text.replace("\\", "\xa5").replace("~", "\u203e") if mode == b"(J" else text)
    return "".join(pieces)


def _misfit(error: UnicodeError, name: str) -> tuple[str, int]:
    """Go on behind bytes that Python's codec does not know: by another codec, or as the Encoding Standard says.

    A byte of ASCII is never swallowed by what stands before it.
    """
    assert isinstance(error, UnicodeDecodeError)
    _left.calls -= 1
    if _left.calls < 0:
        raise _TooManyMisfits
    start, data = error.start, error.object
    pair = data[start : start + 2]
    if name in ("gbk", "gb18030") and pair[0] == 0x80:
        return "\u20ac", start + 1
    other = {"big5": _hong_kong, "euc_jp": _row_of_microsoft}.get(name)
    if other is not None and len(pair) == 2:
        with contextlib.suppress(UnicodeDecodeError, ValueError):
            return other(pair), start + 2
    if error.end == len(data) and "incomplete" in error.reason:
        return "", error.end
    if len(pair) < 2 or pair[1] < 0x80 or not 0x81 <= pair[0] <= 0xFE:
        return "\ufffd", start + 1
    of_three = name == "euc_jp" and pair[0] == 0x8F and data[start + 2 : start + 3] >= b"\x80"
    return "\ufffd", start + (3 if of_three else 2)


def _hong_kong(pair: bytes) -> str:
    return pair.decode("big5hkscs")


def _row_of_microsoft(pair: bytes) -> str:
    """Decode a pair of EUC-JP through Shift_JIS, whose codec has the rows of NEC and IBM.

    Raises:
        ValueError: there is no such pair.
    """
    row, cell = pair[0] - 0xA0, pair[1] - 0xA0
    if not (1 <= row <= 94 and 1 <= cell <= 94):
        raise ValueError("no pair of EUC-JP")
    lead = (row + 1) // 2 + (0x80 if row <= 62 else 0xC0)
    trail = cell + 0x9E if row % 2 == 0 else cell + 0x3F + (cell >= 64)
    return bytes((lead, trail)).decode("cp932")


for _name in CJK:
    codecs.register_error(f"smallwright.{_name}", functools.partial(_misfit, name=_name))
