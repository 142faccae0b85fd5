"""What stands for the content of input files, and the memory of it."""

import dataclasses
import os
import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from core import fingerprint, typed
from core.fingerprint import fingerprint as digest


@pytest.fixture
def file(tmp_path, monkeypatch):
    """A file whose digest is remembered at once."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(fingerprint, "SETTLED", -1.0)
    (tmp_path / "a.txt").write_text("one")
    return tmp_path / "a.txt"


def remembered(file):
    return sorted((file.parent / "home" / ".cache" / "smallwright" / "digests").glob("*.json"))


def test_a_file_is_read_once(file, monkeypatch):
    first = digest(str(file))
    monkeypatch.setattr(fingerprint.store, "file_digest", lambda path: "read again")
    assert digest(str(file)) == first


def replace(file: Path) -> None:
    other = file.with_name("other")
    other.write_text("two")
    other.replace(file)


@pytest.mark.parametrize("change", [lambda file: file.write_text("two"), replace])
def test_other_content_of_the_same_length_and_date_is_other_content(file, change):
    before, times = digest(str(file)), file.stat()
    time.sleep(0.02)  # the clock of the file system ticks so often
    change(file)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert file.stat().st_mtime_ns == times.st_mtime_ns
    assert digest(str(file)) != before


def test_a_copy_with_its_date_is_looked_at_itself(file):
    before = digest(str(file))
    other = file.with_name("b.txt")
    other.write_text("two")
    shutil.copystat(file, other)
    file.unlink()
    other.rename(file)
    assert digest(str(file)) != before


@pytest.mark.parametrize("content", ["", "{", "null", '"abc"', "[]", "\x00", '"' + "g" * 64 + '"'])
def test_a_damaged_memory_is_not_believed(file, content):
    right = digest(str(file))
    (cache,) = remembered(file)
    cache.write_text(content)
    assert digest(str(file)) == right
    assert digest(str(file)) == right


def test_what_changed_just_now_is_not_remembered(file, monkeypatch):
    monkeypatch.setattr(fingerprint, "SETTLED", 2.0)
    digest(str(file))
    assert remembered(file) == []


def test_a_memory_that_cannot_be_written_costs_time_alone(file, tmp_path, monkeypatch):
    (tmp_path / "home").write_text("a file where the folder should be")
    assert digest(str(file)) == digest(str(file))


def test_what_is_half_written_is_no_part_of_what_a_folder_holds(file):
    """As a broken download or a killed command leaves it in a folder that a setting names."""
    (data := file.parent / "data").mkdir()
    (data / "whole.jsonl").write_text("{}")

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Reads:
        data_dir: str = typed.setting(files=True)

    registry = SimpleNamespace(names=lambda kind: [])
    settings = Reads(data_dir=str(data))
    before = fingerprint.identity(settings, registry, "eval"), fingerprint.named_files(settings)
    (data / "more.jsonl.partial").write_text("{")
    (data / ".partial" / "owner__toy").mkdir(parents=True)
    (data / ".partial" / "owner__toy" / "test.parquet").write_text("PAR")
    assert (fingerprint.identity(settings, registry, "eval"), fingerprint.named_files(settings)) == before
    (data / "more.jsonl").write_text("{}")
    assert fingerprint.identity(settings, registry, "eval") != before[0]
