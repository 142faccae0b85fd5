"""Artifacts on disk: finished by their manifest, held by one run at a time, refused when they were changed."""

import contextlib
import json
import os
import signal
import subprocess
import sys

import pytest
from core import store
from core.errors import ArtifactError

RECORD = {"stage": "data", "folder": "data", "identity": {"seed": 0}, "inputs": {}, "external_files": []}


@pytest.fixture
def artifact(tmp_path):
    """A finished artifact with a file in a folder."""
    folder = tmp_path / "data" / "toy-0123"
    (folder / "documents").mkdir(parents=True)
    (folder / "documents" / "a.txt").write_text("abc")
    store.finish(folder, RECORD)
    return folder


def test_a_manifest_lists_the_files_and_unfinished_work_is_dropped(tmp_path):
    (tmp_path / store.WORK).mkdir()
    (tmp_path / store.WORK / "half").write_text("x")
    (tmp_path / "a.txt").write_text("abc")
    (tmp_path / ".lock").write_text("1")
    assert store.read_manifest(tmp_path) is None
    store.finish(tmp_path, RECORD)
    sha256_of_abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    manifest = store.read_manifest(tmp_path)
    assert manifest == {**RECORD, "files": {"a.txt": [3, sha256_of_abc]}}
    assert not (tmp_path / store.WORK).exists()


@pytest.mark.parametrize("harm", ["abcd", None])
def test_a_file_that_was_changed_or_removed_is_named(artifact, harm):
    file = artifact / "documents" / "a.txt"
    file.unlink() if harm is None else file.write_text(harm)
    with pytest.raises(ArtifactError, match=rf"documents/a\.txt is missing or was changed\. Delete {artifact}"):
        store.read_manifest(artifact)
    assert store.load_manifest(artifact) is not None, "the manifest itself is whole"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"files": ', "Expecting value"),
        (b"[]", "no stage, folder"),
        (b'{"files": {}}', "no stage, folder, identity, inputs, external_files"),
        (b"\xff\xfe", "codec can't decode"),
        (b"[" * 100_000, "recursion"),
        (b"", "Expecting value"),
        *(
            (json.dumps({**RECORD, "files": {}} | change).encode(), reason)
            for change, reason in (
                ({"identity": [1]}, "identity is list"),
                ({"files": {"a": 3}}, "files has no size and SHA-256 of a"),
                ({"files": {"a": [3]}}, "files has no size and SHA-256 of a"),
                ({"files": {"a": ["3", "x"]}}, "files has no size and SHA-256 of a"),
                ({"files": None}, "files is NoneType"),
                ({"inputs": {"corpus": 5}}, "inputs and external_files are no paths"),
                ({"external_files": [None]}, "inputs and external_files are no paths"),
                ({"summary": 5}, "summary is int"),
                ({"seconds": "x"}, "seconds is str"),
            )
        ),
    ],
)
def test_a_damaged_manifest_is_named(tmp_path, content, reason):
    (tmp_path / store.MANIFEST).write_bytes(content)
    for read in (store.load_manifest, store.read_manifest):
        with pytest.raises(ArtifactError) as refused:
            read(tmp_path)
        assert str(refused.value).startswith(f"{tmp_path}/manifest.json is damaged (")
        assert reason in str(refused.value)
        assert str(refused.value).endswith(f"Delete {tmp_path} to make it again.")


def test_what_a_killed_writer_left_is_not_listed_and_goes(tmp_path):
    (tmp_path / "hf.partial").mkdir()
    (tmp_path / "hf.partial" / "half").write_text("x")
    (tmp_path / "manifest.json.partial").write_text("{")
    (tmp_path / "hf").mkdir()
    (tmp_path / "hf" / "manifest.json").write_text("the model's own")
    store.finish(tmp_path, RECORD)
    assert list(store.read_manifest(tmp_path)["files"]) == ["hf/manifest.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hf", "manifest.json"]


def everything(folder):
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
@pytest.mark.parametrize("how", ["killed", "full"])
def test_the_end_of_a_stage_can_be_ended_at_every_step(tmp_path, each_fault, how):
    for number, ended in enumerate(each_fault(how)):
        artifact = tmp_path / str(number)
        left = {"a.txt": "abc", "hf/b.txt": "b", "hf.partial/c": "", "work/ledgers/0": "1", "work/marks/0": ""}
        for name, text in left.items():
            (artifact / name).parent.mkdir(parents=True, exist_ok=True)
            (artifact / name).write_text(text)
        ended(lambda artifact=artifact: store.finish(artifact, RECORD))
        if store.read_manifest(artifact) is None:
            assert {**everything(artifact), **left} == everything(artifact), "the stage can go on from all it had"
            store.finish(artifact, RECORD)
        assert list(store.read_manifest(artifact)["files"]) == ["a.txt", "hf/b.txt"]
        assert store.faults(artifact) == []
        store.tidy(artifact)
        assert sorted(path.name for path in artifact.iterdir()) == ["a.txt", "hf", "manifest.json"]
    assert number >= 4


@pytest.mark.parametrize(
    ("harm", "fault"),
    [
        (
            lambda file: file.write_text("abd"),
            "documents/a.txt was changed: it has another SHA-256 than was written",
        ),
        (lambda file: file.write_text("ab"), "documents/a.txt has 2 bytes and was written with 3"),
        (lambda file: file.unlink(), "documents/a.txt is missing"),
    ],
)
def test_every_damage_is_found(artifact, harm, fault):
    assert store.faults(artifact) == []
    store.check_content(artifact)
    harm(artifact / "documents" / "a.txt")
    assert store.faults(artifact) == [fault]
    with pytest.raises(ArtifactError, match=r"documents/a\.txt is missing or was changed\. Delete"):
        store.check_content(artifact)


def test_a_changed_value_in_a_manifest_is_found(artifact):
    path = artifact / store.MANIFEST
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1'))
    with pytest.raises(ArtifactError, match=r"manifest\.json is damaged \(its content does not fit"):
        store.load_manifest(artifact)
    assert len(store.faults(artifact)) == 1


def test_a_manifest_of_an_earlier_release_has_no_digest_of_itself(artifact):
    path = artifact / store.MANIFEST
    manifest = json.loads(path.read_text())
    del manifest[store.SELF]
    path.write_text(json.dumps(manifest))
    assert store.read_manifest(artifact)["identity"] == {"seed": 0}
    assert store.faults(artifact) == []


def test_what_json_writes_otherwise_than_it_is_given_is_no_damage(tmp_path):
    summary = {
        "path": tmp_path,
        "tuple": (1, 2),
        "nan": float("nan"),
        5: "five",
        "é\ud800": 1e300,
        "deep": {1: {None: 2}},
    }
    store.finish(tmp_path, {**RECORD, "summary": summary})
    assert store.load_manifest(tmp_path)["summary"]["tuple"] == [1, 2]
    assert store.faults(tmp_path) == []


def test_a_folder_that_nobody_reads_is_left_out(artifact):
    (artifact / "documents" / "a.txt").write_text("abd")
    store.check_content(artifact, unread=("documents",))


def test_a_digest_does_not_depend_on_the_order_of_keys():
    assert store.digest({"a": 1, "b": {"c": 2, "d": 3}}) == store.digest({"b": {"d": 3, "c": 2}, "a": 1})
    assert store.digest({"a": 1}) != store.digest({"a": 2})
    assert len(store.digest({})) == 12


def test_the_nearest_earlier_artifact_is_compared_with(tmp_path):
    for name, identity in (("far", {"steps": 1, "rate": 1, "seed": 9}), ("near", {"steps": 5, "inner": {"rate": 1}})):
        (tmp_path / name).mkdir()
        store.finish(tmp_path / name, {**RECORD, "identity": identity})
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / store.MANIFEST).write_text("{")
    found = store.nearest_difference(tmp_path, {"steps": 5, "inner": {"rate": 2}})
    assert [str(difference) for difference in found] == ["inner.rate 1 -> 2"]
    assert store.nearest_difference(tmp_path / "nowhere", {}) is None


def test_two_runs_do_not_make_the_same_artifact(tmp_path):
    assert not store.is_locked(tmp_path / "a")
    with store.lock(tmp_path / "a"):
        assert store.is_locked(tmp_path / "a")
        script = (
            f"from core import store; from pathlib import Path\nwith store.lock(Path({str(tmp_path / 'a')!r})): pass"
        )
        other = subprocess.run([sys.executable, "-c", script, str(tmp_path / "a")], capture_output=True, text=True)
    assert f"process {os.getpid()}" in other.stderr


def test_a_killed_run_holds_nothing(tmp_path):
    script = (
        "import os, signal; from core import store; from pathlib import Path\n"
        f"with store.lock(Path({str(tmp_path / 'a')!r})): os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == -signal.SIGKILL
    with store.lock(tmp_path / "a"):
        assert (tmp_path / "a" / ".lock").read_text() == str(os.getpid())


def test_who_waits_for_an_artifact_gets_it_when_it_is_free(tmp_path):
    holding, said = contextlib.ExitStack(), []
    holding.enter_context(store.lock(tmp_path))

    def wait():
        said.append("waits")
        holding.close()

    with store.waiting_lock(tmp_path, wait, every=0):
        assert store.is_locked(tmp_path)
    with store.waiting_lock(tmp_path, wait):
        pass
    assert said == ["waits"]
