"""The readers of files hold what every data step must."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
from core.data.documents import ParquetSink
from datatrove.data import Document
from smallwright_testing import StepConformance


class ReaderConformance(StepConformance):
    """A step that reads: what was in a file, and where, is part of a document's id."""

    reads_files = True
    same_in_one_file = False

    @classmethod
    def shares(cls, shards):
        """Return the documents of each file."""
        documents = cls.documents()
        return [documents[shard::shards] for shard in range(shards)]


class JsonLines(ReaderConformance):
    """Files of JSON lines, some of them damaged."""

    @classmethod
    def write_files(cls, folder, shards):
        damage = [b"\n", b"[1, 2]\n", b'{"text": "cut', b"\n\xff\xfe\n", b'{"text": 5}\n', b"null\n"]
        paths = []
        for number, documents in enumerate(cls.shares(shards)):
            rows = [json.dumps({"text": d["text"], "id": d["id"], **d["metadata"]}).encode() for d in documents]
            path = folder / f"{number}.jsonl"
            path.write_bytes(b"\n".join(rows) + b"\n" + b"".join(damage))
            paths.append(path)
        return paths


class TestReadJsonl(JsonLines):
    plugin = "read_jsonl"


class TestReadHub(JsonLines):
    plugin = "read_hub"
    settings = {"dataset": "owner/name"}


class TestReadParquet(ReaderConformance):
    plugin = "read_parquet"

    @classmethod
    def write_files(cls, folder, shards):
        paths = []
        for number, documents in enumerate(cls.shares(shards)):
            texts = [document["text"].encode("utf-8", "replace").decode() for document in documents]
            table = pa.table({"text": [*texts, None], "id": [*(document["id"] for document in documents), "null"]})
            pq.write_table(table, folder / f"{number}.parquet", row_group_size=5)
            paths.append(folder / f"{number}.parquet")
        return paths


class TestReadText(ReaderConformance):
    plugin = "read_text"
    settings = {"split": "blocks", "max_document_bytes": 100_000}

    @classmethod
    def write_files(cls, folder, shards):
        for number, documents in enumerate(cls.shares(shards)):
            texts = [document["text"].encode("utf-8", "surrogatepass") for document in documents]
            (folder / f"{number}.txt").write_bytes(b"\n\n".join(texts))
        return sorted(folder.iterdir())


class TestReadDocuments(ReaderConformance):
    plugin = "read_documents"

    @classmethod
    def write_files(cls, folder, shards):
        (folder / "documents").mkdir()
        for number, documents in enumerate(cls.shares(shards)):
            sink = ParquetSink(folder / "documents" / f"{number:05d}.parquet")
            for document in documents:
                sink.write(Document(**document))
            sink.close()
        return sorted((folder / "documents").iterdir())
