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
from smallwright_stack_edu.demo.truth import truth_of

logger = logging.getLogger(__name__)
CONTAMINATED = 4


class DemoCode(Stage):
    """Write ``files/*.jsonl.gz`` and ``truth.jsonl``; the same seed gives the same bytes.

    Rows have ``content``, ``path``, ``language``, ``blob_id``, ``repo_name``, ``license_type`` and
    ``detected_licenses``, as in The Stack v2. Each fifth row names no language, some are broken.
    """

    config: DemoCodeConfig

    def run(self, job: Job) -> dict[str, Any]:
        """Write all files, also those that a killed run wrote: it takes seconds."""
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
