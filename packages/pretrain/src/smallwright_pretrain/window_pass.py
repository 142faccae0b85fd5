"""A pass over windows with a frozen model: what it says of each of them, in shards of files. No torch.

A shard is written whole or not at all, with a digest of what is in it; a pass that was ended goes on with the shards
that are not there, whatever ranks do it. What is in a shard follows from the windows and the model alone.

Shape suffixes: N windows.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from core.errors import InputError
from core.writing import replacing

Arrays = Mapping[str, np.ndarray]
"""By name; the first axis of each is the windows of a shard in their order."""
Measure = Callable[[int, int], Arrays]
"""What a frozen model says of the windows from the first up to the last number of a list, in whatever passes."""
HEADER = "pass"
"""The one key of a shard's metadata: of several, safetensors would write another order each time."""


@dataclass(frozen=True, kw_only=True)
class WindowPass:
    """The files of one pass over a list of windows."""

    folder: Path
    windows: int
    """How many the list has."""
    shard: int
    """Windows of a shard; the last may have fewer."""
    identity: Mapping[str, Any]
    """What the outcome depends on, as JSON knows it: model, tokens, length, list. Shards of another are not taken."""

    @property
    def shards(self) -> int:
        """How many there are."""
        return -(-self.windows // self.shard)

    def bounds(self, number: int) -> tuple[int, int]:
        """Return the first window of a shard and the one behind its last, by their places in the list."""
        return number * self.shard, min((number + 1) * self.shard, self.windows)

    def path(self, number: int) -> Path:
        """Return the file of a shard."""
        return self.folder / f"shard-{number:06d}.safetensors"

    def missing(self) -> list[int]:
        """Return the shards that are not there, or not as they were written; their content is read for that."""
        return [number for number in range(self.shards) if isinstance(self._checked(number), str)]

    def write(self, number: int, arrays: Arrays) -> None:
        """Write a shard.

        Raises:
            ValueError: an array has another number of windows than the shard.
        """
        from safetensors.numpy import save_file

        first, last = self.bounds(number)
        for name, array in arrays.items():
            if len(array) != last - first:
                raise ValueError(f"{name}: {len(array)} windows, and the shard has {last - first}.")
        plain = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        with replacing(self.path(number)) as partial:
            save_file(plain, partial, metadata={HEADER: json.dumps(self._header(number, plain))})

    def read(self, number: int) -> dict[str, np.ndarray]:
        """Return the arrays of a shard.

        Raises:
            core.errors.InputError: it is not there, or not as it was written.
        """
        found = self._checked(number)
        if isinstance(found, str):
            raise InputError(f"{self.path(number)}: {found}. Let the pass that makes it end, or remove it.")
        return found

    def all(self) -> Iterator[tuple[int, int, dict[str, np.ndarray]]]:
        """Give first and last window of each shard, in their order, with its arrays; see :meth:`read`."""
        for number in range(self.shards):
            yield (*self.bounds(number), self.read(number))

    def wrote(self, metadata: Mapping[str, str] | None) -> bool:
        """Tell whether a shard with this metadata is one of this pass; its content is not read for that."""
        return bool(json.loads((metadata or {})[HEADER])["identity"] == self._digest())

    def _checked(self, number: int) -> dict[str, np.ndarray] | str:
        """Return the arrays of a shard, or what is wrong with it."""
        from safetensors import SafetensorError

        try:
            arrays, header = self._load(number)
        except FileNotFoundError:
            return "is not there"
        except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
            return f"cannot be read ({type(error).__name__})"
        expected = self._header(number, arrays)
        if header == expected:
            return arrays
        return "is damaged" if header.get("identity") == expected["identity"] else "is of another pass"

    def _load(self, number: int) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        from safetensors import safe_open

        with safe_open(self.path(number), framework="np") as opened:
            header = json.loads((opened.metadata() or {})[HEADER])
            return {name: opened.get_tensor(name) for name in sorted(opened.keys())}, header

    def _header(self, number: int, arrays: Arrays) -> dict[str, Any]:
        content = hashlib.sha256()
        for name in sorted(arrays):
            content.update(f"{name} {arrays[name].dtype} {arrays[name].shape}\n".encode())
            content.update(np.ascontiguousarray(arrays[name]).reshape(-1).view(np.uint8).data)
        return {"windows": list(self.bounds(number)), "identity": self._digest(), "sha256": content.hexdigest()}

    def _digest(self) -> str:
        return hashlib.sha256(json.dumps(dict(self.identity), sort_keys=True).encode()).hexdigest()


def go_through(
    over: WindowPass,
    measure: Measure,
    numbers: Iterable[int],
    *,
    writes: bool = True,
    done: Callable[[int], None] = lambda windows: None,
) -> None:
    """Measure the windows of these shards, one shard after another, and write each.

    Ranks that share out one model's work go through the same numbers together, and one of them writes; ranks that each
    have a whole model take numbers of their own, such as ``over.missing()[rank::ranks]``. In both cases the numbers are
    chosen before any rank begins, by one rank that tells the others.

    Args:
        measure: Called with first and last window of each shard.
        writes: Whether this rank does.
        done: Told the windows of each shard when it is written.
    """
    for number in numbers:
        first, last = over.bounds(number)
        arrays = measure(first, last)
        if writes:
            over.write(number, arrays)
        done(last - first)
