"""The tasks of PanGu-pi's table that lm-eval lacks. The paper publishes no prompts: these are ours."""

import functools
from collections.abc import Mapping
from typing import Any

Item = Mapping[str, Any]


def c3(item: Item) -> str:
    passage = "".join(item["context"])
    return f"文章：{passage}\n问题：{item['question']}\n答案："


def c3_gold(item: Item) -> int:
    return item["choice"].index(item["answer"])


@functools.cache
def _rouge() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rouge1"], use_stemmer=True)


def xsum_score(item: Item, results: list[str]) -> dict[str, float]:
    """Return ROUGE-1 (F) of the first line of the answer."""
    summary = results[0].strip().partition("\n")[0]
    return {"rouge1": _rouge().score(item["summary"], summary)["rouge1"].fmeasure}
