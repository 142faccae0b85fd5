"""Long documents do not pile up in memory before they are written."""

import pyarrow.parquet as pq
from core.data.documents import ParquetSink, read_documents
from datatrove.data import Document


def test_a_group_is_written_when_its_text_is_long_enough(tmp_path, monkeypatch):
    monkeypatch.setattr(ParquetSink, "CHARACTERS_PER_GROUP", 1000)
    sink = ParquetSink(tmp_path / "0.parquet")
    for number, length in enumerate((900, 99, 1, 5, 5000, 7)):
        sink.write(Document(text="x" * length, id=str(number)))
    sink.close()
    with pq.ParquetFile(tmp_path / "0.parquet") as file:
        assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == [3, 2, 1]
    assert [document.id for document in read_documents(tmp_path / "0.parquet")] == list("012345")
