"""A full disk and a damaged file are called that, however a library says it."""

import errno
import json
import shutil
from types import SimpleNamespace

import pytest
from core.errors import ConfigError, InputError, cannot_write, full_disk, reading


class TorchsException(BaseException):
    """As torch's CheckpointException: no Exception, and what went wrong by rank."""

    def __init__(self, failure):
        super().__init__("CheckpointException ranks:dict_keys([1])")
        self.failures = {1: (failure, [])}


def wrapped(error):
    try:
        try:
            raise error
        except BaseException as cause:
            raise RuntimeError("could not save") from cause
    except RuntimeError as outer:
        return outer


FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    "error",
    [
        FULL,
        wrapped(FULL),
        TorchsException(FULL),
        wrapped(TorchsException(wrapped(FULL))),
        Exception("No space left on device (os error 28)"),
        RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),
        OSError("[Errno 28] Error writing bytes to file. Detail: [errno 28] No space left on device"),
    ],
)
def test_a_full_disk_is_named_with_its_place(tmp_path, error):
    assert full_disk(error, tmp_path) == (
        f"the disk of {tmp_path} is full: free space and start again; finished work is kept."
    )


def test_a_quota_is_named_too(tmp_path):
    assert "the disk quota of" in full_disk(OSError(errno.EDQUOT, "Disk quota exceeded"), tmp_path)
    assert cannot_write(OSError(errno.EACCES, "Permission denied"), "x") == "x cannot be written: Permission denied."


@pytest.mark.parametrize(("free", "full"), [(1 << 20, True), (1 << 30, False)])
def test_of_a_write_that_failed_in_torch_the_disk_itself_is_asked(tmp_path, monkeypatch, free, full):
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=free))
    error = RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos 1088 vs 982")
    assert (full_disk(error, tmp_path / "not" / "there") is not None) == full


def test_other_errors_are_not_a_full_disk(tmp_path):
    looped = ValueError("a")
    looped.__cause__ = wrapped(looped)
    for error in (looped, KeyError("x"), OSError(errno.EACCES, "Permission denied"), TorchsException(EOFError())):
        assert full_disk(error, tmp_path) is None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "FileNotFoundError: [Errno 2] No such file or directory"),
        ("{", "JSONDecodeError: Expecting property name"),
        ("[" * 200_000, "RecursionError: maximum recursion depth exceeded"),
        ("[]", "TypeError: list indices must be integers"),
        ("{}", "KeyError: 'name'"),
        ('{"name": null}', "AttributeError: 'NoneType' object has no attribute 'upper'"),
    ],
)
def test_a_file_that_is_not_what_it_should_be_is_one_line_with_the_fix(tmp_path, content, said):
    path = tmp_path / "report.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError) as refused, reading(path, "Run it again."):
        json.loads(path.read_text())["name"].upper()
    assert str(refused.value).startswith(f"{path} is damaged ({said}")
    assert str(refused.value).endswith("). Run it again.")
    assert "\n" not in str(refused.value)


def test_what_is_a_line_for_users_already_stays_as_it_is(tmp_path):
    with pytest.raises(ConfigError, match=r"^version 3$"), reading(tmp_path, "Run it again."):
        raise ConfigError("version 3")
