"""Whether the engines agree about an exported checkpoint. Light: no torch in this process."""

import importlib.util
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.writing import ENDING, commit, remove

from smallwright_pretrain.config import TorchTitanConfig
from smallwright_pretrain.launch import run_child
from smallwright_pretrain.verify import TOLERANCE, compare


def verified(
    config: TorchTitanConfig, output: Path, reference_path: Path, environment: Mapping[str, str]
) -> dict[str, Any]:
    """Give ``hf.partial`` its name when the engines agree about it, and return what they found.

    Args:
        output: The artifact.
        reference_path: What the ranks wrote of fixed prompts, see :func:`smallwright_pretrain.export.export`.
        environment: Of a process with vLLM.

    Raises:
        RuntimeError: they disagree; it is kept as ``hf.rejected``.
    """
    notes, partial = {}, output / f"hf{ENDING}"
    if not config.verify_vllm:
        notes["vLLM"] = "not compared: pretrain.verify_vllm=false"
    elif importlib.util.find_spec("vllm") is None:
        notes["vLLM"] = "not compared: vLLM is not installed"
    else:
        from smallwright_pretrain.verify_vllm import ENVIRONMENT

        command = [sys.executable, "-m", "smallwright_pretrain.verify_vllm", str(reference_path)]
        code = run_child([*command, str(partial)], {**environment, **ENVIRONMENT})
        if code != 0:
            _reject(output)
            raise RuntimeError(
                f"vLLM could not serve the exported checkpoint (exit code {code}, see the log); it is kept as "
                f"{output / 'hf.rejected'}. pretrain.verify_vllm=false skips this check; an evaluation then "
                "needs eval.engine=transformers."
            )
    reference = json.loads(reference_path.read_text())
    differences = compare(reference["log_probabilities"])
    apart = {pair: value for pair, value in differences.items() if not value <= TOLERANCE}
    if apart:
        _reject(output)
        pairs = ", ".join(f"{pair}: {value:.2g}" for pair, value in apart.items())
        raise RuntimeError(
            f"engines disagree about the exported checkpoint (largest difference of a log-probability: {pairs}; "
            f"allowed: {TOLERANCE:g}). It is kept as {output / 'hf.rejected'} and not used."
        )
    remove(output / "hf.rejected")  # of an earlier start
    commit(output / "hf")
    tokens = sum(len(prompt) - 1 for prompt in reference["prompts"])
    return {"max_difference": differences, "tolerance": TOLERANCE, "tokens": tokens, "notes": notes}


def _reject(output: Path) -> None:
    remove(output / "hf")
    remove(output / "hf.rejected")
    (output / f"hf{ENDING}").rename(output / "hf.rejected")
