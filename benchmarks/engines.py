"""vLLM against Transformers as engines of an evaluation: the table behind ``eval.engine=auto``.

Random Llamas of several sizes answer the same requests on both engines, each run in a process of its own, in turns.
What is told apart: the start (imports, loading, until the first request could be answered), log-likelihoods of short
questions with four choices, of long prompts with examples, and greedy answers of a given length. Wall and processor
seconds are the least of the rounds; read them as ratios where other work shares the machine, and give it one thread
there (OMP_NUM_THREADS=1): threads that wait for each other use a processor too.

    python benchmarks/engines.py                         # prints the table
    python benchmarks/engines.py --rounds 5 --write      # on a quiet machine: writes the table of the package
    python benchmarks/engines.py --sizes 1M --kinds short --rounds 1
"""

import argparse
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TABLE = Path(__file__).resolve().parents[1] / "packages/eval/src/smallwright_eval/engine_table.yaml"
SIZES = {"1M": (128, 4, 4, 2, 2048), "20M": (384, 8, 6, 2, 8192), "135M": (576, 30, 9, 3, 49152)}
"""Width, layers, heads, heads of keys and values, vocabulary."""
KINDS = {"short": (400, 40, 8), "long": (40, 700, 8), "answers": (32, 100, 64)}
"""Requests, tokens of the prompt, tokens of the continuation or of the answer."""
FEWER = {"1M": 1, "20M": 2, "135M": 10}
"""By what the requests of a size are divided: large models need no more for a figure, and take long."""
ENGINES = ("vllm", "transformers")
CHILD = """
import json, random, sys, time
started, processor = time.monotonic(), time.process_time()
from pathlib import Path
from core.engines import set_missing
from smallwright_eval import engines
from smallwright_eval.config import LMEvalConfig
engine, model, kinds, dtype = sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3]), sys.argv[4]
config = LMEvalConfig(engine=engine, dtype=dtype, tasks=("x",), max_model_len=1024)
set_missing(engines.environment(config))
lm = engines.start(config, model, None, lambda requests: None)
from lm_eval.api.instance import Instance
def run(kind, count, prompt, length):
    chosen = random.Random(0)
    words = [chosen.choice("abcdefgh") for _ in range(4000)]
    def text(tokens):  # a letter is a token of the test tokenizer, and what follows a space another
        begin = chosen.randrange(len(words) - tokens)
        return "".join(words[begin : begin + tokens])
    if kind == "answers":
        bounds = {"until": ["\\n\\n\\n"], "max_gen_toks": length}
        asked = [("generate_until", (text(prompt), bounds)) for _ in range(count)]
        answer = lm.generate_until
    else:
        asked = []
        for _ in range(count // 4):
            context = text(prompt)
            asked += [("loglikelihood", (context, " " + text(length))) for _ in range(4)]
        answer = lm.loglikelihood
    requests = [
        Instance(request_type=form, doc={}, arguments=given, idx=n, metadata=("t", n, 1))
        for n, (form, given) in enumerate(asked)
    ]
    before, used = time.monotonic(), time.process_time()
    answer(requests, disable_tqdm=True)
    return {"seconds": time.monotonic() - before, "processor": time.process_time() - used}
run("short", 4, 8, 2)
found = {"start": {"seconds": time.monotonic() - started, "processor": time.process_time() - processor}}
for kind, shape in kinds.items():
    found[kind] = run(kind, *shape)
print("RESULT", json.dumps(found))
"""


def write_model(folder: Path, size: str) -> int:
    """Write a random Llama with the tokenizer of the tests; return its parameters."""
    import torch
    from smallwright_testing.models import tiny_model
    from transformers import LlamaConfig, LlamaForCausalLM

    width, layers, heads, kv_heads, vocab = SIZES[size]
    tiny_model(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=vocab, hidden_size=width, intermediate_size=round(width * 8 / 3 / 64) * 64, num_hidden_layers=layers,
        num_attention_heads=heads, num_key_value_heads=kv_heads, max_position_embeddings=1024,
        tie_word_embeddings=True, bos_token_id=None, eos_token_id=None, pad_token_id=3, initializer_range=0.05,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    model.save_pretrained(folder / "hf")
    return sum(one.numel() for one in model.parameters())


def measure(
    engine: str, model: Path, kinds: dict[str, tuple[int, int, int]], dtype: str
) -> dict[str, dict[str, float]]:
    """Return seconds by kind, of one process."""
    command = [sys.executable, "-c", CHILD, engine, str(model), json.dumps(kinds), dtype]
    variables = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    results = [line for line in done.stdout.splitlines() if line.startswith("RESULT")]
    if not results:
        sys.exit(done.stderr[-3000:])
    return json.loads(results[0].removeprefix("RESULT"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--of", choices=("seconds", "processor"), default="seconds", help="what is written")
    parser.add_argument("--write", action="store_true", help=f"write {TABLE.name} of the package")
    options = parser.parse_args()
    rows = []
    heads = " | ".join(f"{kind}, ms a request" for kind in options.kinds)
    print(f"| parameters | engine | start, s | {heads} |  (of a processor in brackets)")
    for size in options.sizes:
        shapes = {kind: KINDS[kind] for kind in options.kinds}
        kinds = {kind: (max(4, count // FEWER[size]), *rest) for kind, (count, *rest) in shapes.items()}
        with tempfile.TemporaryDirectory() as folder:
            parameters = write_model(Path(folder), size)
            found = {engine: [] for engine in ENGINES}
            for _ in range(options.rounds):
                for engine in ENGINES:
                    found[engine].append(measure(engine, Path(folder) / "hf", kinds, options.dtype))
        for engine, runs in found.items():
            least = {
                kind: {of: min(run[kind][of] for run in runs) for of in ("seconds", "processor")}
                for kind in ("start", *kinds)
            }
            each = {
                of: {
                    kind: round((1 if kind == "start" else 1000 / kinds[kind][0]) * figures[of], 3)
                    for kind, figures in least.items()
                }
                for of in ("seconds", "processor")
            }
            rows.append({"parameters": parameters, "engine": engine, **each[options.of]})
            shown = [f"{each['seconds'][kind]} ({each['processor'][kind]})" for kind in least]
            print("| " + " | ".join(map(str, (parameters, engine, *shown))) + " |", flush=True)
    if options.write:
        write_table(rows, options)


def write_table(rows: list[dict[str, object]], options: argparse.Namespace) -> None:
    """Write the table of the package, of the device that was measured."""
    import torch
    import yaml

    device = "cuda" if torch.cuda.is_available() else "cpu"
    table = yaml.safe_load(TABLE.read_text()) if TABLE.is_file() else {}
    from core.engines import vllm_distribution

    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("transformers", vllm_distribution()))
    threads = os.environ.get("OMP_NUM_THREADS", "all")
    table[device] = {
        "measured": f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, {platform.machine()}, load "
        f"{os.getloadavg()[1]:.0f}, {threads} threads, {versions}, {options.rounds} rounds, "
        f"{'wall time' if options.of == 'seconds' else 'processor time'}",
        "rows": rows,
    }
    head = (
        "# Written by: python benchmarks/engines.py --write. Read by eval.engine=auto.\n"
        "# start: seconds. short, long: milliseconds of a log-likelihood of 8 tokens behind 40 or 700.\n"
        "# answers: milliseconds of a greedy answer of 64 tokens to 100.\n"
    )
    TABLE.write_text(head + yaml.safe_dump(table, sort_keys=False, width=120))


if __name__ == "__main__":
    main()
