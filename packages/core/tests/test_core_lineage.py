"""From an artifact back to its files and forward to what was made from it."""

import pytest
from core import lineage, store
from core.errors import InputError


def finish(root, folder, inputs=None, files=(), external=(), identity=None, summary=None):
    """Write a finished artifact and return its folder."""
    artifact = root / folder / f"toy-{folder}"
    artifact.mkdir(parents=True)
    for name in files:
        (artifact / name).write_text("x")
    record = {
        "stage": folder,
        "folder": folder,
        "identity": {"plugin": f"sw-{folder}", **(identity or {})},
        "summary": summary or {},
        "inputs": {role: str(made) for role, made in (inputs or {}).items()},
        "external_files": [str(file) for file in external],
        "git_commit": "abc",
    }
    store.finish(artifact, record)
    return artifact


@pytest.fixture
def made(tmp_path):
    """A store of four artifacts, each made from the one before: by folder; and the external file of the corpus."""
    root = tmp_path / "store"
    external = tmp_path / "page.warc.gz"
    external.write_text("page")
    crawl = finish(root, "crawl", files=["0.warc", "1.warc"])
    data = finish(root, "data", {"crawl": crawl}, ["a.parquet"], [external])
    tokens = finish(root, "tokens", {"corpus": data})
    pretrain = finish(root, "pretrain", {"tokens": tokens}, ["model.safetensors"])
    return {"crawl": crawl, "data": data, "tokens": tokens, "pretrain": pretrain, "external": external}


def test_the_way_back_ends_at_the_files(made):
    tree = lineage.lineage(made["pretrain"])["made_from"]
    assert (tree["stage"], tree["plugin"], tree["git_commit"]) == ("pretrain", "sw-pretrain", "abc")
    corpus = tree["inputs"]["tokens"]["inputs"]["corpus"]
    assert corpus["artifact"] == str(made["data"])
    assert corpus["files"] == [str(made["external"])]
    crawl = corpus["inputs"]["crawl"]
    assert crawl["files"] == [str(made["crawl"] / name) for name in ("0.warc", "1.warc")], "a crawl is its own files"


def test_what_came_from_outside_is_named_with_its_revision_and_a_digest_of_its_content(tmp_path):
    hub = {"origin": "owner/name", "revision": "c0ffee", "content": "0123456789ab", "model_type": "llama"}
    model = finish(tmp_path / "store", "model", external=["hf://owner/name@c0ffee"], summary=hub)
    corpus = finish(tmp_path / "store", "data", external=["a.jsonl"], identity={"data": {"files": ["5ha"]}})
    used = finish(tmp_path / "store", "pretrain", {"init": model, "tokens": corpus})
    shown = lineage.render(lineage.lineage(used))
    assert "origin owner/name, revision c0ffee, content 0123456789ab" in shown
    rows = {row["stage"]: row for row in lineage.flat([used], tmp_path / "store")}
    assert {key: rows["model"][key] for key in ("origin", "revision")} == {"origin": "owner/name", "revision": "c0ffee"}
    assert rows["data"]["content"] == store.digest({"files": ["5ha"]})
    assert "content" not in rows["pretrain"], "it was made here"


def test_a_folder_inside_an_artifact_stands_for_it(made):
    (made["pretrain"] / "hf").mkdir()
    assert lineage.lineage(made["pretrain"] / "hf")["artifact"] == str(made["pretrain"])


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("pretrain", []),
        ("data", ["tokens", "pretrain"]),
        ("external", ["data", "tokens", "pretrain"]),
        ("crawl/0.warc", ["data", "tokens", "pretrain"]),
    ],
)
def test_the_way_forward_goes_through_everything_made_since(made, origin, expected):
    name, _, file = origin.partition("/")
    used_by = lineage.lineage(made[name] / file if file else made[name], made["crawl"].parents[1])["used_by"]
    assert sorted(used_by) == sorted(str(made[name]) for name in expected)


def test_an_input_that_was_deleted_is_shown_as_missing(made):
    (made["tokens"] / store.MANIFEST).unlink()
    found = lineage.lineage(made["pretrain"])
    assert found["made_from"]["inputs"]["tokens"] == {"artifact": str(made["tokens"]), "missing": True}
    assert f"tokens: {made['tokens']} (MISSING)" in lineage.render(found)


def test_a_store_that_was_moved_is_walked_where_it_is(made, tmp_path):
    made["crawl"].parents[1].rename(tmp_path / "moved")
    model, crawl = tmp_path / "moved" / "pretrain" / "toy-pretrain", tmp_path / "moved" / "crawl" / "toy-crawl"
    found = lineage.lineage(model)["made_from"]["inputs"]["tokens"]["inputs"]["corpus"]["inputs"]["crawl"]
    assert found["artifact"] == str(crawl)
    assert "missing" not in found
    assert str(model) in lineage.lineage(crawl)["used_by"]


def test_files_of_a_crawl_that_its_settings_name_are_shown_too(tmp_path):
    crawl = finish(tmp_path, "crawl", files=["0.warc"], external=[tmp_path / "items.jsonl"])
    assert lineage.made_from(crawl)["files"] == [str(crawl / "0.warc"), str(tmp_path / "items.jsonl")]


def test_a_link_to_an_input_file_is_the_file(made, tmp_path):
    (tmp_path / "link.warc.gz").symlink_to(made["external"])
    found = lineage.lineage(tmp_path / "link.warc.gz", made["crawl"].parents[1])
    assert str(made["data"]) in found["used_by"]


def test_a_long_list_of_files_is_cut_on_the_terminal_alone(tmp_path):
    crawl = finish(tmp_path, "crawl", files=[f"{number:02}.warc" for number in range(20)])
    found = lineage.lineage(crawl)
    assert len(found["made_from"]["files"]) == 20
    shown = lineage.render(found).splitlines()
    assert shown[0] == "made from"
    assert shown[-2:] == ["    ... and 12 more files", "used by nothing in this store"]
    assert len(shown) == 1 + 1 + 8 + 2


@pytest.mark.parametrize("ask", ["pretrain", "crawl"])
def test_a_damaged_manifest_is_one_line_that_names_it(made, ask, capsys):
    damaged = made["tokens"] / store.MANIFEST
    damaged.write_text('{"stage": ')
    with pytest.raises(InputError):
        lineage.lineage(made[ask])
    assert lineage.main([str(made[ask])]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"error: {made[ask]}: {damaged} is damaged (")
    assert f"`python -m core.store verify --store {made['crawl'].parents[1]}`" in printed.err
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize(
    ("artifact", "root", "message"),
    [
        ("nowhere", None, "nowhere: no such artifact or file."),
        ("store", None, "no finished artifact at this place: no manifest.json in it or above it."),
        ("page.warc.gz", None, "no such folder. Say where the store is: --store <dir>."),
        ("page.warc.gz", "elsewhere", "no such folder. Say where the store is: --store <dir>."),
    ],
)
def test_what_is_not_there_is_refused(made, tmp_path, monkeypatch, artifact, root, message):
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    with pytest.raises(InputError) as refused:
        lineage.lineage(tmp_path / artifact, root and tmp_path / root)
    assert message in str(refused.value)
