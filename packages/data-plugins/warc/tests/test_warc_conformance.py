"""The steps that read archives hold what every data step must."""

import json
import re

from small_crawl import write_crawl
from smallwright_testing import StepConformance


class ArchiveConformance(StepConformance):
    """A step at the start of a recipe, or after ``read_warc``."""

    reads_files = True
    same_in_one_file = False  # the place of a record is in its document

    @classmethod
    def write_files(cls, folder, shards):
        return write_crawl(folder, shards)


class TestReadWarc(ArchiveConformance):
    plugin = "read_warc"
    settings = {"max_record_bytes": 1 << 20}


class TestReadIndex(ArchiveConformance):
    plugin = "read_index"
    settings = {"prefix": "set by prepare", "max_record_bytes": 1 << 20}
    archives = None

    @classmethod
    def prepare(cls, folder):
        return {"prefix": f"{cls.archives}/"}

    @classmethod
    def write_files(cls, folder, shards):
        """Rows of an index: records that are there, some of them twice, and rows that point nowhere."""
        files = write_crawl(folder / "crawl", shards)
        cls.archives = files[0].parent
        paths = []
        for number, archive in enumerate(files):
            starts = [match.start() for match in re.finditer(b"\x1f\x8b\x08", archive.read_bytes())]
            rows = [
                {"warc_filename": archive.name, "warc_record_offset": start, "warc_record_length": end - start}
                for start, end in zip(starts, [*starts[1:], archive.stat().st_size], strict=True)
            ]
            rows += [{**rows[1], "url": "http://other.example/"}, {**rows[2], "warc_record_length": 5}]
            rows += [{**rows[1], "warc_filename": "not-there.warc.gz"}, {"warc_filename": archive.name}, {}]
            path = folder / f"index-{number}.jsonl"
            named = [{"url": f"http://a.example/{place}", **row} for place, row in enumerate(rows)]
            path.write_text("".join(json.dumps(row) + "\n" for row in named))
            paths.append(path)
        return paths


class TestRefetch(ArchiveConformance):
    plugin = "refetch"
    before = {"read": {"use": "read_warc", "max_record_bytes": 1 << 20}}
    settings = {"max_record_bytes": 1 << 20}


class TestCaptures(ArchiveConformance):
    plugin = "captures"
    before = {"read": {"use": "read_warc", "max_record_bytes": 1 << 20}}


class TestCapturesOfAnyDocument(StepConformance):
    plugin = "captures"
    settings = {"keep": "latest_and_largest"}

    @classmethod
    def documents(cls):
        """The same URLs several times, with dates and sizes of every kind."""
        about = ({"warc_date": "2024-01-01"}, {"warc_date": None, "page_bytes": "many"}, {"page_bytes": 7}, {})
        documents = super().documents()
        again = [
            {**document, "id": f"{document['id']}-again", "metadata": {**document["metadata"], **about[place % 4]}}
            for place, document in enumerate(documents)
        ]
        return [*documents, *again]
