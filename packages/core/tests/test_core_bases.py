"""Plugins that were written before there were base classes: they run, and are told what to subclass."""

import dataclasses
import warnings
from pathlib import Path

import pytest
from core import bases
from core.interfaces import Job, Stage, StepConfig, Trainer
from core.registry import Entry


class OldStage:
    """As a stage was written before."""

    def __init__(self, config):
        self.words = config

    def run(self, job):
        return {"name": job.name}


class OldTrainer(OldStage):
    def environment(self):
        return {"OWN": "1"}


@dataclasses.dataclass(frozen=True)
class OldSettings:
    word: str = "x"


class NewStage(Stage):
    def run(self, job):
        return {}


def entry(kind, monkeypatch, target):
    made = Entry(kind=kind, name="old", target="m:x", config=None, plugin="old", distribution="sw-old", version="0.1")
    monkeypatch.setattr(Entry, "load", lambda self: target)
    return made


def test_a_stage_without_the_base_class_is_built_runs_and_warns(monkeypatch):
    with pytest.warns(DeprecationWarning, match=r"sw-old 0\.1: .*OldStage is no core\.interfaces\.Stage; subclass it"):
        stage = entry("packers", monkeypatch, OldStage).build("settings")
    assert stage.environment() == {}
    assert stage.config == "settings", "another process is told of a stage by its settings"
    assert stage.run(Job(name="tokens", output=Path(), inputs={}, seed=0)) == {"name": "tokens"}


def test_what_a_class_has_of_its_own_is_kept_and_what_is_required_of_it_is_not_made_up():
    with pytest.warns(DeprecationWarning, match=r"OldTrainer is no core\.interfaces\.Trainer"):
        trainer = bases.complete(OldTrainer(None), Trainer, "sw-old 0.1")
    assert trainer.environment() == {"OWN": "1"}
    assert trainer.on(8, "cuda") is trainer
    assert not hasattr(trainer, "plan"), "a trainer must say itself what it needs"


def test_frozen_settings_of_a_step_answer_what_planning_asks():
    with pytest.warns(DeprecationWarning, match=r"OldSettings is no core\.interfaces\.StepConfig"):
        settings = bases.complete(OldSettings(), StepConfig, "sw-old 0.1")
    assert settings.inputs() is None
    assert settings.check(None, "data.steps.old") is None
    assert settings.check_files(("x.jsonl",), "data.steps.old") is None
    assert settings == OldSettings(), "the defaults are no part of the settings"
    assert dataclasses.asdict(settings) == {"word": "x"}


@pytest.mark.parametrize(
    ("made", "base"), [(NewStage(None), Stage), (OldStage(None), None), (None, Stage), ({"word": "x"}, StepConfig)]
)
def test_what_has_its_base_or_needs_none_is_left_alone(made, base):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        before = dict(vars(made)) if hasattr(made, "__dict__") else made
        assert bases.complete(made, base, "sw 0.1") is made
    assert (dict(vars(made)) if hasattr(made, "__dict__") else made) == before
