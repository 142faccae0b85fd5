"""Which checkpoint a stage that was stopped goes on from."""

import pytest
from core import checkpoints


@pytest.fixture
def saved(tmp_path):
    """Three sealed checkpoints, oldest first."""
    folders = []
    for step in (4, 8, 12):
        folder = tmp_path / "checkpoint" / f"step-{step}"
        folder.mkdir(parents=True)
        (folder / "weights").write_bytes(bytes(100))
        checkpoints.seal(folder, checkpoints.digests(folder, ["weights"]))
        folders.append(folder)
    return folders


HARM = {
    "cut": (
        lambda folder: (folder / "weights").write_bytes(bytes(50)),
        "weights has 50 bytes and was written with 100",
    ),
    "changed": (
        lambda folder: (folder / "weights").write_bytes(b"x" + bytes(99)),
        "weights was changed: it has another SHA-256 than was written",
    ),
    "gone": (lambda folder: (folder / "weights").unlink(), "weights is missing"),
    "seal": (lambda folder: (folder / checkpoints.SEAL).write_text("{"), "seal.json is damaged"),
    "no seal": (lambda folder: (folder / checkpoints.SEAL).write_text('["weights"]'), "seal.json is damaged"),
}


@pytest.mark.parametrize("harm", HARM)
def test_the_newest_whole_one_is_taken_and_that_is_said(saved, tmp_path, harm):
    damage, reason = HARM[harm]
    damage(saved[2])
    newest, notes = checkpoints.keep_whole(saved, tmp_path / "work")
    assert newest == saved[1]
    assert notes == [f"checkpoint step-12 is damaged ({reason}): training goes on from step-8"]
    assert not saved[2].exists()
    assert (tmp_path / "work" / "damaged" / "step-12").is_dir()
    assert checkpoints.keep_whole(saved[:2], tmp_path / "work") == (saved[1], [])


def test_with_none_left_training_starts_again_and_that_is_said(saved, tmp_path):
    for folder in saved:
        HARM["cut"][0](folder)
    newest, notes = checkpoints.keep_whole(saved, tmp_path / "work")
    assert newest is None
    assert len(notes) == 3
    assert notes[-1].endswith(": training starts from the beginning")


def test_what_was_never_sealed_is_taken(saved, tmp_path):
    (saved[2] / checkpoints.SEAL).unlink()
    assert checkpoints.keep_whole(saved, tmp_path / "work") == (saved[2], [])
