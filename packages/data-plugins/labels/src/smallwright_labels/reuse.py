"""Labels of earlier runs, taken again where nothing that they rest on has changed.

A label costs a request to a large model, which a run that only changes a later threshold should not pay again. Labels
are looked up on disk, so that memory does not grow with them.
"""

import contextlib
import gzip
import hashlib
import json
import sqlite3
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core.errors import InputError
from core.storage import open_file
from core.writing import replacing

INDEX_FILE = "reuse.sqlite3"
TAKEN = ("label", "outcome", "reason", "prompt", "truncated")
"""What is taken of an earlier label's record."""


def text_hash(text: str) -> str:
    """Return what a label remembers of the text that it was given to."""
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).hexdigest()


def index_labels(paths: Sequence[str], work: Path, about: dict[str, Any]) -> None:
    """Make an index of earlier labels in a folder.

    Args:
        paths: ``labels.jsonl.gz`` files, as runs leave them among their reports (fsspec paths).
        about: The scorer's description: labels of another ``scorer`` or other ``sampling_settings`` are left out.

    Raises:
        InputError: a file is missing or is no file of labels, or none of the labels was given like those of this run.
    """
    with replacing(work / INDEX_FILE) as partial, contextlib.closing(sqlite3.connect(partial)) as database:
        database.execute("CREATE TABLE labels (id, text_hash, prompt, record, UNIQUE (id, text_hash, prompt))")
        for path in paths:
            try:
                with open_file(path, "rb") as raw, gzip.open(raw, "rt", encoding="utf-8") as file:
                    database.executemany("INSERT OR IGNORE INTO labels VALUES (?, ?, ?, ?)", _rows(file, about))
            except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError, ImportError) as error:
                raise InputError(
                    f"data.scorer.reuse={path}: not readable as labels of an earlier run ({type(error).__name__}); "
                    "name its reports/<step>/labels.jsonl.gz."
                ) from error
        database.commit()
        if not database.execute("SELECT COUNT(*) FROM labels").fetchone()[0]:
            # to go on would ask about everything, in a run that was meant to cost little
            raise InputError(
                f"data.scorer.reuse: no label there was given by {about['scorer']} with {about['sampling_settings']}; "
                "leave reuse out to label anew."
            )


def _rows(file: Any, about: dict[str, Any]) -> Any:
    for line in file:
        record = json.loads(line)
        same = all(record.get(key) == about.get(key) for key in ("scorer", "sampling_settings"))
        if same and record["label"] is not None:
            taken = {key: value for key, value in record.items() if key in TAKEN}
            yield record["id"], record["text_hash"], record["prompt"], json.dumps(taken)


class EarlierLabels:
    """The index of a folder, for looking up; without an index it knows nothing."""

    def __init__(self, work: Path) -> None:
        index = work / INDEX_FILE
        self._database: sqlite3.Connection | None = None
        if index.is_file():  # DataTrove reads documents in another thread than this, but in one at a time
            self._database = sqlite3.connect(f"{index.resolve().as_uri()}?mode=ro", uri=True, check_same_thread=False)

    def __bool__(self) -> bool:
        return self._database is not None

    def find(self, id: str, text: str, prompt: str) -> dict[str, Any] | None:
        """Return the record of a document's label, for the same text (its hash) and prompt (its tag)."""
        if self._database is None:
            return None
        query = "SELECT record FROM labels WHERE id = ? AND text_hash = ? AND prompt = ?"
        row = self._database.execute(query, (id, text, prompt)).fetchone()
        return None if row is None else json.loads(row[0])
