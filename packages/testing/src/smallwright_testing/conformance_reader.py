"""The step ``conformance_documents``, which reads what :func:`smallwright_testing.documents.write_shards` wrote.

Given to runs of the conformance kit as a local plugin file; not registered otherwise.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from core.data.steps import Step
from core.hooks import Register, hookimpl
from datatrove.data import Document

PLUGIN_API_VERSION = 1

KILL = "kill"
"""Name of a file beside the shards: the step takes it away and dies in the middle of its first shard."""


class Killed(Exception):
    """The end that the kit gave to a run, to see it go on."""


@hookimpl
def register_steps(register: Register) -> None:
    register("conformance_documents", "conformance_reader:GivenDocuments")


class GivenDocuments(Step):
    """Yield the documents of this rank's files."""

    def process(self, documents: Iterator[Document], rank: int, world_size: int) -> Iterator[Document]:
        for file in map(Path, self.context.files[rank::world_size]):
            lines = file.read_text(encoding="ascii").splitlines()
            for place, line in enumerate(lines):
                if place == len(lines) // 2 and (file.parent / KILL).exists():
                    (file.parent / KILL).unlink()
                    raise Killed
                self.receive()
                yield Document(**json.loads(line))
