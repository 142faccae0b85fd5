"""The initializer ``inherited_init``: write the smaller model that training then starts from."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.interfaces import Architecture, Initializer, Job
from core.weights import ModelFolder
from core.writing import replacing, write_json
from smallwright_decoder.config_json import read_light

from smallwright_inherited_init.compatibility import check, check_layers
from smallwright_inherited_init.config import InheritedInitConfig
from smallwright_inherited_init.family import Dimensions
from smallwright_inherited_init.source import check_weights, described, find, local, read_config, read_weights
from smallwright_inherited_init.vocabulary import Vocabulary, match, read_tokenizer

NOT_COPIED = (".safetensors", ".safetensors.index.json", ".bin", ".pt", ".pth", ".ckpt", ".py", ".md")
SPECIAL_IDS = ("bos_token_id", "eos_token_id", "pad_token_id")


class InheritedInit(Initializer):
    """Build ``job.architecture`` from the layers, heads, neurons and channels of a larger trained model.

    Parameter inheritance of PanGu-pi Pro (arXiv 2402.02791, section on parameter inheritance): layers are chosen first,
    then, inside the kept ones, the structures that matter most.
    """

    config: InheritedInitConfig

    def reads_tokens(self) -> bool:
        """Whether a rule measures on the run's tokens; the stage then has them as input."""
        return self.config.reads_tokens

    def source_folder(self) -> ModelFolder | None:
        """Return the source where it lies in a local directory, or the hub's description of it was downloaded."""
        return described(self.config)

    def check(self, source: Architecture, child: Architecture) -> None:
        """Refuse, before the source is trained, a child that will be no part of it.

        Raises:
            core.errors.UserError: naming the dimension and both values.
        """
        check(Dimensions.planned(source), Dimensions.planned(child), self.config)

    def check_source(self, child: Architecture) -> None:
        """Refuse, before anything is made, a model in a local directory that the child cannot come from.

        What the hub has is looked at when the stage runs, as is what needs the weights' numbers or the run's tokenizer.

        Raises:
            core.errors.UserError: naming what is wrong with the model, or every setting that clashes with it.
        """
        if (found := local(self.config)) is None:
            return
        source, small = Dimensions.of(read_light(found), found.owner), Dimensions.planned(child)
        check_weights(found, source)
        check(source, small, self.config)
        read_tokenizer(found, source.vocab_size, small.vocab_size, same=self.config.vocabulary == "same")

    def run(self, job: Job) -> dict[str, Any]:
        """Write the model as ``hf/``, and every kept index as ``inherited.json``.

        Raises:
            core.errors.UserError: when the source is missing or damaged, or the child is no part of it.
        """
        import torch

        from smallwright_inherited_init.measure import Measurement
        from smallwright_inherited_init.scores import shown_scores
        from smallwright_inherited_init.selection import Inheritance

        assert job.architecture is not None, "an initializer needs the architecture to build"
        found = find(self.config, job)
        source_config, child_config = read_config(found), job.architecture.hf_config()
        source, child = Dimensions.of(source_config, found.owner), Dimensions.of(child_config, "arch")
        check_weights(found, source)
        check(source, child, self.config)
        vocabulary = self._vocabulary(job, found, source_config, source, child)
        weights = read_weights(found, source)
        measurement = Measurement(job, self.config, source_config, source, child, weights, vocabulary)
        choice = measurement.layers()
        check_layers(source, child, choice.kept, self.config)
        importance = measurement.structures(choice.kept)
        pool = self.config.key_value_heads == "mean"
        inheritance = Inheritance(weights, source, child, choice.kept, importance, pool, vocabulary)
        with torch.no_grad():
            state = inheritance.build(job.progress)
        assert {name: tuple(weight.shape) for name, weight in state.items()} == child.shapes()
        self._write(job, found.directory, source_config, child_config, state, vocabulary)

        layers = {"kept": len(choice.kept), "of": source.num_hidden_layers, "rule": choice.rule, "indices": choice.kept}
        if choice.scores is not None:
            layers |= {"scores": choice.scores, "meaning": choice.meaning, "loss_of_source": choice.loss}
        report = {"layers": layers, **inheritance.report, "vocabulary": vocabulary.counts}
        write_json(job.output / "inherited.json", report)
        return {
            "stored_parameters": sum(weight.numel() for weight in state.values()),
            "source_parameters": sum(weight.numel() for weight in weights.values()),
            "layers": choice.kept,
            "rules": {"layers": choice.rule, "structures": self.config.neurons},
            "vocabulary": vocabulary.counts,
            "importance": {what: _short(kept) for what, kept in report.items() if what != "vocabulary"},
            "scores": shown_scores(choice, inheritance.scores, report),
        }

    def _vocabulary(
        self, job: Job, found: ModelFolder, source_config: Any, source: Dimensions, child: Dimensions
    ) -> Vocabulary:
        eos = source_config.eos_token_id
        return match(
            job.inputs.get("tokenizer"),
            found,
            child.vocab_size,
            source.vocab_size,
            source_eos=eos[0] if isinstance(eos, list) else eos,
            same=self.config.vocabulary == "same",
        )

    def _write(
        self,
        job: Job,
        directory: Path,
        source_config: Any,
        child_config: Any,
        state: Mapping[str, Any],
        vocabulary: Vocabulary,
    ) -> None:
        """Write ``hf/``, with the source's tokenizer or, where it changes, the run's."""
        assert job.architecture is not None
        for key in SPECIAL_IDS:
            # Ids of another tokenizer mean nothing; the trainer sets the run's own when it exports.
            setattr(child_config, key, getattr(source_config, key) if vocabulary.unchanged else None)
        dtype = state["model.embed_tokens.weight"].dtype
        model = job.architecture.hf_model_class().from_pretrained(  # type: ignore[attr-defined]
            None, config=child_config, state_dict=dict(state), dtype=dtype
        )
        beside = directory if vocabulary.unchanged else job.inputs["tokenizer"]
        with replacing(job.output / "hf") as hf:
            model.save_pretrained(hf)
            for file in beside.iterdir():
                copied = file.is_file() and not file.name.endswith(NOT_COPIED) and file.name != "manifest.json"
                if copied and not (hf / file.name).exists():
                    shutil.copyfile(file, hf / file.name)


def _short(kept: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in kept.items() if key not in ("indices", "scores")}
