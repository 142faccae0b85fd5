"""What is known of each row of the demonstration files: which step should remove it."""

from collections.abc import Sequence
from typing import Any

from smallwright_stack_edu.demo.files import CodeFile

REMOVED_BY: dict[str, tuple[str, ...]] = {
    "keep": (),
    "below the threshold": ("threshold",),
    "contaminated": ("decontaminate",),
    "exact duplicate": ("exact_dedup",),
    "near duplicate": ("minhash",),
    "language not known": ("code_language",),
    "language not wanted": ("code_language",),
    "licence not allowed": ("license_filter",),
    "no licence known": ("license_filter",),
    "generated": ("code_quality",),
    "encoded data": ("code_quality",),
    "long lines": ("code_quality",),
    "no blob id": ("fetch_contents",),
    "invalid JSON": ("read_jsonl",),
    "not an object": ("read_jsonl",),
    "not UTF-8": ("read_jsonl",),
}
"""Registered steps that should remove a row of each expectation."""


def truth_of(files: Sequence[CodeFile]) -> list[dict[str, Any]]:
    """Return what is known of each row, as :mod:`core.data.truth` reads it.

    Of a file and its copy, the one that comes first in the order of files and rows should stay.
    """
    late = {}
    for file in files:
        if file.original is not None:
            first, second = sorted((file, file.original), key=lambda each: each.order)
            late[second.place], late[first.place] = REMOVED_BY[file.expected], ()
    return [
        {
            "record_id": file.place,
            "kind": file.kind,
            "language": file.language,
            "expected": file.expected,
            "removed_by": late.get(file.place, REMOVED_BY[file.expected]),
            "duplicate_of": file.original.place if file.original is not None else None,
        }
        for file in files
    ]
