"""``python -m core.store``: what is in a store, whether it is whole, and what can go."""

import json
import os
import time

import pytest
from core import store
from core.store.__main__ import main

HASH = "-0123456789ab"
FILE = f"store/data/toy-data{HASH}/a.bin"


def made(root, folder, *inputs, finished=True, days=10.0):
    """Write an artifact of some age and return its folder."""
    artifact = root / folder / f"toy-{folder}-0123456789ab"
    artifact.mkdir(parents=True)
    (artifact / "a.bin").write_bytes(b"x" * 1500)
    record = {"stage": folder, "folder": folder, "identity": {}, "external_files": []}
    if finished:
        # As after the store was moved: the paths of the inputs are those of the old place.
        store.finish(
            artifact, {**record, "inputs": {made.name: f"/old/{made.parent.name}/{made.name}" for made in inputs}}
        )
    else:
        (artifact / ".lock").write_text("1")
    then = time.time() - days * 86_400
    for path in (*artifact.iterdir(), artifact):
        os.utime(path, (then, then))
    return artifact


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A store, and a run that made its model; nobody's tokenizer; a corpus that was not finished."""
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "store"
    corpus = made(root, "data")
    model = made(root, "pretrain", corpus)
    made(root, "tokenizer")
    made(root, "crawl", finished=False)
    made(root, "tokens", finished=False, days=0)
    (tmp_path / "runs" / "one").mkdir(parents=True)
    (tmp_path / "runs" / "one" / "report.json").write_text(json.dumps({"stages": [{"artifact": str(model)}]}))
    return root


def run(capsys, *arguments):
    code = main(list(arguments))
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_size_age_and_users_are_listed(root, capsys):
    code, out, _ = run(capsys, "list")
    lines = {line.split()[0]: line.split(None, 1)[1] for line in out.splitlines()}
    assert code == 0
    assert lines["data/toy-data-0123456789ab"].endswith("used by pretrain/toy-pretrain-0123456789ab")
    assert "10 d" in lines["data/toy-data-0123456789ab"]
    assert "kB" in lines["data/toy-data-0123456789ab"]
    assert lines["pretrain/toy-pretrain-0123456789ab"].endswith("used by run one")
    assert lines["tokenizer/toy-tokenizer-0123456789ab"].endswith("used by nothing")
    assert lines["crawl/toy-crawl-0123456789ab"].endswith("unfinished")
    rows = json.loads(run(capsys, "list", "--json")[1])
    assert {row["artifact"]: row["state"] for row in rows}[str(root / "data" / "toy-data-0123456789ab")] == "finished"


def test_what_was_changed_is_named_and_the_rest_is_whole(root, capsys):
    assert run(capsys, "verify")[:2] == (0, "3 artifacts read, 0 damaged, 2 unfinished\n")
    file = root / "data" / "toy-data-0123456789ab" / "a.bin"
    file.write_bytes(b"y" + file.read_bytes()[1:])
    (root / "pretrain" / "toy-pretrain-0123456789ab" / "manifest.json").write_text("[]")
    code, out, _ = run(capsys, "verify")
    assert code == 1
    assert f"{file.parent}: a.bin was changed" in out
    assert f"{root}/pretrain/toy-pretrain-0123456789ab/manifest.json is damaged" in out
    assert run(capsys, "verify", "tokenizer/toy-tokenizer-0123456789ab")[0] == 0
    assert list(json.loads(run(capsys, "verify", "--json", str(file.parent))[1])) == [str(file.parent)]


def test_garbage_is_what_no_run_needs_and_goes_only_when_asked(root, capsys):
    code, out, _ = run(capsys, "gc")
    assert code == 0
    assert "crawl/toy-crawl-0123456789ab: unfinished" in out
    assert "tokenizer/toy-tokenizer-0123456789ab: no run's report names it" in out
    assert "data/toy-data-0123456789ab" not in out, "the run's model was made from it"
    assert "tokens/toy-tokens-0123456789ab" not in out, "it is of today"
    assert (root / "tokenizer" / "toy-tokenizer-0123456789ab").exists()
    assert "removed" in run(capsys, "gc", "--delete")[1]
    assert sorted(path.name.removesuffix(HASH) for path in root.glob("*/*")) == [
        "toy-data",
        "toy-pretrain",
        "toy-tokens",
    ]


def test_a_damaged_report_of_a_run_is_named_before_anything_that_it_needs_goes(root, capsys, tmp_path):
    report = tmp_path / "runs" / "one" / "report.json"
    report.write_text("{")
    code, out, err = run(capsys, "gc", "--delete", "--older-than", "0")
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {report.relative_to(tmp_path)} is damaged (JSONDecodeError: ")
    assert (root / "tokenizer" / "toy-tokenizer-0123456789ab").exists()


def test_without_any_run_nothing_finished_is_garbage(root, capsys, tmp_path):
    (tmp_path / "runs" / "one" / "report.json").write_text("[]")
    _, out, _ = run(capsys, "gc", "--older-than", "0")
    assert "tokenizer" not in out
    assert "finished artifacts stay: give --runs" in out


def test_what_is_being_made_does_not_go(root, capsys):
    crawl = root / "crawl" / "toy-crawl-0123456789ab"
    with store.lock(crawl):
        assert "crawl" not in run(capsys, "gc", "--delete")[1]
        assert "is being made by another run" in run(capsys, "rm", "crawl/toy-crawl-0123456789ab")[2]
    assert crawl.exists()


def test_removing_what_others_were_made_from_must_be_meant(root, capsys):
    code, _, err = run(capsys, "rm", "data/toy-data-0123456789ab")
    assert code == 2
    assert "pretrain/toy-pretrain-0123456789ab was made from it. --force" in err
    assert run(capsys, "rm", "data/toy-data-0123456789ab", "pretrain/toy-pretrain-0123456789ab")[0] == 0
    assert not (root / "data" / "toy-data-0123456789ab").exists()


@pytest.mark.parametrize(
    "name",
    [
        "nothing",
        "..",
        ".",
        "/",
        "runs/one",
        "store",
        "../somebody",
        "data/somebody",
        "store/data",
        "store/data/toy-data-0123456789ab/a.bin",
    ],
)
def test_only_artifacts_are_removed(root, capsys, name):
    for folder in (root.parent, root.parent.parent / "somebody", root / "data" / "somebody"):
        folder.mkdir(exist_ok=True)
        (folder / ".lock").touch()  # as pytest and package managers have it
        (folder / "manifest.json").write_text('{"name": "a web page"}')
    before = sorted(root.parent.rglob("*"))
    code, _, err = run(capsys, "rm", "--force", name)
    assert code == 2
    assert f"{name}: no artifact here" in err
    assert sorted(root.parent.rglob("*")) == before


def test_a_store_that_is_not_there_is_one_line(tmp_path, capsys):
    code, _, err = run(capsys, "list", "--store", str(tmp_path / "nowhere"))
    assert (code, err.count("\n")) == (2, 1)


def test_what_a_run_of_a_sweep_names_is_kept(root, capsys, tmp_path):
    folder = tmp_path / "runs" / "many"
    (folder / "seed-0").mkdir(parents=True)
    tokenizer = root / "tokenizer" / "toy-tokenizer-0123456789ab"
    (folder / "seed-0" / "report.json").write_text(json.dumps({"stages": [{"artifact": str(tokenizer)}]}))
    assert "toy-tokenizer" in run(capsys, "gc")[1]
    (folder / "sweep.json").write_text("{}")
    assert "toy-tokenizer" not in run(capsys, "gc")[1]
