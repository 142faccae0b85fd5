"""A model's folder of Hugging Face's format, and the weights in it as far as the headers of its files tell.

Nothing here imports an engine. The folder may be a stranger's: whatever its files hold, it is checked before anything
is made of it. What is missing in a model is asked here, too, by :func:`compare`.
"""

import dataclasses
import json
import math
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from core.errors import InputError

MOST_JSON_BYTES = 64 << 20
"""Largest JSON file that is read; an index of 100,000 weights has 10 MB."""
MOST_HEADER_BYTES = 100_000_000
"""Largest header of a safetensors file, as safetensors itself has it."""
INDEX = "model.safetensors.index.json"
PICKLED = (".bin", ".pt", ".pth", ".ckpt")
BITS: Mapping[str, int] = {
    **dict.fromkeys(("F64", "I64", "U64", "C64"), 64),
    **dict.fromkeys(("F32", "I32", "U32"), 32),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 16),
    **dict.fromkeys(("BOOL", "I8", "U8", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    "F4": 4,
}
"""Size of one number of each of safetensors' types."""
NAMED = 4
"""Weights that a message names before it counts the rest."""

Shape = tuple[int, ...]


class Weight(NamedTuple):
    """What a file says of one weight before its numbers are read."""

    shape: Shape
    dtype: str
    """The type of its numbers in safetensors' words, such as ``F32`` or ``BF16``."""


@dataclasses.dataclass(frozen=True)
class ModelFolder:
    """A folder with ``config.json`` and ``*.safetensors``, and how messages name it."""

    directory: Path
    owner: str = ""
    """Begins every message, such as ``arch.initializer.source=model``; empty: the path of the folder."""

    def refusal(self, why: str) -> InputError:
        """Return the error that says what is wrong with the model."""
        return InputError(f"{self.owner or self.directory}: {why}")

    def read_json(self, name: str) -> Any:
        """Return the content of a JSON file of the model.

        Raises:
            core.errors.InputError: it is no JSON, or too large to be what it is named.
        """
        path = self.directory / name
        try:
            if path.stat().st_size > MOST_JSON_BYTES:
                raise self.refusal(f"{name}: has over {MOST_JSON_BYTES >> 20} MiB. Use the checkpoint's own.")
            return json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            if isinstance(error, InputError):
                raise
            raise self._unreadable(name, error) from error

    def config(self) -> dict[str, Any]:
        """Return ``config.json``, whose ``model_type`` is a name.

        Raises:
            core.errors.InputError: it is not there, damaged, or no model's.
        """
        if not (self.directory / "config.json").is_file():
            raise self.refusal("config.json: not found. Give the folder of a model, an artifact or a hub id.")
        found = self.read_json("config.json")
        if not isinstance(found, dict) or not isinstance(found.get("model_type"), str):
            raise self.refusal("config.json: has no model_type. Give the folder of a language model.")
        return found

    def weight_files(self) -> list[Path]:
        """Return the files that Transformers would read: some folders hold the same weights under other names too.

        Raises:
            core.errors.InputError: there are none, or the index names one that is not there.
        """
        if (self.directory / INDEX).is_file():
            content = self.read_json(INDEX)
            names = content.get("weight_map") if isinstance(content, dict) else None
            if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
                raise self._unreadable(INDEX, "no weight_map")
            files = [self.directory / Path(name).name for name in sorted(set(names.values()))]
            if missing := [file.name for file in files if not file.is_file()]:
                raise self.refusal(f"{INDEX}: names {missing[0]}, which is not there. Copy or download it again.")
            return files
        whole = self.directory / "model.safetensors"
        files = [whole] if whole.is_file() else sorted(self.directory.glob("*.safetensors"))
        if files and all(file.name.startswith("adapter_model") for file in files):
            raise self.refusal(f"{files[0].name}: is an adapter. Merge it into its model first (merge_and_unload).")
        if not files:
            raise self.refusal(f"no *.safetensors file. {self._advice()}")
        return files

    def weights(self) -> dict[str, Weight]:
        """Read the headers of the files, and return every weight that they hold, by its name.

        Raises:
            core.errors.InputError: as :meth:`weight_files` does, or a file is damaged or cut off.
        """
        found: dict[str, Weight] = {}
        for file in self.weight_files():
            try:
                found.update(_read_header(file))
            except (OSError, ValueError, RecursionError) as error:
                raise self._unreadable(file.name, error) from error
        if (self.directory / INDEX).is_file():
            named = self.read_json(INDEX)["weight_map"]
            if missing := sorted(set(named) - set(found)):
                raise self.refusal(f"{INDEX}: names {missing[0]}, which no file has. Copy or download it again.")
        return found

    def _unreadable(self, name: str, why: object) -> InputError:
        return self.refusal(f"{name}: cannot be read ({why}). Copy or download it again.")

    def _advice(self) -> str:
        pickled = sorted(path.name for path in self.directory.glob("*") if path.suffix in PICKLED)
        if not pickled:
            return "Give a directory with the model's weights."
        return (
            f"{pickled[0]} is a pickle, which can run code when it is read. Convert it where you trust it: "
            f"AutoModelForCausalLM.from_pretrained(...).save_pretrained(...) writes safetensors."
        )


@dataclasses.dataclass(frozen=True)
class Differences:
    """How the weights that were found differ from those that a model has; false where they do not."""

    missing: dict[str, Shape]
    unexpected: dict[str, Shape]
    misshapen: dict[str, tuple[Shape, Shape]]
    """The shape that was found, and the model's."""

    def __bool__(self) -> bool:
        return bool(self.missing or self.unexpected or self.misshapen)

    def __str__(self) -> str:
        misshapen = [f"{name} {list(has)} for {list(wants)}" for name, (has, wants) in self.misshapen.items()]
        parts = {
            "missing weights": shown(self.missing),
            "weights that the model has no place for": shown(self.unexpected),
            "weights of another shape": _first(misshapen),
        }
        return "; ".join(f"{what}: {which}" for what, which in parts.items() if which)


def compare(
    found: Mapping[str, Shape], expected: Mapping[str, Shape], tied: Iterable[Collection[str]] = ()
) -> Differences:
    """Compare the shapes of weights with those of a model.

    Args:
        found: What there is, by name; see :func:`shapes`.
        expected: What the model has.
        tied: Names that stand for one weight; a weight that is found under one of them is not missing. See
            :func:`tied_names`.
    """
    present = set(found).union(*(names for names in tied if not found.keys().isdisjoint(names)))
    return Differences(
        missing={name: shape for name, shape in expected.items() if name not in present},
        unexpected={name: shape for name, shape in found.items() if name not in expected},
        misshapen={
            name: (shape, expected[name])
            for name, shape in found.items()
            if name in expected and shape != expected[name]
        },
    )


def shapes(state: Mapping[str, Any]) -> dict[str, Shape]:
    """Return the shape of every tensor of a state dict, or of every :class:`Weight` of a folder."""
    return {name: tuple(weight.shape) for name, weight in state.items()}


def tied_names(model: Any) -> list[list[str]]:
    """Return the groups of names under which a ``torch.nn.Module`` has one and the same parameter."""
    names: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    return [group for group in names.values() if len(group) > 1]


def shown(found: Mapping[str, Shape]) -> str:
    """Return the first names with their shapes, and how many more there are, for a message."""
    return _first([f"{name} {list(shape)}" for name, shape in found.items()])


def _first(texts: list[str]) -> str:
    more = f" and {len(texts) - NAMED} more" if len(texts) > NAMED else ""
    return ", ".join(texts[:NAMED]) + more


def _read_header(file: Path) -> dict[str, Weight]:
    """Return what the header of a safetensors file says; its content must be as long as the header says.

    Raises:
        ValueError: the file is damaged or cut off.
    """
    size = file.stat().st_size
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        if size < 8 or length > min(MOST_HEADER_BYTES, size - 8):
            raise ValueError("its header is cut off, or no safetensors file begins so")
        entries = json.loads(opened.read(length).decode("utf-8"))
    if not isinstance(entries, dict):
        raise ValueError("its header is no JSON object")
    entries.pop("__metadata__", None)
    weights = {name: _entry(name, entry) for name, entry in entries.items()}
    end = 0
    for name, (_, begins, ends) in sorted(weights.items(), key=lambda item: item[1][1:]):
        if begins != end:
            raise ValueError(f"{name} does not begin where the weight before it ends")
        end = ends
    if size != 8 + length + end:
        raise ValueError(f"it has {size} bytes, and its header tells of {8 + length + end}")
    return {name: weight for name, (weight, _, _) in weights.items()}


def _entry(name: str, entry: Any) -> tuple[Weight, int, int]:
    """Return a weight, and where in the file's content it begins and ends, in bytes."""
    try:
        dtype, shape, (begins, ends) = entry["dtype"], entry["shape"], entry["data_offsets"]
        whole = all(type(number) is int and number >= 0 for number in (*shape, begins, ends))
        right = whole and math.prod(shape) * BITS[dtype] == 8 * (ends - begins)
    except (KeyError, TypeError, ValueError):
        right = False
    if not right:
        raise ValueError(f"its header is wrong about {name}")
    return Weight(tuple(shape), dtype), begins, ends
