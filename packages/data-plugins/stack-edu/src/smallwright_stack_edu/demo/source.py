"""Source ``demo_code``: rows of source code as The Stack has them, with the truth about each beside them."""

import gzip
import hashlib
import importlib.resources
import importlib.util
import json
import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core.errors import InputError
from core.interfaces import Job, Stage

from smallwright_stack_edu.config import DemoCodeConfig
from smallwright_stack_edu.demo.files import CodeFile, make_files

logger = logging.getLogger(__name__)
CONTAMINATED = 4
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


class DemoCode(Stage):
    """Write ``files/*.jsonl.gz`` and ``truth.jsonl``; the same seed gives the same bytes.

    Rows have ``content``, ``path``, ``language``, ``blob_id``, ``repo_name``, ``license_type`` and
    ``detected_licenses``, as in The Stack v2. Each fifth row names no language, some are broken.
    """

    config: DemoCodeConfig

    def run(self, job: Job) -> dict[str, Any]:
        """Write the files; those left unfinished are written again."""
        items = load_items(self.config.contaminate_with)[:CONTAMINATED]
        files = make_files(job.seed, self.config.scale, items)
        folder = job.output / "files"
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(self.config.files):
            name = f"code-{number:05d}.jsonl.gz"
            part = files[number :: self.config.files]
            for place, file in enumerate(part):
                file.place, file.order = f"{name}:{place}", (number, place)
            lines = [_line(file, place) for place, file in enumerate(part)]
            (folder / name).write_bytes(gzip.compress(b"\n".join(lines) + b"\n", 6, mtime=0))
            job.progress(number + 1, self.config.files, unit="files")
        with open(job.output / "truth.jsonl", "w", encoding="utf-8") as stream:
            stream.writelines(json.dumps(record, sort_keys=True) + "\n" for record in truth_of(files))
        return {
            "files": self.config.files,
            "rows": len(files),
            "bytes": sum(path.stat().st_size for path in folder.iterdir()),
            "expected": dict(sorted(Counter(file.expected for file in files).items())),
        }


def _line(file: CodeFile, place: int) -> bytes:
    if file.broken is not None:
        return file.broken
    row = {
        "content": file.content,
        "path": file.path,
        "language": None if place % 5 == 4 else file.language,
        "blob_id": hashlib.sha1(file.content.encode(), usedforsecurity=False).hexdigest(),
        "repo_name": f"example/{file.language.lower() or 'misc'}-{place % 7}",
        "license_type": "permissive" if place % 3 else "no_license",
        "detected_licenses": ["MIT"] if place % 3 else [],
        **file.row,
    }
    return json.dumps(row).encode()


def truth_of(files: Sequence[CodeFile]) -> list[dict[str, Any]]:
    """Return what is known of each row, as :mod:`core.data.truth` reads it.

    Of a file and its copy the one that is met first should stay, whichever it is.
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


def load_items(names: Sequence[str]) -> list[str]:
    """Return the texts of evaluation items; files of packages that are not installed are left out.

    Raises:
        InputError: a path that does not exist, or a line that is no item.
    """
    items = []
    for name in names:
        package, colon, relative = name.partition(":")
        if colon and package.isidentifier():
            if importlib.util.find_spec(package) is None:
                logger.info("no %s: nothing is contaminated with %s", package, relative)
                continue
            path = Path(str(importlib.resources.files(package))) / relative
        else:
            path = Path(name)
        if not path.is_file():
            raise InputError(f"data.source.contaminate_with: no such file: {name}")
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                item = json.loads(line)
                items.append(f"{item['context']} {item['choices'][item['label']]}")
            except (ValueError, LookupError, TypeError) as error:
                raise InputError(f"data.source.contaminate_with: {name} has a line that is no item: {error}") from error
    return items
