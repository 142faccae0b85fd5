"""An engine that several evaluations of one model use: when it is the same, and that a sweep starts it once."""

import dataclasses
import json
from pathlib import Path

import pytest
from core import run
from core.interfaces import Job
from smallwright_eval import kept
from smallwright_eval.config import LMEvalConfig
from smallwright_testing.models import tiny_model


def key(model, **settings):
    config = LMEvalConfig(**{"tasks": ("a",), **settings})
    return kept.key(config, Job(name="eval", output=Path("out"), inputs={"model": model} if model else {}, seed=0))


def test_an_engine_is_its_model_and_the_settings_that_it_is_started_with(tmp_path):
    same = key(tmp_path / "one")
    assert same is not None
    assert key(tmp_path / "one", tasks=("b",), limit=3, num_fewshot=2, perplexity=False, prompts=(), seed=1234) == same
    others = {"engine": "transformers", "dtype": "float32", "seed": 5, "max_model_len": 9, "kv_cache_gib": 1.0}
    changed = {key(tmp_path / "one", **{name: value}) for name, value in others.items()}
    assert len({same, key(tmp_path / "two"), *changed}) == 2 + len(others)
    assert key(None) is None
    assert key(tmp_path / "one", tensor_parallel_size=2) is None, "its processes keep their random numbers"
    assert set(kept.ASKED) <= {field.name for field in dataclasses.fields(LMEvalConfig)}


@pytest.mark.slow
def test_evaluations_of_one_model_in_a_sweep_start_one_engine(tmp_path, monkeypatch):
    pytest.importorskip("vllm", reason="vLLM is an extra: pip install 'smallwright-eval[cpu]'")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    model = tiny_model(tmp_path / "model") / "hf"
    tasks = "eval.tasks=[smallwright_word_order],[smallwright_lesson_completion]"
    assert run.main(["-m", f"model={model}", tasks, "eval.limit=2,3", "eval.prompts=[]", "run_dir=sweep"]) == 0
    rows = json.loads(Path("sweep/sweep.json").read_text())["runs"]
    logs = [Path("sweep", row["directory"], "logs/eval.log").read_text() for row in rows]
    assert ["the engine of an earlier evaluation" in log for log in logs] == [False, True, True, True]
    asked = {name for row in rows for name in row["metrics"] if name.endswith(".acc")}
    assert asked == {"model.smallwright_word_order.acc", "model.smallwright_lesson_completion.acc"}
