"""A report of a small run that trained, aligned and evaluated, as core writes it."""

import copy
import importlib.util
import itertools
from pathlib import Path
from types import SimpleNamespace

import pytest

STAGES = ("data", "pretrain", "sft", "eval", "eval-sft")
ROW = {
    "metric": "acc",
    "stderr": 0.03,
    "n": 200,
    "chance": 0.25,
    "higher_is_better": True,
    "cut_items": 0,
    "p_value": 0.0001,
    "contamination": {"checked": "yes", "documents_removed": 7, "reason": "web removed 7"},
}
ENGINE = {"engine": {"name": "vllm", "version": "1.0"}}


def curve(key, name, unit, values):
    return {
        "key": key,
        "name": name,
        "unit": unit,
        "points": [list(p) for p in enumerate(values, 1)],
        "of": len(values),
    }


REPORT = {
    "version": 2,
    "id": "20260101-000000-0a0a0a0a",
    "name": "small <run>",
    "headline": "A model of 1.07 M parameters.",
    "seconds": 100.0,
    "stages": [
        {"name": name, "status": "ran", "seconds": 1.0, "artifact": f"/store/x/{name}", "peak_memory_bytes": 2**30}
        for name in STAGES
    ],
    "funnel": [
        {"corpus": "web", "step": "read", "in": 100, "kept": 90, "rejected": {"not <text>": 9}, "failed": {"bad": 1}},
        {"corpus": "web", "step": "quality", "in": 90, "kept": 40, "rejected": {"too short": 50}, "failed": {}},
    ],
    "data": {
        "documents": 40,
        "characters": 90_000,
        "corpora": {
            "web": {
                "documents": 40,
                "score_histogram": {"range": [0, 5], "kept": [0, 0, 10, 30], "rejected": [20, 30, 0, 0]},
                "length_histogram": {"kept": [0, 0, 10, 30], "rejected": [5, 45, 0, 0]},
                "step_reports": {
                    "quality": {"tables": {"languages": {"en": 80, "de": 10}}, "note": "x"},
                    "classifier": {
                        "scale": 5,
                        "calibration": [
                            {"from": 0, "to": 1, "documents": 9, "mean_score": 0.4, "mean_label": 0.5},
                            {"from": 4, "to": 5, "documents": 9, "mean_score": 4.4, "mean_label": 4.5},
                        ],
                    },
                },
            }
        },
    },
    "pretrain": {
        "stored_parameters": 1_066_624,
        "executed_parameters": 1_540_096,
        "tokens": 266_240,
        "tokens_per_second": 4874.5,
        "validation_loss": 1.22,
        "validation_stderr": 0.0125,
        "unigram_loss": 5.72,
        "engine": {"name": "torchtitan", "version": "0.3.0"},
        "device": "cpu",
        "epochs": 0.5,
    },
    "posttrain": {
        "sft": {"engine": {"name": "trl", "version": "1.0"}, "eval_before": {"loss": 2.0}, "eval_after": {"loss": 1.0}}
    },
    "eval": [
        {"model": "pretrain", "task": "lessons", "value": 0.88, **ROW, **ENGINE},
        {"model": "sft", "task": "lessons", "value": 0.80, **ROW, **ENGINE},
        {"model": "sft", "task": "validation", "metric": "perplexity", "value": 3.3, "stderr": 0.04, "n": 35714,
         "chance": 2048.0, "higher_is_better": False, **ENGINE},
    ],
    "curves": {
        "pretrain": [
            curve("loss", "training loss", "nats per token", [8 / n for n in range(1, 100)]),
            {"key": "validation_loss", "name": "validation loss", "unit": "nats per token", "of": 2,
             "points": [[50, 2.0], [99, 1.22]]},
            *({"key": f"validation_loss_by_source.{name}", "name": name, "unit": "nats per token", "of": 2,
               "points": [[50, 2.1], [99, loss]]} for name, loss in (("web", 1.32), ("code", 1.12))),
            curve("lr", "learning rate", "", [0.0, *[0.001] * 98]),
            curve("grad_norm", "gradient norm", "", [1.0 + n % 3 for n in range(99)]),
            curve("tokens_per_second", "throughput", "tokens per second", [4800.0 + n for n in range(99)]),
        ],
        "sft": [curve("loss", "training loss", "loss", [2.0, 1.5, 1.0])],
    },
    "samples": {
        "documents": {
            "web": [
                {"step": "", "outcome": "kept", "reason": "", "documents": [
                    {"id": "a", "url": "https://a.example", "score": 3.0, "text": "kept words", "characters": 9000}]},
                {"step": "read", "outcome": "rejected", "reason": "not <text>", "documents": [
                    {"id": "b", "url": "", "score": None, "text": "<script>alert(1)</script>", "characters": 25}]},
            ]
        },
        "files": [{"model": "sft", "path": "eval/sft 1/samples.parquet"}],
        "parity": [{"model": "sft", "engines": ["vllm", "transformers"], "items": 16, "largest_difference": 2e-5,
                    "same_choice": 1.0, "answers": 8, "same_answers": 0.875}],
        "items": [
            {"model": "sft", "task": "lessons", "right": [], "wrong": [
                {"id": "l1", "question": "2 and 2 are", "choices": ["four", "five"], "label": 0, "chosen": 1,
                 "loglikelihoods": [-2.0, -1.0]}]}
        ],
        "answers": [
            {"prompt": prompt, "model": model, "form": form, "decoding": decoding, "text": text, "ended": ended}
            for prompt, model, form, decoding, text, ended in (
                ("Once </script> upon", "pretrain", "text", "greedy", "a time", False),
                ("Once </script> upon", "pretrain", "text", "sampled", "", True),
                ("Once </script> upon", "sft", "chat", "greedy", "<b>a</b> clear \ufffd answer " * 12, True),
                ("Once </script> upon", "sft", "chat", "sampled", "another time", True),
                ("x" * 200, "pretrain", "text", "greedy", "y" * 200, False),
            )
        ],
    },
    "costs": {
        "pretrain": {"device": "cpu-2core", "devices": 1, "price": 0.08, "assumptions": "40% of the peak",
                     "planned": {"tokens": 266_240, "seconds": 40.0, "memory_bytes": 2**28, "money": 0.001},
                     "used": {"tokens": 266_240, "seconds": 80.0, "memory_bytes": 2**30, "money": 0.002}}
    },
    "init": {
        "stored_parameters": 1000,
        "layers": [0, 2],
        "importance": {"neurons.0": {"kept": 2, "of": 3, "share": 0.9}},
        "scores": {"layers": [[0, 1.0, True], [1, 0.1, False]], "neurons.0": [[0, 3.0, True], [1, 0.5, False]]},
    },
    "model": "posttrain/sft-1/hf",
    "lineage": [
        {"artifact": "data/web-1", "stage": "data", "plugin": "smallwright-core", "commit": "abc", "inputs": {},
         "files": ["/crawl/a.warc.gz"], "number_of_files": 3},
        {"artifact": "pretrain/x-2", "stage": "pretrain", "plugin": "p", "commit": None,
         "inputs": {"corpus": "data/web-1"}, "files": [], "number_of_files": 0},
    ],
    "made": {
        "command": "python -m core.run +data=web '+posttrain=[sft]'",
        "started": "2026-01-01T00:00:00Z",
        "ended": "2026-01-01T00:01:40Z",
        "machine": {"host": "h", "system": "Linux", "cores": 2, "memory_bytes": 2**34},
        "python": "3.11.7",
        "plugins": {"smallwright-core": "0.1.0"},
        "engines": {"torch": "2.13"},
        "commit": "0123456789abcdef",
        "store": "/store",
        "directory": "/runs/one",
        "seeds": dict.fromkeys(STAGES, 0),
    },
    "config": {"seed": 0},
}  # fmt: skip


def pair(side, difference, half, p):
    limits = {"difference": difference, "low": difference - half, "high": difference + half}
    return {"a": "base", "b": side, **limits, "p": p / 2, "p_adjusted": p, "test": "exact McNemar"}


MEASURE = {"higher_is_better": True, "items": 40, "left_out": [0, 0, 3], "stderrs": [0.1, 0.1, None], "note": ""}
COMPARISON = {
    "version": 1,
    "sentence": "Against base: rate=<0.1> is better on 1 of 2 measures.",
    "baseline": "base",
    "command": "python -m core.compare runs/a 'runs/b#0'",
    "sides": [
        {"name": name, "kind": "run", "place": f"runs/{name}", "headline": f"The <model> {name}.", "parameters": number,
         "tokens": 266_240, "seconds": 282.0, "peak_memory_bytes": 2**30}
        for name, number in (("base", 1_066_624), ("rate=<0.1>", 1_066_624), ("a-much-longer-name-of-a-side", None))
    ],
    "differences": [{"key": "pretrain.learning_rate", "values": [0.004, 0.1, None]}],
    "tasks": [
        {"task": "our_lessons", "metric": "acc", **MEASURE, "values": [0.5, 0.8, None],
         "pairs": [pair("rate=<0.1>", 0.3, 0.15, 0.0004)], "note": "shots differ: 0, 5; n <too>"},
        {"task": "our_words", "metric": "acc_norm", **MEASURE, "values": [0.5, 0.525, 0.45],
         "pairs": [pair("rate=<0.1>", 0.025, 0.05, 0.9), pair("a-much-longer-name-of-a-side", -0.05, 0.08, 1.0)]},
        {"task": "validation", "metric": "nats_per_token", **MEASURE, "higher_is_better": False,
         "values": [1.21, 1.10, 1.3], "pairs": [pair("rate=<0.1>", -0.11, 0.02, 0.0004)]},
        {"task": "validation", "metric": "perplexity", **MEASURE, "higher_is_better": False, "items": None,
         "values": [3.35, 3.0, None], "pairs": [], "note": "not tested: it follows from nats_per_token"},
    ],
    "curves": {
        "pretrain.loss": {"name": "pretrain: training loss", "unit": "nats per token", "sides": [
            {"side": name, "points": [[n, top / n] for n in range(1, 60)]}
            for name, top in (("base", 8), ("rate=<0.1>", 7))
        ]}
    },
    "published": [
        {"model": "Peer-135M", "parameters": 135_000_000, "task": "Lessons", "metric": "acc_norm", "value": 61.5,
         "source": "model card of Peer-135M", "note": "the paper has 61.0", "protocol": {}, "ours": [50.0, 80.0, None],
         "differences": ["shots: 5 there, 0 here", "engine: vllm here"]}
    ],
    "notes": ["runs/c#3 is left out: failed."],
}  # fmt: skip


def run_of_arm(seed, value, error=None):
    return {"seed": seed, "value": value, "directory": f"{seed} <run>", "error": error}


STUDY = {
    "version": 1,
    "name": "new_against_old",
    "claim": "New is <better>.",
    "control": "old",
    "metric": "pretrain.loss",
    "direction": "lower",
    "test": "paired_t",
    "alpha": 0.05,
    "power": 0.8,
    "study": {"claim": "New is <better>.", "seed_key": "pretrain.seed", "smallest": 0.1, "base": ["+data=toy"]},
    "arms": [
        {"name": "old", "own": ["+arch=a"], "overrides": ["+data=toy", "+arch=a"], "mean": 2.0, "std": 0.1,
         "equal": {"pretrain.tokens": 1000.0}, "runs": [run_of_arm(0, 2.1), run_of_arm(1, 1.9), run_of_arm(2, 2.0)]},
        {"name": "new", "own": ["+arch=b"], "overrides": ["+data=toy", "+arch=b"], "mean": 1.5, "std": 0.1,
         "equal": {"pretrain.tokens": 1010.0}, "runs": [run_of_arm(0, 1.6), run_of_arm(1, 1.4),
                                                    run_of_arm(2, None, "it <died>")]},
    ],
    "comparisons": [
        {"arm": "new", "control": "old", "seeds": [0, 1], "differences": [-0.5, -0.5], "mean_difference": -0.5,
         "low": -0.6, "high": -0.4, "effect_size": None, "p": 0.25, "p_opposite": 1.0, "p_adjusted": 0.25,
         "p_opposite_adjusted": 1.0, "verdict": "undecided", "sentence": "Undecided.", "seeds_needed": 5},
    ],
    "verdict": "undecided",
    "sentence": "Undecided at 2 seeds: new against old.",
    "notes": ["new at seed 2 is left out, and its pair with it: it <died>"],
    "sweep": "/runs/study/sweep.json",
    "made": {"command": "python -m core.study new_against_old", "started": "2026-01-01T00:00:00Z",
             "ended": "2026-01-01T00:01:40Z", "machine": {"host": "h", "system": "Linux", "cores": 2},
             "python": "3.11.7", "plugins": {}, "engines": {"torch": "2.13"}, "commit": "0123456789abcdef"},
}  # fmt: skip


@pytest.fixture(scope="session")
def study():
    """A study of two arms, one run of which failed."""
    return STUDY


@pytest.fixture(scope="session")
def comparison():
    """A comparison of three sides that has all that one can have."""
    return COMPARISON


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """A cache of the tests' own: they neither read nor write the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def example():
    """A report that has all that a report can have."""
    return REPORT


@pytest.fixture
def report(example):
    """The same, free to be changed."""
    return copy.deepcopy(example)


def run(number, values, metrics, error=None):
    """Return a row of ``sweep.json``."""
    return {
        "number": number,
        "values": values,
        "overrides": [],
        "status": "failed" if error else "finished",
        "error": error,
        "directory": f"{number} <run>",
        "headline": None if error else "A model.",
        "seconds": None if error else 10.0 + number,
        "metrics": {} if error else metrics,
    }


def sweep(rows):
    """Return what ``sweep.json`` holds."""
    return {
        "version": 1,
        "name": "a <sweep>",
        "command": "python -m core.run -m +arch=gqa,shared_ffn 'seed=range(0,2)'",
        "started": "2026-01-01T00:00:00+00:00",
        "ended": "2026-01-01T00:10:00+00:00",
        "store": "/store",
        "directory": "/runs/a-sweep-0a0a0a0a",
        "keys": list(dict.fromkeys(key for row in rows for key in row["values"])),
        "metrics": list(dict.fromkeys(name for row in rows for name in row["metrics"])),
        "runs": rows,
    }


def grid(arches=("gqa", "shared_ffn"), rates=("3e-4", "1e-3", "3e-3"), seeds=2, tasks=1):
    """Return a sweep over two architectures, three rates and seeds, whose fourth run failed."""
    rows = []
    for place, (arch, rate, seed) in enumerate(itertools.product(arches, rates, range(seeds))):
        values = {"arch": arch, "pretrain.learning_rate": rate, "seed": str(seed)}
        metrics = {
            "pretrain.seconds": 5.0 + place,
            "pretrain.tokens": 262_144,
            "pretrain.peak_memory_bytes": (1 + place) * 2**30,
            "pretrain.validation_loss": 1.2 + 0.01 * place + (arch == "gqa"),
            **{f"pretrain.task{number}.acc": (place + number) % 50 / 50 for number in range(tasks)},
        }
        rows.append(run(place + 1, values, metrics, "stage pretrain failed: <it> was killed." if place == 3 else None))
    return sweep(rows)


@pytest.fixture(scope="session")
def sweeps():
    """Makes sweeps: ``run`` a row, ``of`` what has these rows, ``grid`` all at once."""
    return SimpleNamespace(run=run, of=sweep, grid=grid)


@pytest.fixture(scope="module")
def screenshots():
    """The script ``tools/screenshots.py``, where it finds a browser."""
    script = Path(__file__).parents[3] / "tools" / "screenshots.py"
    spec = importlib.util.spec_from_file_location("screenshots", script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if module.find_browser() is None:
        pytest.skip("no Chromium: apt-get install chromium-headless-shell, or playwright install chromium")
    return module


COMBINATION = {"engine": "transformers", "dtype": "float32", "batch": 2, "prompt_tokens": 128, "new_tokens": 64}
BENCH = {
    "version": 1,
    "model": "runs/<x>",
    "name": "<tiny>",
    "parameters": 99_648,
    "executed_parameters": 120_000,
    "weights_bytes": 400_000,
    "machine": {"processor": "A processor", "cores": 2, "system": "Linux"},
    "repeats": 3,
    "rows": [
        {
            **COMBINATION,
            "prefill_tokens_per_s": {"median": 1234.5, "least": 1000.0, "greatest": 1300.0},
            "decode_tokens_per_s": {"median": 45.67, "least": 40.0, "greatest": 50.0},
            "first_token_s": {"median": 0.25, "least": 0.2, "greatest": 0.3},
            "peak_memory_bytes": 2**29,
            "peak_device_bytes": None,
            "cpu_percent": 51.5,
            "joules_per_1000_tokens": None,
            "energy_from": "no RAPL",
        },
        {**COMBINATION, "engine": "vllm", "error": "ended by <SIGKILL>"},
    ],
}


@pytest.fixture(scope="session")
def bench():
    """What ``core.bench`` measured, and a combination that failed."""
    return copy.deepcopy(BENCH)
