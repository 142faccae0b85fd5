"""What the ending of a file's name says of its content. Light: planning asks too."""

COMPRESSIONS = (".gz", ".zst", ".xz", ".bz2")
ROWS = (".jsonl", ".json", ".ndjson", ".parquet", ".csv", ".tsv", ".arrow")
"""Files that are read row by row; :data:`smallwright_files.formats.READERS` has a reader for each."""


def kind_of(file: str) -> str:
    """Return the ending that says what a file holds, without that of its compression: ``.jsonl``."""
    name = file.rsplit("/", 1)[-1].lower()
    for compression in COMPRESSIONS:
        name = name.removesuffix(compression)
    _, dot, ending = name.rpartition(".")
    return dot + ending
