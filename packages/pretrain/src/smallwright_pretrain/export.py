"""Write a trained model as a Hugging Face directory, with what engines must find in it.

Import after :func:`smallwright_pretrain.cpu.use_device`.
"""

import shutil
from pathlib import Path
from typing import Any

import torch
from core.interfaces import Job, TokensMeta
from core.writing import begin, write_json

from smallwright_pretrain.config import TorchTitanConfig
from smallwright_pretrain.verify import fixed_prompts, hf_log_probabilities, titan_log_probabilities
from smallwright_pretrain.weights import check_complete

TOKENIZER_FILES = ("tokenizer*", "special_tokens_map.json", "chat_template*", "added_tokens.json")


def export(job: Job, state: dict[str, torch.Tensor], meta: TokensMeta, reference_path: Path) -> None:
    """Write ``hf.partial/`` and the log-probabilities that every engine must find in it.

    The stage gives the folder its name, ``hf/``, once the engines agree about it.

    Args:
        state: Unsharded weights under TorchTitan's names.
        reference_path: File for the prompts, and their log-probabilities by TorchTitan and Transformers in float32.
    """
    assert job.stage is not None
    assert job.architecture is not None
    architecture = job.architecture
    settings: TorchTitanConfig = job.stage.config
    folder = begin(job.output / "hf")
    hf_class, state = write_model(job, state, meta, folder)
    prompts = fixed_prompts([*job.tokens().values()], longest=min(64, settings.seq_len))
    reference = {
        "prompts": prompts,
        "vllm_architecture": architecture.vllm_architecture(),
        "log_probabilities": {
            "TorchTitan": titan_log_probabilities(architecture, state, prompts, settings.seq_len),
            "Transformers": hf_log_probabilities(hf_class, folder, prompts),
        },
    }
    write_json(reference_path, reference)


def write_model(
    job: Job, state: dict[str, torch.Tensor], meta: TokensMeta, folder: Path
) -> tuple[Any, dict[str, torch.Tensor]]:
    """Write weights as a Hugging Face directory, with the tokenizer; return the model's class, and what was written.

    Args:
        state: Unsharded weights under TorchTitan's names.
    """
    from transformers import PreTrainedModel

    assert job.stage is not None
    assert job.architecture is not None
    architecture, tokenizer = job.architecture, job.inputs.get("tokenizer")
    settings: TorchTitanConfig = job.stage.config
    dtype = getattr(torch, settings.export_dtype)
    state = {name: value.to(dtype) if value.is_floating_point() else value for name, value in state.items()}
    hf_class = architecture.hf_model_class()
    assert issubclass(hf_class, PreTrainedModel)
    model = hf_class(architecture.hf_config()).to(dtype)
    adapter = architecture.state_dict_adapter()(
        architecture.titan_config(inner_attention=None, seq_len=settings.seq_len), None
    )
    hf_state = adapter.to_hf(state)
    model.tie_weights()
    check_complete(model, hf_state)
    model.load_state_dict(hf_state, strict=False)  # of a tied weight one name is enough
    _set_special_tokens(model, tokenizer, meta)
    model.save_pretrained(folder)
    if tokenizer is not None:
        _copy_tokenizer(tokenizer, folder)
    return hf_class, state


def _set_special_tokens(model: Any, tokenizer: Path | None, meta: TokensMeta) -> None:
    """Name the tokens that end a text: what ends the documents that were trained on, and what the tokenizer names.

    A chat tokenizer's ``eos_token`` ends turns, which a model trained on documents never saw.
    """
    eos, bos, pad = meta.eos_token_id, None, meta.eos_token_id
    stops = [eos]
    if tokenizer is not None:
        from transformers import AutoTokenizer

        loaded = AutoTokenizer.from_pretrained(tokenizer)
        pad = loaded.pad_token_id if loaded.pad_token_id is not None else eos
        bos = loaded.bos_token_id
        if loaded.eos_token_id not in (None, eos):
            stops.append(loaded.eos_token_id)
    for config in (model.config, model.generation_config):
        config.eos_token_id, config.pad_token_id, config.bos_token_id = eos, pad, bos
    if len(stops) > 1:
        model.generation_config.eos_token_id = stops


def _copy_tokenizer(source: Path, folder: Path) -> None:
    for pattern in TOKENIZER_FILES:
        for file in sorted(source.glob(pattern)):
            if file.is_file():
                shutil.copyfile(file, folder / file.name)
