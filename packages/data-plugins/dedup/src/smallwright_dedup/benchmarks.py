"""Texts of benchmark items."""

import dataclasses
import gzip
import importlib.resources
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from core.errors import InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Item:
    """One benchmark item: ``texts`` are the question alone, and with its answer where there is one."""

    benchmark: str
    id: str
    texts: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.benchmark}:{self.id}"


def resolve(name: str) -> Path:
    """Return the file of items called ``name``: a path, ``package:relative/path.jsonl``, or a registered benchmark.

    Raises:
        InputError: no such file or resource.
        core.errors.ConfigError: no such benchmark; the message lists the registered ones.
    """
    if Path(name).is_file():
        return Path(name)
    package, colon, relative = name.partition(":")
    if colon:
        try:
            path = Path(str(importlib.resources.files(package))) / relative
        except (ModuleNotFoundError, ValueError) as error:
            raise InputError(f"against={name}: no package {package!r} ({error}).") from None
    elif "/" in name or name.endswith((".jsonl", ".gz")):
        path = Path(name)
    else:
        from core import discovery

        path = discovery.load().get("benchmarks", name).resource()
    if not path.is_file():
        raise InputError(f"against={name}: no file {path}.")
    return path


def read_items(path: Path, benchmark: str) -> Iterator[Item]:
    """Yield the items of a JSONL file (also gzipped).

    Accepted keys: ``context`` or ``question`` or ``text``; ``choices`` with ``label`` or ``answer`` (place of the
    right one, or its text); ``answer``; ``id``, else the number of the line from 0.

    Raises:
        InputError: a line is no JSON object or has none of these keys.
    """
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as file:
        for number, line in enumerate(file):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
                texts = _texts(record)
            except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
                raise InputError(f"{path}, line {number + 1}: not a benchmark item ({error}).") from None
            yield Item(benchmark=benchmark, id=str(record.get("id", number)), texts=texts)


def _texts(record: dict[str, Any]) -> tuple[str, ...]:
    question = next((record[key] for key in ("context", "question", "text") if record.get(key)), None)
    if not isinstance(question, str):
        raise KeyError(f"needs context, question or text; has {', '.join(record)}")
    answer = record.get("label", record.get("answer"))
    choices = record.get("choices")
    if choices is not None and isinstance(answer, int):
        answer = choices[answer]
    return (question, f"{question} {answer}") if answer not in (None, "") else (question,)
