"""The initializer ``inherited_init``: write the smaller model that training then starts from."""

import json
import shutil
from pathlib import Path
from typing import Any

from core.errors import InputError, UserError
from core.interfaces import Architecture, Job

from smallwright_inherited_init.config import InheritedInitConfig
from smallwright_inherited_init.family import Dimensions, check, read_config, read_weights, select_layers

NOT_COPIED = (".safetensors", ".safetensors.index.json", ".bin", ".pt", ".pth", ".py", ".md")


class InheritedInit:
    """Build ``job.architecture`` from the layers, heads, neurons and channels of a larger trained model.

    Parameter inheritance of PanGu-pi Pro (arXiv 2402.02791, section on parameter inheritance): the first and last
    layers are kept whole in number, and inside a layer the neurons of the largest weight norm.
    """

    def __init__(self, config: InheritedInitConfig) -> None:
        self.config = config

    def check(self, source: Architecture, child: Architecture) -> None:
        """Refuse, before the source is trained, a child that will be no part of it.

        Raises:
            core.errors.UserError: naming the dimension and both values.
        """
        large, small = Dimensions.planned(source), Dimensions.planned(child)
        check(large, small)
        select_layers(self.config.layers, large.num_hidden_layers, small.num_hidden_layers)

    def run(self, job: Job) -> dict[str, Any]:
        """Write ``hf/`` (weights, configuration, tokenizer) and ``inherited.json`` (every kept index).

        Raises:
            core.errors.UserError: when the source is missing or damaged, or the child is no part of it.
        """
        import torch

        from smallwright_inherited_init.selection import Inheritance

        assert job.architecture is not None, "an initializer needs the architecture to build"
        directory = self._source(job)
        source_config, child_config = read_config(directory), job.architecture.hf_config()
        source, child = Dimensions.of(source_config, str(directory)), Dimensions.of(child_config, "arch")
        check(source, child)
        _check_tokenizer(directory, job.inputs.get("tokenizer"))
        layers = select_layers(self.config.layers, source.num_hidden_layers, child.num_hidden_layers)
        weights = read_weights(directory, source)
        inheritance = Inheritance(weights, source, child, layers, self.config.neurons)
        with torch.no_grad():
            state = inheritance.build(job.progress)
        assert {name: tuple(weight.shape) for name, weight in state.items()} == child.shapes()

        hf = job.output / "hf"
        shutil.rmtree(hf, ignore_errors=True)
        for key in ("bos_token_id", "eos_token_id", "pad_token_id"):
            setattr(child_config, key, getattr(source_config, key))
        dtype = state["model.embed_tokens.weight"].dtype
        model = job.architecture.hf_model_class().from_pretrained(
            None, config=child_config, state_dict=state, dtype=dtype
        )
        model.save_pretrained(hf)
        for file in directory.iterdir():
            if file.is_file() and not file.name.endswith(NOT_COPIED) and not (hf / file.name).exists():
                shutil.copyfile(file, hf / file.name)

        report = {"layers": {"kept": len(layers), "of": source.num_hidden_layers, "indices": layers}}
        report.update(inheritance.report)
        (job.output / "inherited.json").write_text(json.dumps(report, indent=1) + "\n")
        return {
            "stored_parameters": sum(weight.numel() for weight in state.values()),
            "source_parameters": sum(weight.numel() for weight in weights.values()),
            "layers": layers,
            "importance": {
                what: {key: value for key, value in kept.items() if key != "indices"} for what, kept in report.items()
            },
        }

    def _source(self, job: Job) -> Path:
        """Return the Hugging Face directory to inherit from."""
        if self.config.source is None:
            if "source" not in job.inputs:
                raise UserError("arch.initializer.source=null: no model to inherit from. Give a directory or a hub id.")
            return job.inputs["source"] / "hf"
        path = Path(self.config.source).expanduser()
        if path.is_dir():
            return path / "hf" if (path / "hf").is_dir() else path
        looks_like_a_hub_id = self.config.source.count("/") == 1 and not self.config.source.startswith((".", "/", "~"))
        if not looks_like_a_hub_id:
            raise InputError(f"arch.initializer.source={self.config.source}: no such directory.")
        if self.config.revision is None:
            raise UserError(
                f"arch.initializer.source={self.config.source}: no such directory. For a model on the hub, pin its "
                "commit: arch.initializer.revision=<commit>."
            )
        return self._download()

    def _download(self) -> Path:
        from huggingface_hub import snapshot_download

        assert self.config.source is not None
        try:
            return Path(
                snapshot_download(
                    self.config.source,
                    revision=self.config.revision,
                    allow_patterns=["*.safetensors", "*.json", "*.jinja", "*.model", "merges.txt"],
                )
            )
        except Exception as error:
            raise InputError(
                f"arch.initializer.source={self.config.source}: neither a directory nor found on the hub "
                f"({type(error).__name__}: {str(error).splitlines()[0]})."
            ) from error


def _check_tokenizer(source: Path, tokenizer: Path | None) -> None:
    """Refuse a source whose rows mean other tokens than the run's."""
    if tokenizer is None:
        return
    ours, theirs = tokenizer / "tokenizer.json", source / "tokenizer.json"
    if ours.is_file() and theirs.is_file() and _vocabulary(ours) != _vocabulary(theirs):
        raise UserError(
            f"{theirs}: not this run's tokenizer, so its embedding rows mean other tokens. "
            "Train the source with this run's tokenizer, or tokenize with the source's."
        )


def _vocabulary(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8")).get("model", {}).get("vocab")
