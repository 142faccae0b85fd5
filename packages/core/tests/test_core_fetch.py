"""Data sets of the hub as files: the hub's own client against a server that speaks its protocol."""

import hashlib
import io
import json
import threading
from urllib.parse import unquote, urlsplit

import pytest
from core import remote
from core.errors import InputError, NotAtHand
from core.fetch import fetch
from core.remote_data import LOCK, RemoteData, merged, missing_part

constants = pytest.importorskip("huggingface_hub.constants", reason="the extra 'hub'")
pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
PINNED, CONVERTED = "a" * 40, "c" * 40
TOY = RemoteData(name="owner/toy", config="main", splits=("test", "train"), revision=PINNED, wanted_by="toy")
SCRIPTED = RemoteData(name="owner/scripted", splits=("test",), revision=PINNED)


def parquet(text):
    out = io.BytesIO()
    pq.write_table(pa.table({"question": [text]}), out)
    return out.getvalue()


@pytest.fixture
def files():
    """Files of the data sets of a hub, by commit; ``refs/convert/parquet`` is a commit of its own."""
    return {
        "owner/toy": {
            PINNED: {
                "main/test-00000-of-00002.parquet": parquet("one"),
                "main/test-00001-of-00002.parquet": parquet("two"),
                "main/train-00000-of-00001.parquet": parquet("three"),
                "main/train.pkl": b"never asked for",
                "toy.py": b"raise SystemExit('this code ran')",
            }
        },
        "owner/scripted": {
            PINNED: {"scripted.py": b"raise SystemExit('this code ran')"},
            CONVERTED: {"plain_text/test/0000.parquet": parquet("four")},
        },
    }


@pytest.fixture
def asked(serve_hub, files):
    """The requests to a hub with these files, each its verb and path."""

    def respond(request):
        path = unquote(urlsplit(request.path).path)
        part, _, rest = path.removeprefix("/api").removeprefix("/datasets/").partition("/")
        name, _, rest = rest.partition("/")
        repository = files.get(f"{part}/{name}")
        verb, _, rest = rest.partition("/")
        revision = CONVERTED if rest.startswith(remote.CONVERTED) else rest.partition("/")[0]
        if repository is None:
            request.answer(404, b"{}", X_Error_Code="RepoNotFound")
        elif revision not in repository:
            request.answer(404, b"{}", X_Error_Code="RevisionNotFound")
        elif verb == "revision":
            request.answer(200, json.dumps({"id": f"{part}/{name}", "sha": revision, "siblings": []}).encode())
        elif verb == "tree":
            entries = [
                {"type": "file", "path": file, "oid": "0", "size": len(data), "lfs": lfs(data)}
                for file, data in repository[revision].items()
            ]
            request.answer(200, json.dumps(entries).encode())
        else:
            data = repository[revision][rest.partition("/")[2]]
            request.answer(200, data, X_Repo_Commit=revision, ETag=f'"{hashlib.sha1(data).hexdigest()}"')

    remote._parquet.cache_clear()
    return serve_hub(respond)


def lfs(data):
    return {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 9}


def lock(folder):
    return json.loads((folder / LOCK).read_text())["files"]


@pytest.mark.slow
def test_a_data_set_is_fetched_once_at_its_commit_as_parquet_alone(asked, tmp_path, capsys):
    fetch([TOY, SCRIPTED], tmp_path)
    kept = lock(tmp_path)
    assert {place: (entry["revision"], entry["split"]) for place, entry in kept.items()} == {
        "owner__toy/main/test-00000-of-00002.parquet": (PINNED, "test"),
        "owner__toy/main/test-00001-of-00002.parquet": (PINNED, "test"),
        "owner__toy/main/train-00000-of-00001.parquet": (PINNED, "train"),
        "owner__scripted/default/test-00000-of-00001.parquet": (CONVERTED, "test"),
    }
    for place, entry in kept.items():
        assert hashlib.sha256((tmp_path / place).read_bytes()).hexdigest() == entry["sha256"]
    assert not [path for _, path in asked if path.endswith((".py", ".pkl"))]
    assert not (tmp_path / remote.PARTIAL).exists()
    asked.clear()
    capsys.readouterr()
    fetch([TOY, SCRIPTED], tmp_path)
    assert asked == []
    assert capsys.readouterr().out.count("verified") == 2


def test_only_what_is_missing_or_damaged_is_fetched_again(asked, tmp_path):
    fetch([TOY], tmp_path)
    damaged, lost = (tmp_path / f"owner__toy/main/{name}" for name in (
        "test-00000-of-00002.parquet", "train-00000-of-00001.parquet",
    ))  # fmt: skip
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:-1])
    lost.unlink()
    asked.clear()
    fetch([TOY], tmp_path)
    assert damaged.read_bytes() == whole
    assert lost.is_file()
    assert {path.rpartition("/")[2] for verb, path in asked if verb == "GET" and "/resolve/" in path} == {
        damaged.name, lost.name,
    }  # fmt: skip


def test_a_split_of_which_some_files_are_here_is_not_whole(asked, tmp_path):
    """As after a fetch that was killed between two files of a split."""
    fetch([TOY], tmp_path)
    second = "owner__toy/main/test-00001-of-00002.parquet"
    kept = lock(tmp_path)
    del kept[second]
    (tmp_path / LOCK).write_text(json.dumps({"version": 1, "files": kept}))
    (tmp_path / second).unlink()
    fetch([TOY], tmp_path)
    assert (tmp_path / second).is_file()
    assert second in lock(tmp_path)


def test_two_fetches_at_once_keep_what_both_brought(asked, tmp_path, capsys):
    other = RemoteData(name="owner/scripted", splits=("test",), revision=PINNED)
    waits = []
    with remote.alone(tmp_path):
        one = threading.Thread(target=fetch, args=([other], tmp_path))
        one.start()
        stale = remote.Folder(tmp_path)
        while not (waits := capsys.readouterr().out):
            one.join(0.01)
        for _ in stale.fetch(TOY):
            pass
    one.join()
    assert "waits for another core.fetch" in waits
    assert len(lock(tmp_path)) == 4


@pytest.mark.parametrize(
    "text",
    ["", "[", "[]", "{}", '{"files": []}', '{"files": {"a": 1}}', '{"files": {"a": {}}}', "[" * 99999, "\x00"],
)
def test_a_damaged_lock_is_said_in_one_line(tmp_path, text):
    (tmp_path / LOCK).write_text(text)
    with pytest.raises(InputError, match=r"datasets\.lock\.json is damaged .*Remove it and run core\.fetch again"):
        remote.Folder(tmp_path)


@pytest.mark.parametrize(
    ("names", "missing"),
    [
        (["test-00000-of-00002.parquet", "test-00001-of-00002.parquet"], None),
        (["test-00001-of-00002.parquet"], "test-00000-of-00002.parquet"),
        (["test-00000-of-99999-7dff16.parquet"], "test-00001-of-99999.parquet"),
        (["0000.parquet", "test.jsonl"], None),
    ],
)
def test_a_part_that_is_missing_is_known_by_the_names_of_the_others(names, missing):
    assert missing_part(names) == missing


def test_a_file_that_changed_under_its_commit_is_refused(asked, files, tmp_path):
    fetch([TOY], tmp_path)
    place = "owner__toy/main/train-00000-of-00001.parquet"
    (tmp_path / place).unlink()
    files["owner/toy"][PINNED]["main/train-00000-of-00001.parquet"] = parquet("another")
    remote._parquet.cache_clear()
    with pytest.raises(InputError, match=r"train-00000-of-00001\.parquet at a{40} has the SHA-256 \w+, and \w+ was"):
        fetch([TOY], tmp_path)
    assert not (tmp_path / place).exists()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (
            RemoteData(name="owner/nothing", splits=("test",), wanted_by="toy"),
            r"owner/nothing, which toy reads: the hub",
        ),
        (RemoteData(name="owner/toy", splits=("test",), revision="v9"), r"owner/toy: the hub has no revision v9 of it"),
        (RemoteData(name="../toy", splits=("test",)), r"\.\./toy: '\.\./toy' leads out of the folder"),
        (RemoteData(name="owner/toy", config="a/../..", splits=("test",)), r"owner/toy: 'a/\.\./\.\.' leads out of"),
        (RemoteData(name="owner/toy", splits=("/test",)), r"owner/toy: '/test' leads out of"),
        (RemoteData(name="a/b/c", splits=("test",)), r"a/b/c: no name of a data set on the hub"),
        (RemoteData(name="owner/toy", config="main", splits=("dev",), revision=PINNED), r"owner/toy: .*revision"),
    ],
)
def test_what_the_hub_does_not_have_is_said_in_one_line(asked, tmp_path, data, said):
    with pytest.raises((InputError, NotAtHand), match=said) as raised:
        fetch([data], tmp_path)
    assert "\n" not in str(raised.value)


def test_without_a_network_what_is_here_counts(asked, tmp_path, monkeypatch):
    fetch([TOY], tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    fetch([TOY], tmp_path)
    with pytest.raises(
        NotAtHand, match=r"owner/scripted: not fetched: HF_HUB_OFFLINE is set.*the same command goes on"
    ):
        fetch([TOY, SCRIPTED], tmp_path)


def test_a_hub_that_does_not_answer_is_said_in_one_line(asked, tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(
        NotAtHand, match=r"^owner/toy, which toy reads: not fetched: http://127\.0\.0\.1:9 cannot be"
    ) as raised:
        fetch([TOY], tmp_path)
    assert "\n" not in str(raised.value)


def test_data_that_is_not_on_the_hub_is_named_with_its_place(tmp_path, capsys):
    by_hand = RemoteData(name="some/where", splits=("test",), elsewhere="a web page")
    fetch([by_hand], tmp_path)
    assert f"take it from a web page to {tmp_path}/some__where/default/test.jsonl" in capsys.readouterr().err


def test_splits_of_one_configuration_are_joined():
    one, other = (RemoteData(name="a/b", config="c", splits=splits) for splits in (("x",), ("y", "x")))
    assert [data.splits for data in merged([one, other, RemoteData(name="a/b", splits=("x",))])] == [("x", "y"), ("x",)]
