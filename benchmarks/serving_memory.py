"""Memory of vLLM serving a model with one shared feed-forward, against the same model with a copy in every layer.

The compact model is served by smallwright's class, the materialised one, whose logits are the same bits, by vLLM's own
Llama. Each is served on the CPU in a process of its own, engine and workers in one, with the same small KV cache;
memory is read from /proc after loading and after one generated text. Runs take turns; medians count.

    python benchmarks/serving_memory.py
    python benchmarks/serving_memory.py --hidden 1024 --ffn 8192 --layers 16 --rounds 1
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

MB = 1 << 20
KEYS = ("before", "resident", "anonymous", "peak")
SERVE = """
import gc, json, sys
from pathlib import Path

def memory():
    fields = (line.split() for line in Path("/proc/self/status").read_text().splitlines() if line.endswith(" kB"))
    return {name: int(size) * 1024 for name, size, _ in fields}

from vllm import LLM, SamplingParams
import vllm.model_executor.models.llama
before = memory()
llm = LLM(sys.argv[1], dtype="float32", enforce_eager=True, skip_tokenizer_init=True, max_model_len=256, max_num_seqs=1,
          kv_cache_memory_bytes=64 << 20, disable_log_stats=True)
sampling = SamplingParams(max_tokens=16, temperature=0, detokenize=False, ignore_eos=True)
[output] = llm.generate([{"prompt_token_ids": [*range(1, 33)]}], sampling, use_tqdm=False)
gc.collect()
after = memory()
result = {"before": before["VmRSS:"], "generated": list(output.outputs[0].token_ids)}
result |= {"resident": after["VmRSS:"], "anonymous": after["RssAnon:"], "peak": after["VmHWM:"]}
print("RESULT", json.dumps(result))
"""
ENVIRONMENT = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}


def write_models(folder: Path, hidden: int, ffn: int, layers: int) -> list[Path]:
    """Write a random model with one feed-forward, and its materialised form; return both directories."""
    import torch
    from core.typed import build
    from smallwright_decoder.materialise import materialise
    from smallwright_shared_ffn.architecture import SharedFFN
    from smallwright_shared_ffn.config import SharedFFNConfig

    dimensions = {"hidden_size": hidden, "intermediate_size": ffn, "num_hidden_layers": layers}
    heads = {"num_attention_heads": hidden // 64, "num_key_value_heads": hidden // 64, "vocab_size": 8192}
    architecture = SharedFFN(build(SharedFFNConfig, dimensions | heads, "arch"))
    torch.manual_seed(0)
    architecture.hf_model_class()(architecture.hf_config()).save_pretrained(folder / "compact")
    materialise(folder / "compact", folder / "materialised")
    return [folder / "compact", folder / "materialised"]


def served(model: Path) -> dict[str, int]:
    """Serve ``model`` once and return bytes of memory and what it generated."""
    command = [sys.executable, "-c", SERVE, str(model)]
    done = subprocess.run(command, env={**os.environ, **ENVIRONMENT}, capture_output=True, text=True, timeout=600)
    results = [line for line in done.stdout.splitlines() if line.startswith("RESULT")]
    if not results:
        sys.exit(done.stderr[-3000:])
    return json.loads(results[0].removeprefix("RESULT"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--ffn", type=int, default=4096)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        models = write_models(Path(folder), arguments.hidden, arguments.ffn, arguments.layers)
        runs = {model: [] for model in models}
        for _ in range(arguments.rounds):
            for model in models:
                runs[model].append(served(model))
                print(model.name, {key: runs[model][-1][key] // MB for key in KEYS}, "MB", file=sys.stderr, flush=True)
        assert len({str(run["generated"]) for model in models for run in runs[model]}) == 1
        print("| model | weights, MB | resident before, MB | resident, MB | anonymous, MB | peak, MB |")
        print("|---|---|---|---|---|---|")
        for model in models:
            sizes = [(model / "model.safetensors").stat().st_size]
            sizes += [statistics.median(run[key] for run in runs[model]) for key in KEYS]
            print(f"| {model.name} | {' | '.join(f'{size / MB:,.0f}' for size in sizes)} |")


if __name__ == "__main__":
    main()
