"""Needle in a haystack on a grid of length by depth, and RULER's tasks that need no data set."""

import random
import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from core.errors import ConfigError
from lm_eval.api.metrics import mean
from lm_eval.api.task import ConfigurableTask

from smallwright_eval.config import LMEvalConfig
from smallwright_eval.long_context import texts

CHARACTERS_A_TOKEN = 4
"""Until the model's tokenizer is there, to say how long the prompts will be."""
TEMPLATE_TOKENS = 64
"""Tokens that are left for a chat template."""


class LongTask(ConfigurableTask):
    """A task whose prompts are made for the tokenizer of the model that is asked.

    Its YAML says in ``metadata`` the ``lengths`` of its prompts in tokens, answer included, and the ``seed``.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        described = {key: value for key, value in config.items() if key != "class"}
        # lm-eval would else look for the metrics on the hub.
        super().__init__(config={**described, "process_results": "in the class"})

    def download(self, *arguments: Any, **options: Any) -> None:
        """Make the items, as long as they will be about."""
        self._make(lambda text: len(text) // CHARACTERS_A_TOKEN, None, 0)

    def take(self, config: LMEvalConfig, lm: Any) -> None:
        """Make the items to the token, and leave out those that are longer than the model reads.

        Raises:
            ConfigError: all of them are.
        """
        spare = TEMPLATE_TOKENS if config.apply_chat_template else 0
        self._make(lambda text: len(lm.tok_encode(text)), int(lm.max_length), spare)
        self.task_docs = self.eval_docs

    @abstractmethod
    def items(self, length: int, count: texts.Count, draw: random.Random) -> list[dict[str, Any]]:
        """Return the items of one length."""

    def lengths(self) -> list[int]:
        """Return the lengths that the YAML names."""
        return [int(length) for length in (self.config.metadata or {})["lengths"]]

    def _make(self, count: texts.Count, longest: int | None, spare: int) -> None:
        import datasets

        lengths = [length for length in self.lengths() if longest is None or length <= longest]
        if not lengths:
            raise ConfigError(
                f"eval.tasks: the shortest prompts of {self.config.task} have {min(self.lengths())} tokens, and the "
                f"model reads {longest}. Leave the task out."
            )
        if longest is not None and len(lengths) < len(self.lengths()):
            print(f"{self.config.task}: the model reads {longest} tokens, longer prompts are left out", flush=True)
        room = int((self.config.generation_kwargs or {})["max_gen_toks"]) + spare
        draw = random.Random(int((self.config.metadata or {}).get("seed", 0)))
        rows = [
            {**item, "length": length}
            for length in lengths
            for item in self.items(length, lambda text: count(text) + room, draw)
        ]
        self.dataset = {"test": datasets.Dataset.from_list(rows)}

    def aggregation(self) -> dict[str, Any]:
        """Return how the metrics of items become those of the task."""
        return {"exact_match": mean}

    def higher_is_better(self) -> dict[str, bool]:
        """Return that more is better."""
        return {"exact_match": True}


class Needle(LongTask):
    """Find the number of one city among those of ten others, at each length and depth (SmolLM2, appendix G)."""

    def items(self, length: int, count: texts.Count, draw: random.Random) -> list[dict[str, Any]]:
        """Return an item for each depth."""
        depths: Sequence[int] = (self.config.metadata or {})["depths"]
        return [
            {**texts.needle(length, depth, count, draw), "depth": depth, "subject": f"{length} tokens, depth {depth} %"}
            for depth in depths
        ]

    def process_results(self, doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
        """Return whether the first number of an answer is the right one."""
        found = re.search(r"\d+", results[0].replace(",", ""))
        return {"exact_match": float(found is not None and found[0] == doc["outputs"][0])}

    def grid(self, items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Return the share of right answers by length and depth, for a heat map.

        Args:
            items: Of :func:`smallwright_eval.samples.of_task`.
        """
        cells: dict[tuple[int, int], list[bool]] = {}
        for item in items:
            found = re.fullmatch(r"(\d+) tokens, depth (\d+) %", item["subject"] or "")
            if found is not None:
                cells.setdefault((int(found[1]), int(found[2])), []).append(bool(item["correct"]))
        return {
            "across": "prompt in tokens",
            "down": "depth of the needle in %",
            "cells": [[length, depth, sum(right) / len(right)] for (length, depth), right in sorted(cells.items())],
        }


class Ruler(LongTask):
    """A task of RULER (Hsieh et al. 2024), named in the YAML as ``metadata: {kind: ...}``."""

    def items(self, length: int, count: texts.Count, draw: random.Random) -> list[dict[str, Any]]:
        """Return ``metadata.samples`` items."""
        metadata = self.config.metadata or {}
        made = getattr(texts, metadata["kind"])
        return [made(length, count, draw, **metadata.get("arguments", {})) for _ in range(int(metadata["samples"]))]

    def process_results(self, doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
        """Return the share of what was asked for that stands in the answer, as RULER counts it."""
        said = results[0].lower()
        return {"exact_match": sum(one.lower() in said for one in doc["outputs"]) / len(doc["outputs"])}
