"""What the model says: prompts and its answers, before and after post-training."""

from collections.abc import Mapping
from typing import Any


def blocks(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the answers that the report has, by prompt; nothing where no stage left any."""
    prompts: dict[str, list[dict[str, str]]] = {}
    for answer in report["samples"]["answers"]:
        name = f"{answer['model']}, {answer['decoding']}"
        prompts.setdefault(answer["prompt"], []).append({"name": name, "text": answer["text"]})
    if not prompts:
        return []
    return [{"kind": "answers", "answers": [{"prompt": prompt, "said": said} for prompt, said in prompts.items()]}]
