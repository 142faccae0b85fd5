"""Which engine answers, where ``engine=auto``: the one that a table of measurements says is done first."""

import dataclasses
import functools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from core.engines import vllm_distribution
from core.entered import stored_parameters
from core.served import cpu_head_widths
from core.weights import ModelFolder

from smallwright_eval.config import LMEvalConfig

TABLE = "engine_table.yaml"
CHARACTERS_A_TOKEN = 4
LONG_PROMPT = 300
"""Tokens from which a prompt counts as one with examples; the table has 40 and 700."""
TOKENS_OF_AN_ANSWER, TOKENS_OF_A_LONG_PROMPT = 64, 700
"""What an answer and a long prompt of the table have."""
LONGEST_ANSWER = 256
"""lm-eval's bound of an answer whose task names none."""


@dataclasses.dataclass
class Work:
    """What is to be asked, in the units of the table."""

    short: float = 0
    long: float = 0
    answers: float = 0

    def add_task(self, task: Any, limit: int | float | None, shots: int | None) -> None:
        """Add the requests of a task of lm-eval, counted by its first item."""
        docs: Sequence[Any] = task.eval_docs
        count = items_of(task, limit)
        if not count:
            return
        if task.OUTPUT_TYPE == "generate_until":
            allowed = (task.config.generation_kwargs or {}).get("max_gen_toks") or LONGEST_ANSWER
            self.answers += count * allowed / TOKENS_OF_AN_ANSWER
            return
        asked = count * (len(task.doc_to_choice(docs[0])) if task.OUTPUT_TYPE == "multiple_choice" else 1)
        examples = 1 + (task.config.num_fewshot or 0 if shots is None else shots)
        if len(str(task.doc_to_text(docs[0]))) * examples > LONG_PROMPT * CHARACTERS_A_TOKEN:
            self.long += asked
        else:
            self.short += asked

    def add_tokens(self, tokens: int) -> None:
        """Add held-out text."""
        self.long += tokens / TOKENS_OF_A_LONG_PROMPT

    def add_answers(self, answers: int, tokens: int) -> None:
        """Add answers of at most so many tokens."""
        self.answers += answers * tokens / TOKENS_OF_AN_ANSWER


def items_of(task: Any, limit: int | float | None) -> int:
    """Return how many items of a task of lm-eval are asked."""
    count = len(task.eval_docs)
    return count if limit is None else min(count, math.ceil(count * limit) if limit < 1 else int(limit))


def choose(config: LMEvalConfig, model: Path, work: Work, *, gpu: bool) -> tuple[str, str]:
    """Return the name of the engine, and why it is that one."""
    if config.engine != "auto":
        return config.engine, "asked for"
    if vllm_distribution() is None:
        return "transformers", "vLLM is not installed"
    described = json.loads((model / "config.json").read_text(encoding="utf-8"))
    width = described.get("head_dim") or described.get("hidden_size", 0) // (described.get("num_attention_heads") or 1)
    if not gpu and width and cpu_head_widths() and width not in cpu_head_widths():
        return "transformers", f"vLLM has no kernels here for heads of {width}"
    table = measured().get("cuda" if gpu else "cpu")
    if table is None:  # nobody measured it; many requests are what vLLM is made for
        return "vllm", f"{TABLE} has no figures of this device"
    parameters = stored_parameters(ModelFolder(model, f"model={model}"))
    guesses = {engine: _seconds(_of(table["rows"], engine), parameters, work) for engine in ("transformers", "vllm")}
    first, other = sorted(guesses, key=guesses.__getitem__)
    return first, (
        f"about {guesses[first]:.0f} s against {guesses[other]:.0f} s with {other}, by {TABLE} for "
        f"{parameters / 1e6:.0f} M parameters"
    )


@functools.cache
def measured() -> Mapping[str, Any]:
    """Return the table, by device; what is not measured is not in it."""
    path = files("smallwright_eval") / TABLE
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _of(rows: Iterable[Mapping[str, Any]], engine: str) -> list[Mapping[str, Any]]:
    return sorted((row for row in rows if row["engine"] == engine), key=lambda row: row["parameters"])


def _seconds(rows: Sequence[Mapping[str, Any]], parameters: int, work: Work) -> float:
    each = {key: _between(rows, key, parameters) for key in ("start", "short", "long", "answers")}
    asked = work.short * each["short"] + work.long * each["long"] + work.answers * each["answers"]
    return each["start"] + asked / 1000


def _between(rows: Sequence[Mapping[str, Any]], key: str, parameters: int) -> float:
    """Return a figure for a size: a straight line between the sizes around it, in logarithms; the nearest outside.

    Above the largest size what is asked grows as the size does.
    """
    sizes = [math.log(row["parameters"]) for row in rows]
    values = [math.log(row[key]) for row in rows]
    size = math.log(max(parameters, 1))
    if size <= sizes[0]:
        return math.exp(values[0])
    if size >= sizes[-1]:
        return math.exp(values[-1] + (0 if key == "start" else size - sizes[-1]))
    place = next(place for place, known in enumerate(sizes) if known >= size)
    share = (size - sizes[place - 1]) / (sizes[place] - sizes[place - 1])
    return math.exp(values[place - 1] + share * (values[place] - values[place - 1]))
