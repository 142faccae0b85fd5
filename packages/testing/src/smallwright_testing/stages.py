"""What a stage that takes a model must hold: an artifact to read, the same from the same seed, killed or not."""

import abc
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
from core import store
from core.interfaces import Job
from core.progress import ProgressWriter

from smallwright_testing.base import Conformance
from smallwright_testing.models import one_thread, tiny_model, tiny_tokens

SEED = 7
Finished = tuple[Path, dict[str, Any], int]
"""An artifact, its summary, and how often the run reported progress."""
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")


class StageConformance(Conformance, abc.ABC):
    """Base of the stages; the inputs are a random Llama with a tokenizer, and validation tokens."""

    summary_keys: ClassVar[frozenset[str]] = frozenset()
    """What the report reads of the summary."""
    ignored: ClassVar[frozenset[str]] = frozenset({"seconds", "resumed_from_step", "tokens_per_second"})
    """Keys of the summary that may differ from run to run."""

    @pytest.fixture(scope="class")
    @classmethod
    def inputs(cls, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
        """The input artifacts by role."""
        folder = tmp_path_factory.mktemp("inputs")
        model = tiny_model(folder / "model")
        return {"model": model, "tokens": tiny_tokens(folder / "tokens", model)}

    @pytest.fixture(scope="class")
    @classmethod
    def finished(cls, tmp_path_factory: pytest.TempPathFactory, inputs: Mapping[str, Path]) -> Finished:
        """The run that others are compared with."""
        output = tmp_path_factory.mktemp("finished")
        progress = _Counting()
        return output, cls.run(output, inputs, progress), progress.reports

    @classmethod
    def run(cls, output: Path, inputs: Mapping[str, Path], progress: ProgressWriter) -> dict[str, Any]:
        """Run the stage as :mod:`core.worker` does, in this process."""
        stage = cls.entry().build(cls.config())
        output.mkdir(parents=True, exist_ok=True)
        job = Job(
            name=cls.plugin,
            output=output,
            inputs=inputs,
            seed=SEED,
            plugin_files=cls.plugin_files,
            progress=progress,
        )
        with pytest.MonkeyPatch.context() as patch, one_thread():
            for name, value in stage.environment().items():
                if name not in os.environ:
                    patch.setenv(name, value)
            return stage.run(job)

    @classmethod
    @abc.abstractmethod
    def result(cls, output: Path) -> dict[str, str]:
        """Return the digests of the files that must be the same in every run."""

    def lasting(self, summary: Mapping[str, Any]) -> dict[str, Any]:
        """Return what must be the same in every run."""
        return {key: value for key, value in summary.items() if key not in self.ignored}

    @pytest.mark.slow
    def test_the_summary_is_json_and_has_what_the_report_reads(self, finished: Finished) -> None:
        _, summary, reports = finished
        assert json.loads(json.dumps(summary, allow_nan=False)) == summary
        assert summary.keys() >= self.summary_keys
        assert reports > 0, "job.progress moves the bar that the user sees"

    @pytest.mark.slow
    def test_the_same_seed_gives_the_same_artifact(
        self, finished: Finished, inputs: Mapping[str, Path], tmp_path: Path
    ) -> None:
        output, summary, _ = finished
        again = self.run(tmp_path, inputs, _Counting())
        assert self.result(tmp_path) == self.result(output)
        assert self.lasting(again) == self.lasting(summary)

    @pytest.mark.slow
    def test_a_killed_run_goes_on_to_the_same_artifact(
        self, finished: Finished, inputs: Mapping[str, Path], tmp_path: Path
    ) -> None:
        output, summary, reports = finished
        for allowed in (reports // 3, reports // 2):
            with pytest.raises(_Killed):
                self.run(tmp_path, inputs, _Counting(allowed))
        again = self.run(tmp_path, inputs, _Counting())
        assert self.result(tmp_path) == self.result(output)
        assert self.lasting(again) == self.lasting(summary)

    @pytest.mark.slow
    def test_the_inputs_are_left_as_they_were(
        self, finished: Finished, inputs: Mapping[str, Path], tmp_path: Path
    ) -> None:
        untouched = tiny_model(tmp_path / "model")
        assert _digests(inputs["model"]) == _digests(untouched)


class PosttrainConformance(StageConformance):
    """Run as ``class TestMine(PosttrainConformance): plugin = "mine"``; few steps keep it short."""

    kind = "posttrainers"
    where = "posttrain"
    summary_keys = frozenset({"engine", "method", "steps", "loss_curve", "eval_before", "eval_after"})

    @classmethod
    def result(cls, output: Path) -> dict[str, str]:
        return _digests(output / "hf")

    @pytest.mark.slow
    def test_it_leaves_a_model_that_transformers_loads(self, finished: Finished, inputs: Mapping[str, Path]) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        output, summary, _ = finished
        loaded: Any = AutoModelForCausalLM.from_pretrained(output / "hf", output_loading_info=True)
        model, info = loaded
        assert not any(info.values()), info
        before: Any = AutoModelForCausalLM.from_pretrained(inputs["model"] / "hf")
        weights = dict(before.named_parameters())
        assert any(not torch.equal(value, weights[name]) for name, value in model.named_parameters()), "nothing learned"
        assert all(bool(value.isfinite().all()) for value in model.parameters())
        tokenizers: list[Any] = [AutoTokenizer.from_pretrained(folder / "hf") for folder in (output, inputs["model"])]
        assert tokenizers[0].get_vocab() == tokenizers[1].get_vocab()
        kept = [path for path in output.rglob("*") if path.relative_to(output).parts[0] != store.WORK]
        assert not [path for path in kept if path.suffix in PICKLES], "pickles run code when they are read"
        lines = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
        assert lines
        assert all("step" in line for line in lines)
        assert lines[-1]["step"] <= summary["steps"]


class EvaluatorConformance(StageConformance):
    """Run as ``class TestMine(EvaluatorConformance): plugin = "mine"``."""

    kind = "evaluators"
    where = "eval"
    summary_keys = frozenset({"eval", "engine"})
    row_keys: ClassVar[frozenset[str]] = frozenset(
        {"task", "metric", "value", "stderr", "n", "chance", "higher_is_better", "num_fewshot", "engine", "harness"}
    )

    @classmethod
    def result(cls, output: Path) -> dict[str, str]:
        return {path.name: store.file_digest(path) for path in sorted(output.iterdir()) if path.is_file()}

    @pytest.mark.slow
    def test_every_row_of_the_score_table_is_complete(self, finished: Finished) -> None:
        output, summary, _ = finished
        assert summary["eval"]
        for row in summary["eval"]:
            assert row.keys() >= self.row_keys
            assert isinstance(row["value"], float)
            assert row["n"] is None or row["n"] > 0
            assert {"name", "version"} <= row["engine"].keys()
        measured = [(row["task"], row["metric"]) for row in summary["eval"]]
        assert len(set(measured)) == len(measured), "a row for each task and metric"
        assert json.loads((output / "results.json").read_text())["eval"] == summary["eval"]


class _Killed(Exception):
    """Stands for the end of the process."""


class _Counting(ProgressWriter):
    """Counts reports, and ends the run after some."""

    def __init__(self, allowed: int | None = None) -> None:
        super().__init__()
        self.reports = 0
        self._allowed = allowed

    def __call__(self, *_: Any, **__: Any) -> None:
        if self._allowed is not None and self.reports >= self._allowed:
            raise _Killed
        self.reports += 1


def _digests(folder: Path) -> dict[str, str]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): store.file_digest(path) for path in paths}
