"""A plugin in one file: steps of plain Python that leave traces, so that tests see who worked on what.

Loaded with ``--plugin``, as a user's own file is: workers must load it too.
"""

import dataclasses
import json
import os
import signal
import time
from pathlib import Path

from core.data.documents import ReadDocuments
from core.data.steps import CorpusStep, DocumentStep, Phase, Rejection, Step
from core.errors import InputError
from core.hooks import hookimpl
from datatrove.data import Document

PLUGIN_API_VERSION = 1


class ReadLines(Step):
    """One document a line; an empty line is rejected."""

    def process(self, documents, rank, world_size):
        for path in self.context.files[rank::world_size]:
            for number, line in enumerate(Path(path).read_text().split("\n")):
                self.receive()
                document = Document(text=line, id=f"{Path(path).name}:{number}", metadata={"rank": rank})
                if line:
                    yield document
                else:
                    self.reject(document, "empty")


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeddleConfig:
    traces: str = ""
    """Folder: ``<file>.<process id>`` for each time a file was worked on, holding DataTrove's name of the executor."""
    hold: str = ""
    """The file whose lines wait until ``traces/go`` exists."""
    die: str = ""
    """The file at whose first line the worker kills itself, ``times`` times."""
    times: int = 1
    error: str = ""
    """The file that fails its shard with a user's error, until ``traces/mended`` exists."""


class Meddle(Step):
    """Let documents through, after leaving traces and doing harm."""

    def process(self, documents, rank, world_size):
        for document in documents:
            name, number = document.id.split(":")
            if number == "0" and self.config.traces:
                self.meddle(name, Path(self.config.traces))
            yield document

    def meddle(self, name, traces):
        (traces / f"{name}.{os.getpid()}").write_text(os.environ["DATATROVE_EXECUTOR"])
        if name == self.config.hold:
            while not (traces / "go").exists():
                time.sleep(0.05)
        if name == self.config.die and len(list(traces.glob(f"{name}.*"))) <= self.config.times:
            os.kill(os.getpid(), signal.SIGKILL)
        if name == self.config.error and not (traces / "mended").exists():
            raise InputError(f"{name} is not what it should be.")


class Drop(DocumentStep):
    def process_document(self, document):
        if "number 3" in document.text:
            raise Rejection("the word")
        if "line 5 " in document.text:
            raise RuntimeError("cannot look at line 5")
        document.metadata["score"] = float(len(document.text) % 5)
        return document


class KeepFirst(CorpusStep):
    """Keep the first document of each number, over the whole corpus."""

    def phases(self, corpus, work):
        return [Phase(name="collect", pipeline=[ReadDocuments(corpus), Collect(work)])]

    def pass_step(self, work):
        return ApplyKeep(work)


class Collect(Step):
    def __init__(self, work):
        super().__init__(None)
        self.work = work

    def process(self, documents, rank, world_size):
        first = {}
        for document in documents:
            first.setdefault(document.text.rsplit(" ", 1)[-1], document.id)
            yield document
        (self.work / f"{rank}.json").write_text(json.dumps(first))


class ApplyKeep(Step):
    def __init__(self, work):
        super().__init__(None)
        self.work = work

    def process(self, documents, rank, world_size):
        keep = {}
        for path in sorted(self.work.glob("*.json")):
            keep = json.loads(path.read_text()) | keep
        for document in documents:
            if document.id in keep.values():
                yield document
            else:
                self.reject(document, "seen before")


@hookimpl
def register_steps(register):
    register("read_lines", "executors_toy:ReadLines")
    register("meddle", "executors_toy:Meddle", config="executors_toy:MeddleConfig")
    register("drop", "executors_toy:Drop")
    register("keep_first", "executors_toy:KeepFirst")
