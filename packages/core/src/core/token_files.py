"""The files of a tokens artifact: what its index says of them, and their tokens as one stream.

``index.json`` names the token files in the order of the stream, with their sizes and SHA-256. Beside each file of ids
``train-00000.bin`` lies ``train-00000.starts.npy``: the places in that file at which documents start, as uint32. Every
file begins with a document. NumPy is imported where ids are read: planning reads the index alone.
"""

import bisect
import dataclasses
import functools
import hashlib
import itertools
import json
import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import InputError, remade
from core.tokens_meta import AGAIN, TokensMeta
from core.writing import write_json

if TYPE_CHECKING:
    import numpy as np

INDEX = "index.json"
FORMAT = 1
"""Of the index; an index of a later one is refused."""
SPLITS = ("train", "validation")
TOKENS_A_FILE = 1 << 30
"""At most, unless one document is longer: places in a file fit 32 bits."""
ITEM_BYTES = {"uint16": 2, "uint32": 4}
NPY_HEADER = 128
"""Bytes before the numbers of a one-dimensional array in NumPy's file format, up to 20 digits of length."""
OPEN_FILES = 256
"""Files that a process keeps mapped; each takes a descriptor, and a process often has 1,024."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TokenFile:
    """What the index says of one file of ids."""

    name: str
    """Such as ``train-00000.bin``."""
    split: str
    tokens: int
    documents: int
    sha256: str
    starts_sha256: str
    """Of the file of starts beside it."""

    @property
    def starts_name(self) -> str:
        """Name of the file of starts, such as ``train-00000.starts.npy``."""
        return f"{self.name.removesuffix('.bin')}.starts.npy"


@dataclasses.dataclass(frozen=True, kw_only=True)
class TokenIndex:
    """Content of ``index.json``."""

    tokenizer: str
    """Digest of the tokenizer that made the ids, see :func:`tokenizer_digest`."""
    dtype: str
    """``uint16`` or ``uint32``, little-endian."""
    files: tuple[TokenFile, ...]
    format: int = FORMAT

    def of(self, split: str) -> tuple[TokenFile, ...]:
        """Return the files of a split in the order of its stream."""
        return tuple(file for file in self.files if file.split == split)

    def save(self, folder: Path) -> None:
        """Write ``index.json``, whole or not at all."""
        write_json(folder / INDEX, dataclasses.asdict(self))

    @classmethod
    def load(cls, folder: Path) -> "TokenIndex":
        """Read ``index.json`` of a tokens artifact.

        Raises:
            InputError: it is missing, damaged, or of a later format.
        """
        path = folder / INDEX
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["format"] > FORMAT:
                raise InputError(f"{path}: format {content['format']}, and this version reads {FORMAT}. Update it.")
            index = cls(**{**content, "files": tuple(TokenFile(**file) for file in content["files"])})
            if not index._plausible():
                raise ValueError("a name, split, size or type that no index has")
        except FileNotFoundError:
            raise remade(InputError, f"{path}: missing", AGAIN) from None
        except (UnicodeDecodeError, ValueError, KeyError, TypeError) as error:
            if isinstance(error, InputError):
                raise
            raise remade(InputError, f"{path}: damaged ({error})", AGAIN) from error
        return index

    def _plausible(self) -> bool:
        return self.dtype in ITEM_BYTES and all(
            file.split in SPLITS
            and Path(file.name).name == file.name
            and 0 <= file.tokens < 1 << 32
            and 0 <= file.documents <= file.tokens
            for file in self.files
        )

    def check_content(self, folder: Path) -> None:
        """Compare every file with its SHA-256: for artifacts that no manifest vouches for.

        Raises:
            InputError: naming the first file that is another.
        """
        for file in self.files:
            for name, expected in ((file.name, file.sha256), (file.starts_name, file.starts_sha256)):
                with open(folder / name, "rb") as opened:
                    found = hashlib.file_digest(opened, "sha256").hexdigest()
                if found != expected:
                    raise remade(InputError, f"{folder / name}: damaged, for its SHA-256 is not that of {INDEX}", AGAIN)


def tokenizer_digest(folder: Path) -> str:
    """Return a digest of what makes ids of texts in ``tokenizer.json``: other digest, other ids.

    The order of keys, the chat template and the decoder are no part of it.

    Raises:
        InputError: the file is missing, or is no tokenizer's.
    """
    path = folder / "tokenizer.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        added = {token["content"]: token["id"] for token in content.get("added_tokens") or []}
        parts = [content.get(key) for key in ("model", "normalizer", "pre_tokenizer")]
    except FileNotFoundError:
        raise InputError(f"{folder}: no tokenizer.json. Save it with Transformers' save_pretrained.") from None
    except (ValueError, AttributeError, TypeError, KeyError) as error:
        raise InputError(f"{path}: is no tokenizer's. Save it with save_pretrained.") from error
    return hashlib.sha256(json.dumps([*parts, added], sort_keys=True).encode()).hexdigest()


class TokenShards:
    """One split of a tokens artifact: its files read as one stream, through the page cache, never as a whole.

    Opening reads the index and asks for the files' sizes; a file is mapped when something of it is read.

    Args:
        folder: A tokens artifact.
        split: ``train`` or ``validation``.

    Attributes:
        meta: Content of ``meta.json``.
        tokens: Length of the stream.
        documents: Documents in it, each ended by the end-of-text id.

    Raises:
        core.errors.InputError: a file is missing, or its size is not what the index says.
    """

    def __init__(self, folder: Path, split: str) -> None:
        self.folder, self.split = folder, split
        self.index = TokenIndex.load(folder)
        self.meta = TokensMeta.load(folder)
        self.dtype = self.index.dtype
        self.files = self.index.of(split)
        self._paths = [(str(folder / file.name), str(folder / file.starts_name)) for file in self.files]
        self._opened = object()
        for file in self.files:
            self._check_size(file.name, file.tokens, ITEM_BYTES[self.dtype], "tokens", header=0)
            self._check_size(file.starts_name, file.documents, 4, "documents", header=NPY_HEADER)
        self._token_ends = [*itertools.accumulate((file.tokens for file in self.files), initial=0)]
        self._document_ends = [*itertools.accumulate((file.documents for file in self.files), initial=0)]
        self.tokens, self.documents = self._token_ends[-1], self._document_ends[-1]
        told = (getattr(self.meta, f"{split}_tokens"), getattr(self.meta, f"{split}_documents"))
        if told != (self.tokens, self.documents):
            raise remade(
                InputError,
                f"{folder}: {INDEX} has {self.tokens:,} tokens in {self.documents:,} documents of {split}, and "
                f"meta.json {told[0]:,} in {told[1]:,}",
                AGAIN,
            )

    def read(self, start: int, stop: int) -> "np.ndarray":
        """Return the ids from ``start`` up to ``stop`` as int64, fewer where the stream ends before."""
        import numpy as np

        parts = [self._ids(place)[first:last] for place, first, last in self._parts(start, stop)]
        return np.concatenate([np.zeros(0, np.int64), *parts]) if len(parts) != 1 else parts[0].astype(np.int64)

    def starts(self, start: int, stop: int) -> "np.ndarray":
        """Return the places p in the stream at which documents start, ``start <= p < stop``, ascending, as int64."""
        import numpy as np

        found = [np.zeros(0, np.int64)]
        for place, first, last in self._parts(start, stop):
            starts = self._starts(place)
            # The bounds in the type of the array: NumPy would copy all of it into a type that holds both.
            low, high = np.searchsorted(starts, np.array([first, last], starts.dtype))
            found.append(starts[low:high].astype(np.int64) + self._token_ends[place])
        return np.concatenate(found)

    def bounds(self, document: int) -> tuple[int, int]:
        """Return where in the stream a document starts, and where it ends with its end-of-text id.

        Raises:
            IndexError: there are not so many documents.
        """
        if not 0 <= document < self.documents:
            raise IndexError(f"document {document} of {self.documents}")
        return self._start_of(document), self._start_of(document + 1)

    def lengths(self) -> "Iterator[np.ndarray]":
        """Yield the lengths of the documents of each file, as int64. Nothing of it stays in memory."""
        import numpy as np

        for file in self.files:
            starts = np.fromfile(self.folder / file.starts_name, "<u4", file.documents, offset=NPY_HEADER)
            yield np.diff(starts, append=np.array([file.tokens], starts.dtype)).astype(np.int64)

    def starts_of(self, place: int, first: int, count: int) -> "np.ndarray":
        """Return where in the stream documents of one file start, as int64, and where the last of them ends.

        Args:
            place: Number of the file in the split.
            first: Number of the first document in the file.
            count: Of documents; fewer where the file ends before. The array has one more.
        """
        import numpy as np

        starts = self._starts(place)[first : first + count + 1].astype(np.int64)
        if len(starts) <= count:
            starts = np.append(starts, self.files[place].tokens)
        return starts + self._token_ends[place]

    def document(self, index: int) -> "np.ndarray":
        """Return the ids of a document with its end-of-text id, as int64."""
        return self.read(*self.bounds(index))

    def chunks(self, size: int = 1 << 24) -> "Iterator[np.ndarray]":
        """Yield the whole stream in arrays of at most ``size`` ids, in the type of the files."""
        import numpy as np

        dtype = np.dtype(self.dtype).newbyteorder("<")
        for file in self.files:
            for start in range(0, file.tokens, size):
                count = min(size, file.tokens - start)
                yield np.fromfile(self.folder / file.name, dtype, count, offset=start * dtype.itemsize)

    def _parts(self, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
        """Yield (file, first place in it, last place in it) of the files between two places of the stream."""
        start, stop = max(0, start), min(stop, self.tokens)
        place = max(0, bisect.bisect_right(self._token_ends, start) - 1)
        while start < stop:
            base, end = self._token_ends[place], min(stop, self._token_ends[place + 1])
            if end > start:
                yield place, start - base, end - base
            start, place = end, place + 1

    def _start_of(self, document: int) -> int:
        if document == self.documents:
            return self.tokens
        place = bisect.bisect_right(self._document_ends, document) - 1
        return self._token_ends[place] + int(self._starts(place)[document - self._document_ends[place]])

    def _ids(self, place: int) -> "np.ndarray":
        return _mapped(self._paths[place][0], self.dtype, self.files[place].tokens, 0, self._opened)

    def _starts(self, place: int) -> "np.ndarray":
        return _mapped(self._paths[place][1], "uint32", self.files[place].documents, NPY_HEADER, self._opened)

    def _check_size(self, name: str, count: int, item: int, unit: str, header: int) -> None:
        try:
            size = (self.folder / name).stat().st_size
        except FileNotFoundError:
            raise remade(InputError, f"{self.folder / name}: missing", AGAIN) from None
        if size != header + count * item:
            raise remade(InputError, f"{self.folder / name}: {size:,} bytes, but {INDEX} says {count:,} {unit}", AGAIN)


def _mapped(path: str, dtype: str, count: int, offset: int, opened: object) -> "np.ndarray":
    if not count:  # an empty file cannot be mapped
        import numpy as np

        return np.zeros(0, dtype)
    # Opened again, a file may be another. To ask at every window would take longer than to read it.
    return _map(path, dtype, count, offset, opened)


@functools.lru_cache(maxsize=OPEN_FILES)
def _map(path: str, dtype: str, count: int, offset: int, *_: Any) -> "np.ndarray":
    import numpy as np

    with open(path, "rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    if hasattr(mmap, "MADV_RANDOM"):  # windows lie anywhere: what is read ahead of one would be for nothing
        mapped.madvise(mmap.MADV_RANDOM)
    return np.frombuffer(mapped, np.dtype(dtype).newbyteorder("<"), count, offset)
