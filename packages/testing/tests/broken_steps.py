"""Data steps with a mistake each, which the conformance kit must find; and one without."""

import itertools
import random
import threading

from core.data.steps import DocumentStep, Rejection, Step
from core.hooks import hookimpl

PLUGIN_API_VERSION = 1

STEPS = ("sound", "loses", "keeps_twice", "draws", "hashes", "looks_at_rank", "locked", "remembers", "chatty")


@hookimpl
def register_steps(register):
    for name in STEPS:
        register(f"step_{name}", f"broken_steps:{''.join(part.title() for part in name.split('_'))}")


class Sound(DocumentStep):
    def process_document(self, document):
        if not document.text.strip():
            raise Rejection("empty")
        return document


class Loses(Step):
    """Forgets to say what becomes of short documents."""

    def process(self, documents, rank, world_size):
        return (document for document in documents if len(document.text) > 100)


class KeepsTwice(Step):
    """Numbers that are right, of documents that are not."""

    def process(self, documents, rank, world_size):
        for place, document in enumerate(documents):
            if place == 3:
                twice = document
            yield twice if place == 4 else document


class Draws(DocumentStep):
    """Draws from a generator that nobody has seeded."""

    def process_document(self, document):
        if random.SystemRandom().random() < 0.5:
            raise Rejection("bad luck")
        return document


class Hashes(DocumentStep):
    """Python hashes strings in another way in every process."""

    def process_document(self, document):
        if hash(document.id) % 2:
            raise Rejection("odd")
        return document


class LooksAtRank(Step):
    """Keeps what comes first in each shard."""

    def process(self, documents, rank, world_size):
        for place, document in enumerate(documents):
            if place < 3:
                yield document
            else:
                self.reject(document, "late")


class Locked(Sound):
    """Cannot travel to another process."""

    def __init__(self, config=None):
        super().__init__(config)
        self.lock = threading.Lock()
        self.lines = itertools.count()
        self.waiting = (line for line in ())


class Remembers(Sound):
    """Goes on counting where a killed run stopped."""

    def process(self, documents, rank, world_size):
        note = self.context.rejected.parent / "reports" / f"{rank}.txt"
        note.parent.mkdir(parents=True, exist_ok=True)
        with note.open("a") as file:
            file.write("started\n")
        yield from super().process(documents, rank, world_size)


class Chatty(DocumentStep):
    """Its reasons cannot be counted."""

    def process_document(self, document):
        raise Rejection(f"the document is\n{document.id}")
