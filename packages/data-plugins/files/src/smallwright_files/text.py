"""The step ``read_text``: documents of plain text files."""

from collections.abc import Iterator

from core.data.charsets import decode_strictly
from core.data.steps import Step, StepContext
from datatrove.data import Document

from smallwright_files.config import ReadTextConfig
from smallwright_files.listing import check_local, parts_of, short_names
from smallwright_files.rows import NO_TEXT, SHOWN, TOO_LONG, clean
from smallwright_files.streams import BrokenStream, chunks, lines, open_storage


class ReadText(Step):
    """Read plain text: a document a file, or a document for each block of lines between blank lines.

    Ids are ``<file>`` and ``<file>:<block>``. Failures: ``not in the encoding``, ``too long``, ``no text`` (an empty
    file), ``truncated compressed stream``, ``corrupt compressed stream``.
    """

    type = "reader"
    config: ReadTextConfig

    def __init__(self, config: ReadTextConfig | None = None) -> None:
        super().__init__(config or ReadTextConfig())

    def bind(self, context: StepContext) -> None:
        """Check that local input files exist, before any work."""
        super().bind(context)
        check_local(context.files, "data.paths")

    def process(self, documents: Iterator[Document], rank: int, world_size: int) -> Iterator[Document]:
        """Yield the documents of this rank's files."""
        yield from documents
        names = short_names(self.context.files)
        for file, part, parts in parts_of(self.context.files, rank, world_size):
            for number, (data, problem) in enumerate(self._blocks(file)):
                if number % parts == part:
                    yield from self._document(names[file], number, data, problem)

    def _document(self, name: str, number: int, data: bytes, problem: str | None) -> Iterator[Document]:
        self.receive()
        identity = name if self.config.split == "file" else f"{name}:{number}"
        try:
            text = decode_strictly(data, self.config.encoding).removeprefix("\ufeff")
        except UnicodeError:
            text = data[:SHOWN].decode("utf-8", "replace")
            problem = problem or "not in the encoding"
        document = Document(text=clean(text), id=identity, metadata={"file": name, "row": number})
        if problem is None and not text.strip():
            problem = NO_TEXT
        if problem is None:
            yield document
        else:
            document.text = document.text[:SHOWN]
            self.fail(document, problem)

    def _blocks(self, file: str) -> Iterator[tuple[bytes, str | None]]:
        """Yield each document's bytes and what is wrong with it."""
        limit = self.config.max_document_bytes
        by_blocks = self.config.split == "blocks"
        block: list[bytes] = []
        size = 0
        overlong = False
        try:
            with open_storage(file) as storage:
                for line, long in lines(chunks(storage), limit):
                    if by_blocks and not line.strip():
                        if block:
                            yield b"\n".join(block), TOO_LONG if overlong else None
                        block, size, overlong = [], 0, False
                        continue
                    overlong = overlong or long or size + len(line) > limit
                    size += len(line) + 1
                    if not overlong or not block:
                        block.append(line)
        except BrokenStream as broken:
            yield b"\n".join([*block, broken.partial]), broken.reason
            return
        if block or not by_blocks:
            yield b"\n".join(block), TOO_LONG if overlong else None
