"""Files and folders are the old or the whole new ones, whatever ends the writer."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from core import writing
from core.writing import replacing


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_under_its_name_when_the_block_ends(tmp_path):
    target = tmp_path / "made" / "file.txt"
    with replacing(target) as partial:
        partial.write_text("new")
        assert partial.parent == target.parent
        assert partial.name.endswith(writing.ENDING)
        assert not target.exists()
    assert target.read_text() == "new"
    assert names(target.parent) == ["file.txt"]


def fail(target, error):
    """Write half of a folder or of a file, and raise."""
    with replacing(target) as partial:
        if target.suffix:
            partial.write_text("half")
        else:
            partial.mkdir()
            (partial / "half").write_text("half")
        raise error


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_block_that_raises_leaves_what_was_there(tmp_path, error):
    target = tmp_path / "file.txt"
    target.write_text("old")
    with pytest.raises(error):
        fail(target, error)
    assert target.read_text() == "old"
    assert names(tmp_path) == ["file.txt"]


@pytest.mark.parametrize("name", ["file.txt", "folder"])
def test_a_block_that_raises_leaves_nothing_where_nothing_was(tmp_path, name):
    with pytest.raises(ZeroDivisionError):
        fail(tmp_path / name, ZeroDivisionError)
    assert names(tmp_path) == []


def test_a_killed_writer_leaves_the_old_content_and_the_next_one_its_own(tmp_path):
    target = tmp_path / "file.txt"
    target.write_text("old")
    script = (
        "import os, signal, sys; from pathlib import Path; from core.writing import replacing\n"
        "with replacing(Path(sys.argv[1])) as partial:\n"
        "    partial.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(target)])
    assert killed.returncode == -signal.SIGKILL
    assert target.read_text() == "old"
    assert names(tmp_path) == ["file.txt", "file.txt.partial"], "the killed writer had begun"
    with replacing(target) as partial:
        assert not partial.exists(), "what the killed writer left is removed"
        partial.write_text("new")
    assert target.read_text() == "new"
    assert names(tmp_path) == ["file.txt"]


def test_a_folder_is_replaced_whole(tmp_path):
    target = tmp_path / "folder"
    for name in ("one", "two"):
        with replacing(target) as partial:
            (partial / "inner").mkdir(parents=True)
            (partial / "inner" / name).write_text(name)
    assert names(target / "inner") == ["two"]
    assert names(tmp_path) == ["folder"]


def test_a_folder_that_a_killed_writer_left_is_not_mixed_with_the_new_one(tmp_path):
    (tmp_path / "folder.partial").mkdir()
    (tmp_path / "folder.partial" / "stale").write_text("x")
    with replacing(tmp_path / "folder") as partial:
        partial.mkdir()
        (partial / "fresh").write_text("x")
    assert names(tmp_path / "folder") == ["fresh"]


def test_a_link_is_replaced_and_not_what_it_points_to(tmp_path):
    (tmp_path / "original").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "original")
    writing.write_text(tmp_path / "link", "new")
    assert (tmp_path / "original").read_text() == "old"
    assert (tmp_path / "link").read_text() == "new"


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_content_is_on_the_disk_before_the_name_is(tmp_path, monkeypatch, kind):
    """A power cut after the rename must not leave the new name on an empty file."""
    done = []
    sync, rename = os.fsync, Path.replace

    def fsync(descriptor):
        done.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        sync(descriptor)

    def replace(self, target):
        done.append("rename")
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    with replacing(tmp_path / "made") as partial:
        if kind == "file":
            partial.write_text("x")
        else:
            (partial / "inner").mkdir(parents=True)
            (partial / "inner" / "a").write_text("x")
    before, after = done[: done.index("rename")], done[done.index("rename") + 1 :]
    assert set(before) == ({"made.partial"} if kind == "file" else {"made.partial", "inner", "a"})
    assert after == [tmp_path.name], "the folder's list of names comes last"


def test_begin_and_commit_do_in_two_steps_what_a_block_does(tmp_path):
    (tmp_path / "a.txt.partial").write_text("stale")
    partial = writing.begin(tmp_path / "a.txt")
    assert not partial.exists()
    partial.write_text("new")
    writing.commit(tmp_path / "a.txt")
    assert (tmp_path / "a.txt").read_text() == "new"
    assert names(tmp_path) == ["a.txt"]


def test_json_is_written_and_what_it_does_not_know_as_text(tmp_path):
    writing.write_json(tmp_path / "a.json", {"path": Path("x"), "word": "ä"})
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"path": "x", "word": "ä"}


def test_a_file_does_not_take_the_place_of_a_folder(tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "artifact").write_text("kept")
    with pytest.raises(IsADirectoryError):
        writing.write_text(tmp_path / "store", "new")
    assert (tmp_path / "store" / "artifact").read_text() == "kept"
    assert names(tmp_path) == ["store"]


def test_a_write_that_finds_the_disk_full_names_the_file(tmp_path):
    with pytest.raises(OSError, match="No space left") as full, replacing(tmp_path / "table.json"):
        raise OSError(errno.ENOSPC, "No space left on device")  # as a write says it, without a name
    assert full.value.filename == str(tmp_path / "table.json")
