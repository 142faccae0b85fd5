"""Settings that nobody gives follow the model: its size, as published, and whether it is trained already."""

from types import SimpleNamespace

import pytest
import yaml
from core import compose, discovery, graph, show_config
from core.architecture import Architecture
from smallwright_pretrain.follow import defaults

RECIPE = {
    "learning_rate": 4e-4,
    "batch_tokens": 1_048_576,
    "seq_len": 2048,
    "warmup_steps": 2000,
    "micro_batch_size": 8,
    "source": "a paper",
}


class Sized(Architecture):
    """A model of so many parameters, and how it was trained."""

    def __init__(self, parameters=10**9, recipe=RECIPE):
        self._parameters, self._recipe = parameters, recipe

    def parameters(self):
        return self._parameters

    def training(self):
        return self._recipe


Sized.__abstractmethods__ = frozenset()


def values(given, architecture=None, continues=False):
    found = defaults(given, architecture or Sized(), continues)
    return {key: default.value for key, default in found.items()}


def test_a_size_brings_what_it_was_trained_with():
    assert values({"steps": 100_000, "nproc": 64}) == {
        "seq_len": 2048,
        "global_batch_size": 512,
        "warmup_steps": 2000,
        "micro_batch_size": 8,
        "learning_rate": 4e-4,
    }


def test_what_is_given_is_left_and_the_rest_follows_it():
    found = values({"seq_len": 512, "global_batch_size": 128, "steps": 300})
    assert found == {"warmup_steps": 30, "micro_batch_size": 8, "learning_rate": 1e-4}, "a sixteenth of the batch"
    assert values({"learning_rate": 1.0, "warmup_steps": 0, "micro_batch_size": 1}).keys() == {
        "seq_len",
        "global_batch_size",
    }


@pytest.mark.parametrize(
    ("given", "warmup"), [({}, 26), ({"steps": 12}, 6), ({"stages": {"a": {"tokens": 10**12}}}, 2000)]
)
def test_a_short_run_is_warmed_up_for_a_part_of_it(given, warmup):
    assert values(given)["warmup_steps"] == warmup


def test_a_size_of_which_nobody_said_it_brings_nothing():
    assert values({}, Sized(recipe=None)) == {}


@pytest.mark.parametrize(
    ("architecture", "given", "rate"),
    [
        (Sized(), {"seq_len": 2048, "global_batch_size": 512}, 4e-5),
        (Sized(), {}, 1.3e-6),
        (Sized(1_000_000, None), {}, 4e-4),
        (Sized(10**9, None), {"seq_len": 2048, "global_batch_size": 512}, 3e-5),
    ],
    ids=["a tenth of its peak", "and by the square root of the batch", "small ones of ours", "unknown"],
)
def test_a_trained_model_is_trained_on_at_a_low_rate(architecture, given, rate):
    assert values(given, architecture, continues=True) == {"learning_rate": rate}


@pytest.mark.parametrize("wrong", ["x", -1, True, None, [], {}, 1.5])
def test_wrong_settings_are_left_for_the_settings_to_refuse(wrong):
    given = dict.fromkeys(("seq_len", "global_batch_size", "nproc", "steps", "stages"), wrong)
    assert values(given)["learning_rate"] == 4e-4


@pytest.mark.parametrize(
    ("arch", "size", "rate", "batch"),
    [
        ("gqa", "smollm2-135m", 3e-3, 1_048_576),
        ("gqa", "smollm2-1.7b", 5e-4, 2_097_152),
        ("shared_ffn", "mobillama-0.5b", 3e-4, 1_638_400),
        ("pangu_pi", "pangu-pi-1b-pro", 2e-4, 2_097_152),
        ("gqa", "nano", 4e-3, 1024),
    ],
)
def test_planning_takes_the_published_settings_of_a_size(arch, size, rate, batch):
    registry = discovery.load()
    config = compose.compose([f"+arch={arch}", f"arch.size={size}"], registry)
    spec = next(spec for spec in graph.build(config, registry, without_corpus=True) if spec.name == "pretrain")
    planned = spec.build().plan(spec.architecture.build())
    assert (planned["learning_rate"], planned["batch_tokens"]) == (rate, batch)
    assert all(found.source for found in spec.followed.values())
    assert bool(spec.followed) == (size != "nano")


def test_all_settings_are_shown_as_the_plan_will_have_them():
    registry = discovery.load()
    config = compose.compose(["+arch=gqa", "arch.size=smollm2-135m", "pretrain.seq_len=1024"], registry)
    shown = yaml.safe_load(show_config.render(config, registry))["pretrain"]
    keys = ("seq_len", "global_batch_size", "learning_rate", "micro_batch_size")
    assert [shown[key] for key in keys] == [1024, 1024, 3e-3, 8]


def test_all_settings_of_a_model_that_is_trained_on_are_shown_as_the_plan_will_have_them(tmp_path, monkeypatch):
    monkeypatch.setattr(show_config.entries, "model", lambda named, registry: named)
    choice = SimpleNamespace(build=lambda: Sized(1_000_000, None))
    monkeypatch.setattr(show_config.entries, "to_train_on", lambda model, registry: choice)
    registry = discovery.load()
    config = compose.compose([f"model={tmp_path}"], registry)
    assert yaml.safe_load(show_config.render(config, registry))["pretrain"]["learning_rate"] == 4e-4
