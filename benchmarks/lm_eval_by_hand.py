"""Our evaluation against lm-eval run by hand: the same scores and answers, and the same time.

Scores: each task is asked by our stage on an engine and by lm-eval's own Transformers backend (HFLM, float32, one row a
batch). Accuracies are to be equal, greedy answers in at least 99 % of the items; what differs is listed.

Time: our stage and ``lm_eval.simple_evaluate`` answer the same tasks on vLLM, each in a process of its own, in turns,
with the same settings of the engine; the ratio of the wall times is printed, and that of processor seconds.

    python benchmarks/lm_eval_by_hand.py                                          # a random tiny model
    python benchmarks/lm_eval_by_hand.py --model <folder> --engine vllm --limit 100
    python benchmarks/lm_eval_by_hand.py --model <folder> --time --rounds 5       # on a quiet machine
    python benchmarks/lm_eval_by_hand.py --model <folder> --auto --rounds 5       # engine=auto against both engines
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

TASKS = ["smallwright_lesson_completion", "smallwright_word_order", "smallwright_arithmetic_cloze", "by_hand_answers"]
ANSWERS = """task: by_hand_answers
dataset_path: json
dataset_kwargs: {{data_files: {{test: {file}}}}}
test_split: test
output_type: generate_until
doc_to_text: "{{{{context}}}}"
doc_to_target: "{{{{choices[label]}}}}"
generation_kwargs: {{until: ["\\n\\n"], max_gen_toks: 24}}
metric_list: [{{metric: exact_match}}]
"""
BEGIN = """
import json, sys, time
started, processor = time.monotonic(), time.process_time()
from pathlib import Path
from core.engines import set_missing
from smallwright_eval import engines
from smallwright_eval.config import LMEvalConfig
settings = json.loads(sys.argv[2])
config = LMEvalConfig(**{**settings, "tasks": tuple(settings["tasks"]), "task_paths": tuple(settings["task_paths"])})
set_missing(engines.environment(config))
"""
END = """
print("RESULT", json.dumps({"seconds": time.monotonic() - started, "processor": time.process_time() - processor}))
"""
OURS = """
import tempfile
from core.interfaces import Job
from smallwright_eval.stage import LMEval
with tempfile.TemporaryDirectory() as output:
    LMEval(config).run(Job(name="eval", output=Path(output), inputs={"model": Path(sys.argv[1])}, seed=0))
"""
THEIRS = """
import tempfile
from lm_eval import simple_evaluate
from smallwright_eval import local_tasks
with engines._vllm_found_by_name(engines.installed_vllm()), tempfile.TemporaryDirectory() as work:
    from lm_eval.models.vllm_causallms import VLLM
    manager = local_tasks.task_manager(config, Path(work))
    model = Path(sys.argv[1])
    arguments = {
        "pretrained": str(model), "dtype": engines.resolve_dtype(config, model), "batch_size": config.batch_size,
        "max_num_seqs": config.max_num_seqs, "max_num_batched_tokens": config.max_num_batched_tokens,
        "enforce_eager": True, "enable_prefix_caching": False, "disable_log_stats": True,
        "kv_cache_memory_bytes": engines._cpu_cache_bytes(config, model), "seed": config.seed,
    }
    simple_evaluate(
        model=VLLM(**arguments), tasks=list(config.tasks), task_manager=manager, limit=config.limit, log_samples=True
    )
"""


def scores(model: Path, settings: dict[str, Any]) -> bool:
    """Print how our scores and answers differ from lm-eval's own; return whether they are close enough."""
    from core.engines import set_missing
    from core.interfaces import Job
    from core.samples import read
    from lm_eval import simple_evaluate
    from smallwright_eval import cuts, engines, local_tasks, parity, results
    from smallwright_eval.config import LMEvalConfig
    from smallwright_eval.stage import LMEval

    config = LMEvalConfig(**settings)
    set_missing(engines.environment(config))
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "ours"
        summary = LMEval(config).run(Job(name="eval", output=output, inputs={"model": model}, seed=0))
        ours = list(read(output / "samples.parquet"))
        from lm_eval.models.huggingface import HFLM

        lm = HFLM(pretrained=str(model), dtype="float32", device="cpu", batch_size=1)
        manager = local_tasks.task_manager(config, Path(folder) / "theirs")
        tasks = manager.load(list(config.tasks))["tasks"]
        # One task at a time: asked together, texts that two tasks part otherwise into prompt and answer are mistaken.
        answered = {
            name: simple_evaluate(model=lm, tasks=[name], task_manager=manager, limit=config.limit, log_samples=True)
            for name in tasks
        }
    good = True
    print("| task | metric | lm-eval, HFLM | ours | largest difference, nats | equal answers |")
    for name, task in tasks.items():
        answer = answered[name]
        theirs = results.measured(name, task, answer, cuts.Seen(lm.tok_encode), None).items
        found = parity.difference(ours, theirs, (config.engine, "HFLM"))
        for key, value in answer["results"][name].items():
            metric, _, selection = key.partition(",")
            if metric not in ("acc", "acc_norm", "exact_match") or not isinstance(value, float):
                continue
            full = metric if selection == "none" else f"{metric},{selection}"
            mine = next(row["value"] for row in summary["eval"] if (row["task"], row["metric"]) == (name, full))
            distance = "" if found["largest_difference"] is None else f"{found['largest_difference']:.1e}"
            same = "" if found["same_answers"] is None else f"{found['same_answers']:.2%}"
            print(f"| {name} | {full} | {value:.6f} | {mine:.6f} | {distance} | {same} |")
            good &= mine == value or metric == "exact_match"
        good &= found["same_answers"] is None or found["same_answers"] >= 0.99
        for one in found["differing"]:
            print(f"  differs: {name} {one['id']}")
    return good


def times(model: Path, variants: dict[str, tuple[str, dict[str, Any]]], rounds: int) -> None:
    """Print the times of several programs, and that of the first over the least of the others.

    Args:
        model: Hugging Face directory.
        variants: Code and settings by name.
        rounds: How often each runs, in turns; medians count.
    """
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, (code, settings) in variants.items():
            command = [sys.executable, "-c", BEGIN + code + END, str(model), json.dumps(settings)]
            done = subprocess.run(
                command, env={**os.environ, "HF_HUB_OFFLINE": "1"}, capture_output=True, text=True, check=False
            )
            found = [line for line in done.stdout.splitlines() if line.startswith("RESULT")]
            if not found:
                sys.exit(done.stderr[-3000:])
            runs[name].append(json.loads(found[0].removeprefix("RESULT")))
    medians = {
        name: {of: statistics.median(run[of] for run in found) for of in ("seconds", "processor")}
        for name, found in runs.items()
    }
    print("| | seconds | of a processor |")
    for name, median in medians.items():
        print(f"| {name} | {median['seconds']:.1f} | {median['processor']:.1f} |")
    first, *others = medians.values()
    ratios = [first[of] / min(other[of] for other in others) for of in ("seconds", "processor")]
    print(f"| ratio | {ratios[0]:.3f} | {ratios[1]:.3f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--model", type=Path, help="a Hugging Face folder or an artifact; without it a random tiny model"
    )
    parser.add_argument("--engine", choices=("transformers", "vllm"), default="transformers")
    parser.add_argument("--limit", type=int, help="items of each task")
    parser.add_argument("--time", action="store_true", help="compare wall time on vLLM instead of scores")
    parser.add_argument("--auto", action="store_true", help="compare the time of engine=auto with both engines")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    import smallwright_eval

    with tempfile.TemporaryDirectory() as folder:
        items = Path(smallwright_eval.__file__).parent / "tasks/smallwright_lesson_completion.jsonl"
        (Path(folder) / "answers.yaml").write_text(ANSWERS.format(file=items))
        model = options.model
        if model is None:
            from smallwright_testing.models import tiny_model

            model = tiny_model(Path(folder) / "model")
        model = model / "hf" if (model / "hf").is_dir() else model
        settings = {"tasks": TASKS, "task_paths": [folder], "engine": options.engine, "dtype": "float32", "prompts": [],
                    "limit": options.limit}  # fmt: skip
        if options.time:
            settings |= {"engine": "vllm"}
            times(model, {"ours": (OURS, settings), "lm-eval": (THEIRS, settings)}, options.rounds)
        elif options.auto:
            engines = ("auto", "vllm", "transformers")
            times(model, {engine: (OURS, {**settings, "engine": engine}) for engine in engines}, options.rounds)
        elif not scores(model, {key: tuple(one) if isinstance(one, list) else one for key, one in settings.items()}):
            sys.exit("accuracies are not equal, or fewer than 99 % of the answers are")


if __name__ == "__main__":
    main()
