"""Was a task looked for in what trained a model: by the manifests of all that it was made from."""

from pathlib import Path

import pytest
from core import contamination, store
from core.local_files import import_file

made = import_file(Path(__file__).with_name("comparable.py"))


def corpus(root, name, against=None, counted=()):
    steps = {"read": {"use": "x"}}
    if against is not None:
        steps["clean"] = {"like": {"use": "decontaminate", "against": against}, "ngram": 13}
    reports = {"clean": {"tables": {"contaminated documents": dict(counted)}}}
    return made.artifact(root, "data", name, stage="data", config={"steps": steps}, summary={"step_reports": reports})


def model(root, *corpora, folder="pretrain", name="m", **more):
    inputs = {}
    for one in corpora:
        tokens = made.artifact(root, "tokens", f"t-{one.name}", stage="tokens", inputs={"corpus": f"data/{one.name}"})
        inputs[f"tokens-{one.name}"] = f"tokens/{tokens.name}"
    return made.artifact(root, folder, name, stage=folder, inputs={**inputs, **more})


def asked(artifact, *names):
    return contamination.of_task(contamination.sources(artifact), names)


def test_all_of_several_corpora_must_have_been_cleaned(tmp_path):
    files = ["sums", "/data/allenai__ai2_arc/ARC-Easy/test.jsonl", "/x/gsm8k/test.jsonl"]
    counted = {"sums": 7, "ARC-Easy/test": 2, "gsm8k/test": 3}
    web, code = corpus(tmp_path, "web", files, counted), corpus(tmp_path, "code", ["sums"], {"sums": 1})
    both = model(tmp_path, web, code)
    found = asked(both, "sums")
    assert (found["checked"], found["documents_removed"]) == ("yes", 8)
    assert found["reason"] == (
        "clean of web removed 7 documents with items of it; clean of code removed 1 documents with items of it"
    )
    for names, removed in ((("arc_easy", "allenai__ai2_arc"), 2), (("my_gsm", "gsm8k"), 3)):
        found = asked(both, *names)
        assert (found["checked"], found["documents_removed"]) == ("partly", removed)
        assert found["reason"].endswith("clean of code does not list it (it looked for sums)")
    assert asked(both, "hellaswag")["checked"] == "no"


def test_a_corpus_that_nothing_cleaned_says_so(tmp_path):
    found = asked(model(tmp_path, corpus(tmp_path, "web")), "sums")
    assert found == {"checked": "no", "documents_removed": 0, "reason": "no step of web looks for benchmarks"}


@pytest.mark.parametrize("kind", ["model", "tokens", "folder"])
def test_what_came_from_outside_is_unknown_with_its_reason(tmp_path, kind):
    if kind == "folder":
        (artifact := tmp_path / "mine").mkdir()
        reason = "mine was made elsewhere: it has no manifest"
    elif kind == "model":
        artifact = made.artifact(tmp_path, "model", "m", stage="model", summary={"origin": "hub/one"})
        reason = "hub/one came from outside: what it was made from is not recorded"
    else:
        made.artifact(tmp_path, "tokens", "t", stage="tokens")
        artifact = made.artifact(tmp_path, "pretrain", "m", stage="pretrain", inputs={"tokens": "tokens/t"})
        reason = "t came from outside: what it was made from is not recorded"
    assert asked(artifact, "sums") == {"checked": "unknown", "documents_removed": None, "reason": reason}


def test_the_examples_of_post_training_count_and_a_tokenizer_does_not(tmp_path):
    base = model(tmp_path, corpus(tmp_path, "web", ["sums"], {"sums": 7}), tokenizer="tokenizer/outside")
    assert asked(base, "sums")["checked"] == "yes"
    tuned = model(tmp_path, folder="posttrain", name="sft", model="pretrain/m")
    found = asked(tuned, "sums")
    assert (found["checked"], found["documents_removed"]) == ("partly", 7)
    assert "the examples of posttrain (its own examples) are not looked through" in found["reason"]


def test_a_store_that_was_moved_is_found(tmp_path):
    base = model(tmp_path / "a", corpus(tmp_path / "a", "web", ["sums"]))
    (tmp_path / "a").rename(tmp_path / "b")
    assert asked(tmp_path / "b/pretrain" / base.name, "sums")["checked"] == "yes"
    assert store.load_manifest(tmp_path / "b/pretrain" / base.name) is not None
