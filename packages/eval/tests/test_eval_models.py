"""Folders that are no model to evaluate: refused before an engine starts."""

import json

import pytest
from core.errors import ConfigError, InputError
from core.interfaces import Job
from smallwright_eval.config import LMEvalConfig
from smallwright_eval.stage import LMEval
from smallwright_testing.models import tiny_model

pytestmark = pytest.mark.slow


def evaluate(model, output, **settings):
    given = {"engine": "transformers", "dtype": "float32", "tasks": ("smallwright_word_order",), "limit": 1}
    return LMEval(LMEvalConfig(**{**given, **settings})).run(
        Job(name="eval", output=output, inputs={"model": model}, seed=0)
    )


def test_models_that_cannot_be_read_safely_are_refused(tmp_path):
    (tmp_path / "model").mkdir()
    for file, content, message in (
        (None, "", r"no config\.json"),
        ("config.json", "{}", r"no \*\.safetensors"),
        ("pytorch_model.bin", "", r"pytorch_model\.bin is a pickle"),
    ):
        if file:
            (tmp_path / "model" / file).write_text(content)
        with pytest.raises(InputError, match=message):
            evaluate(tmp_path / "model", tmp_path / "output")


def test_a_class_that_only_code_in_the_directory_defines_is_refused(tmp_path):
    folder = tiny_model(tmp_path / "model") / "hf"
    config = json.loads((folder / "config.json").read_text())
    foreign = {"model_type": "foreign", "auto_map": {"AutoConfig": "code.Config", "AutoModelForCausalLM": "code.Model"}}
    (folder / "config.json").write_text(json.dumps({**config, **foreign}))
    (folder / "code.py").write_text("raise SystemExit('this code ran')\n")
    with pytest.raises(ConfigError, match=r"model_type 'foreign'.*trust_remote_code=true"):
        evaluate(tmp_path / "model", tmp_path / "output")


def test_inputs_longer_than_the_models_positions_are_refused(tmp_path):
    model = tiny_model(tmp_path / "model")
    for engine in ("transformers", "vllm"):
        with pytest.raises(ConfigError, match=r"max_model_len=513: above the model's 512 positions"):
            evaluate(model, tmp_path / "output", engine=engine, max_model_len=513)


def test_a_missing_data_file_of_a_task_is_named(tmp_path):
    task = "task: lost\ndataset_path: json\ndataset_kwargs: {data_files: {test: lost.jsonl}}\ntest_split: test\n"
    (tmp_path / "lost.yaml").write_text(task + "output_type: multiple_choice\n")
    with pytest.raises(InputError, match=r"lost\.yaml: data file .*lost\.jsonl does not exist"):
        evaluate(tiny_model(tmp_path / "model"), tmp_path / "o", tasks=("lost",), task_paths=(str(tmp_path),))
