"""Log-probabilities by vLLM, in a process of its own.

``python -m smallwright_pretrain.verify_vllm <reference.json> <folder>`` adds the engine to the reference file.
"""

import json
import sys
from pathlib import Path
from typing import Any

from core.engines import importing, offline_environment, vllm_environment
from core.process import die_with_parent
from core.writing import write_json

from smallwright_pretrain.verify import LogProbabilities, Prompts

ENVIRONMENT = {**vllm_environment(eager=True), **offline_environment()}
"""Variables that must be set before the process of this module starts."""


def vllm_log_probabilities(folder: Path, architecture: str, prompts: Prompts) -> LogProbabilities:
    """Compute with vLLM in float32.

    Args:
        architecture: vLLM's name of the model class.
    """
    with importing():
        from vllm import LLM, SamplingParams

    engine = LLM(
        model=str(folder),
        dtype="float32",
        enforce_eager=True,
        max_model_len=max(map(len, prompts)) + 1,
        max_num_seqs=len(prompts),
        gpu_memory_utilization=0.3,
        enable_prefix_caching=False,
        hf_overrides={"architectures": [architecture]},
        skip_tokenizer_init=True,
        disable_log_stats=True,
        seed=0,
    )
    sampling = SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=0, detokenize=False)
    tokens: Any = [{"prompt_token_ids": prompt} for prompt in prompts]
    outputs: Any = engine.generate(tokens, sampling, use_tqdm=False)
    return [
        [float(places[token].logprob) for token, places in zip(prompt[1:], output.prompt_logprobs[1:], strict=True)]
        for prompt, output in zip(prompts, outputs, strict=True)
    ]


def main(reference_path: Path, folder: Path) -> None:
    """Add vLLM's log-probabilities to the reference file."""
    reference = json.loads(reference_path.read_text())
    found = vllm_log_probabilities(folder, reference["vllm_architecture"], reference["prompts"])
    reference["log_probabilities"]["vLLM"] = found
    write_json(reference_path, reference)


if __name__ == "__main__":
    die_with_parent()
    main(Path(sys.argv[1]), Path(sys.argv[2]))
