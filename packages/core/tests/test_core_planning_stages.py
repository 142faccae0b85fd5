"""What a plan says of each stage: reused, resumed, damaged or new, and which value made the difference."""

from types import SimpleNamespace

import pytest
from core import graph, store
from core.planning import reasons, stages


@pytest.fixture
def root(tmp_path):
    return tmp_path / "store"


def spec(registry, composed, *overrides):
    return next(one for one in graph.build(composed(*overrides), registry) if one.name == "tokenizer")


def finish(one, root):
    one.directory(root).mkdir(parents=True)
    record = one.job(root, (), {}).record
    store.finish(one.directory(root), {**record, "stage": one.name, "inputs": {}})


def row(one, root, registry):
    (found,) = stages.plan([one], root, registry)["stages"]
    return found["status"], found["reason"]


def test_each_state_of_an_artifact_is_told_with_its_reason(registry, composed, root):
    one = spec(registry, composed)
    assert row(one, root, registry) == ("new", "no earlier artifact of this kind")
    one.directory(root).mkdir(parents=True)
    (one.directory(root) / ".lock").touch()
    assert row(one, root, registry)[0] == "new", "a lock alone is no work"
    (one.directory(root) / "half").touch()
    assert row(one, root, registry) == ("resumed", "an earlier run did not finish it")
    store.finish(one.directory(root), {**one.job(root, (), {}).record, "stage": "tokenizer", "inputs": {}})
    assert row(one, root, registry) == ("reused", "same settings, inputs and seed")
    record = {**one.job(root, (), {}).record, "stage": "tokenizer", "inputs": {}}
    store.finish(one.directory(root), {**record, "summary": {"partial": ["no answer"]}})
    assert row(one, root, registry) == ("resumed", "its result is partial: no answer")
    (one.directory(root) / "half").unlink()
    status, reason = row(one, root, registry)
    assert status == "damaged"
    assert "half is missing or was changed" in reason


def test_the_values_that_differ_are_named(registry, composed, root):
    finish(spec(registry, composed), root)
    one = spec(registry, composed, "tokenizer.steps=7")
    assert row(one, root, registry) == ("new", "tokenizer.steps 5 -> 7")
    many = ["tokenizer.steps=7", "tokenizer.vocab_size=8", "seed=3", "data.steps.drop.word=x"]
    _, reason = row(spec(registry, composed, *many), root, registry)
    assert "seed 0 -> 3" in reason
    assert reason.endswith("; and 1 more")


def test_a_rendered_plan_has_a_line_for_each_stage(registry, composed, root):
    shown = stages.render(stages.plan(graph.build(composed(), registry), root, registry)).splitlines()
    assert [line.split()[:2] for line in shown[:6]] == [
        [name, "new"] for name in ("crawl", "data", "tokenizer", "tokens", "pretrain", "eval")
    ]
    assert "data: recipe toy" in shown


def difference(key, before, after):
    return store.Difference(key=key, before=before, after=after)


@pytest.mark.parametrize(
    ("name", "folder", "key", "values", "said"),
    [
        ("data", "data", "data.steps.x.config.lo", (1, 2), "data.steps.x.lo 1 -> 2"),
        ("data-toy", "data", "data.steps.x.config.lo", (None, True), "data.toy.steps.x.lo null -> true"),
        ("data", "data", "data.steps.x.implementation", ("a", "b"), "data.steps.x.use a -> b"),
        ("data", "data", "data.steps.x.artifact_version", (1, 2), "a newer way of doing data.steps.x (1 -> 2)"),
        ("data", "data", "data.files", (["a" * 64], ["b" * 64]), "data.paths: other files, or other content"),
        ("data", "data", "data.steps.d.config.against", (["a" * 64], None), "data.steps.d.against: other files, or"),
        ("crawl", "crawl", "crawl.scale", (1.0, 2.0), "data.source.scale 1.0 -> 2.0"),
        ("crawl-toy", "crawl", "crawl.scale", (1.0, 2.0), "data.toy.source.scale 1.0 -> 2.0"),
        ("sft", "posttrain", "sft.learning_rate", (1, 2), "posttrain.sft.learning_rate 1 -> 2"),
        ("init", "init", "init.neurons", ("l1", "l2"), "arch.initializer.neurons l1 -> l2"),
        ("pretrain", "pretrain", "inputs.tokens", ("a" * 12, "b" * 12), "other tokens"),
        ("tokenizer", "tokenizer", "inputs.corpus-toy", ("a" * 12, "b" * 12), "another corpus of data.toy"),
        ("eval", "eval", "artifact_version", (1, 2), "a newer way of making it (1 -> 2)"),
        ("pretrain", "pretrain", "seed", (0, 1), "seed 0 -> 1"),
    ],
)
def test_a_difference_is_told_in_the_keys_of_the_command_line(name, folder, key, values, said):
    shown = reasons.render(SimpleNamespace(name=name, folder=folder), [difference(key, *values)])
    assert shown.startswith(said)
