"""Runs that start from tokens that exist, of one corpus or of several."""

import dataclasses
import json
from pathlib import Path

import pytest
from core import choices, compose, graph, store, worker
from core.errors import ConfigError, InputError, UserError
from core.interfaces import Job
from core.token_files import tokenizer_digest
from smallwright_testing.tokens import write_tokens

ONE = ["tokenizer=count", "eval=judge"]


def planned(registry, *overrides):
    return graph.build(compose.compose(overrides, registry), registry)


def finished_tokens(root, name, ids=10):
    """A tokens artifact of a store with the tokenizer that made it, which has so many ids."""
    vocabulary = {"model": {"vocab": {str(n): n for n in range(ids)}}}
    made_by = root / "tokenizer" / f"count-{ids:012d}"
    if not made_by.exists():
        made_by.mkdir(parents=True)
        (made_by / "tokenizer.json").write_text(json.dumps(vocabulary))
        record = {"stage": "tokenizer", "folder": "tokenizer", "identity": {"ids": ids}, "inputs": {}}
        store.finish(made_by, {**record, "external_files": []})
    folder = root / "tokens" / f"{name}-{0:012d}"
    write_tokens(folder, [[1, 2, 0]], [[3, 0]], vocab_size=ids, tokenizer=tokenizer_digest(made_by))
    record = {"stage": "tokens", "folder": "tokens", "identity": {"tokens": name}, "external_files": []}
    store.finish(folder, {**record, "inputs": {"tokenizer": str(made_by)}})
    return folder


def test_tokens_of_several_corpora_are_taken_by_their_names(registry, workdir):
    web, code = (finished_tokens(workdir / "other", name) for name in ("web", "code"))
    training = ["+arch=tiny", "tokens=count", "pretrain=count", *ONE]
    given = f"tokens.artifact={{web: {web}, code: {code}}}"
    stages = {spec.name: spec for spec in planned(registry, given, *training)}
    assert list(stages) == ["tokens-web", "tokens-code", "tokenizer", "pretrain", "eval"]
    assert stages["tokens-code"].directory(workdir) == code
    assert set(stages["pretrain"].inputs) == {"tokens-web", "tokens-code", "tokenizer"}
    alone = {spec.name: spec for spec in planned(registry, f"tokens.artifact={web}", *training)}
    assert set(alone["pretrain"].inputs) == {"tokens", "tokenizer"}


@pytest.mark.slow
def test_tokens_that_exist_stand_beside_a_corpus_of_the_run(registry, workdir):
    web = finished_tokens(workdir / "other", "web")
    others = ["+data=toy", "+arch=tiny", "tokens=count", "pretrain=count", *ONE]
    stages = {spec.name: spec for spec in planned(registry, f"tokens.artifact={{web: {web}}}", *others)}
    assert {"tokens", "tokens-web", "tokenizer"} == set(stages["pretrain"].inputs)
    assert stages["tokens"].inputs["tokenizer"] is stages["tokenizer"]
    for given, message in (
        (f"tokens.artifact={web}", r"a corpus stands beside it.*'tokens=\{<name>: <artifact>\}'"),
        (f"tokens.artifact={{corpus: {web}}}", r"tokens\.artifact\.corpus=.*: the run has a corpus corpus"),
    ):
        with pytest.raises(ConfigError, match=message):
            planned(registry, given, *others)


def harmed(folder):
    (folder / "train-00000.bin").write_bytes(b"12")
    return folder


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            "{web: WEB, far: FAR}",
            r"tokens\.artifact\.far=.*: made by the tokenizer .*count-0+11, and tokens\.artifact\.web",
        ),
        ("{web: nowhere}", r"tokens\.artifact\.web=nowhere: no finished artifact: there is no such folder\. Name"),
        ("{web: hydra_conf}", r"tokens\.artifact\.web=hydra_conf: no finished artifact: it has no manifest\.json"),
        ("{web: HARMED}", r"tokens\.artifact\.web=.*train-00000\.bin.* was changed"),
        ("{}", r"tokens\.artifact=\{\}: names no artifact"),
    ],
)
def test_tokens_that_do_not_fit_are_refused_in_a_line(registry, workdir, given, message):
    root = workdir / "other"
    for word, place in (
        ("WEB", finished_tokens(root, "web")),
        ("FAR", finished_tokens(root, "far", ids=11)),
        ("HARMED", harmed(finished_tokens(root, "harmed"))),
    ):
        given = given.replace(word, str(place))
    with pytest.raises((ConfigError, InputError), match=message):
        planned(registry, "tokens=count", f"tokens.artifact={given}", "+arch=tiny", "pretrain=count", *ONE)


def same_size(path):
    """Damage a file so that its length tells nothing of it."""
    path.write_bytes(bytes(path.stat().st_size))


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda folder: (folder / "train-00000.bin").unlink(), r"train-00000\.bin is missing or was changed\."),
        (lambda folder: (folder / store.MANIFEST).write_text("{"), r"manifest\.json is damaged \("),
        (lambda folder: same_size(folder / "index.json"), r"index\.json: damaged \("),
        (lambda folder: same_size(folder / "meta.json"), r"meta\.json: damaged \("),
        (lambda folder: same_size(store.load_manifest(folder)["inputs"]["tokenizer"] / Path(store.MANIFEST)),
         r"its tokenizer: .*is damaged"),
    ],
    ids=["a shard", "the manifest", "the index", "what it says of itself", "its tokenizer"],
)  # fmt: skip
def test_nobody_is_told_to_delete_what_may_be_the_only_copy(registry, workdir, harm, said):
    web = finished_tokens(workdir / "other", "web")
    harm(web)
    with pytest.raises(InputError, match=said) as refused:
        planned(registry, f"tokens.artifact={web}", "+arch=tiny", "tokens=count", "pretrain=count", *ONE)
    assert str(refused.value).startswith(f"tokens={web}")
    assert "`python -m core.store verify /" in str(refused.value)
    assert str(refused.value).endswith("make it anew with the run that made it, bring back a copy, or name another.")
    assert "Delete" not in str(refused.value)


def test_nor_is_it_said_when_the_work_begins(registry, workdir):
    """Files whose length is as it was are compared by the stage that reads them."""
    web = finished_tokens(workdir / "other", "web")
    specs = planned(registry, f"tokens.artifact={web}", "+arch=tiny", "tokens=count", "pretrain=count", *ONE)
    made = {spec.name: spec.job(workdir / "store", (), {}) for spec in specs if spec.made_by_run}
    assert [made[name].named for name in ("pretrain", "eval")] == [("tokens", "tokenizer")] * 2
    same_size(web / "train-00000.bin")
    path = workdir / "job.json"
    for named, said in ((made["pretrain"].named, "^tokens: .*Look at it with"), ((), "was changed. Delete ")):
        dataclasses.replace(made["pretrain"], named=named, stage=None).write(path)
        with pytest.raises(UserError, match=said):
            worker._run(dataclasses.replace(Job.read(path), stage=made["pretrain"].stage))


@pytest.mark.slow
def test_a_packer_of_tokens_that_exist_needs_no_corpus_but_their_tokenizer(registry, workdir, monkeypatch):
    monkeypatch.setattr(registry.get("packers", "count").load(), "reads_corpus", False, raising=False)
    training = ["+arch=tiny", "tokens=count", "pretrain=count", *ONE]
    with pytest.raises(ConfigError, match=r"tokens: made elsewhere\. Name the tokenizer that made them"):
        planned(registry, *training)
    with pytest.raises(ConfigError, match="tokens=count: takes tokens that exist, and a corpus stands beside it"):
        planned(registry, "+data=toy", *training)
    tokenizer = registry.get("tokenizers", "count").load()
    monkeypatch.setattr(tokenizer, "reads_corpora", lambda self: False, raising=False)
    stages = {spec.name: spec for spec in planned(registry, *training)}
    assert list(stages) == ["tokenizer", "tokens", "pretrain", "eval"]
    assert set(stages["tokens"].inputs) == {"tokenizer"}


def test_artifacts_by_name_are_no_option(registry):
    assert choices.normalise("tokens={web: a, code: b}", {}, registry) == ["++tokens.artifact={web: a, code: b}"]
