"""A name of this machine is that file, though it has the sign that chains file systems."""

import gzip
import zipfile

import pytest
from core.data.recipe import expand
from core.errors import InputError
from core.storage import open_file, url_to_fs


def test_a_path_with_two_colons_is_a_file_of_this_machine(tmp_path, monkeypatch):
    folder = tmp_path / "a::b"
    folder.mkdir()
    (folder / "x::y.txt.gz").write_bytes(gzip.compress("é\n".encode("latin-1")))
    monkeypatch.chdir(tmp_path)
    for name in ("a::b/x::y.txt.gz", str(folder / "x::y.txt.gz")):
        assert url_to_fs(name)[0].isfile(url_to_fs(name)[1])
        with open_file(name, "rt", encoding="latin-1", compression="infer") as file:
            assert file.read() == "é\n"
        with open_file(name) as raw:
            assert raw.read(2) == b"\x1f\x8b"
        assert expand((name,)) == (str(folder / "x::y.txt.gz"),)
    assert expand((f"{folder}/*::*",)) == (str(folder / "x::y.txt.gz"),)
    with pytest.raises(InputError, match="no file matches"):
        expand((f"{folder}/z::y.txt",))


def test_a_chain_of_file_systems_is_one(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("x.txt", "inside")
    with open_file(f"zip://x.txt::file://{tmp_path}/a.zip", "rt") as file:
        assert file.read() == "inside"
