"""The step ``score_rules``: labels by rules, no model.

A stand-in for a language model where there is none, with the same domains, scales and keys as ``score_llm``. Rules
count words and signs; they know neither what is true nor what is well said.
"""

from collections.abc import Callable, Iterator
from typing import Any

from smallwright_labels.config import ScoreRulesConfig
from smallwright_labels.label_files import Item, Record
from smallwright_labels.labeller import Labeller
from smallwright_labels.replies import LABELLED
from smallwright_labels.rules_code import score_code
from smallwright_labels.rules_education import score_education
from smallwright_labels.rules_maths import score_maths, score_maths_3

SCALES = {"maths": 5, "maths_3": 3, "education": 5, "code": 5}
RULES: dict[str, Callable[[str], int]] = {
    "maths": score_maths,
    "maths_3": score_maths_3,
    "education": score_education,
}


def score_text(text: str, domain: str = "maths", language: str = "") -> int:
    """Return the points of a text on its domain's scale.

    Args:
        language: Programming language, for domain ``code``; it tells what a comment is.
    """
    return score_code(text, language) if domain == "code" else RULES[domain](text)


class ScoreRules(Labeller):
    """Labels a sample by rules (``label_scorer: rules``)."""

    config: ScoreRulesConfig
    tasks = None

    def describe(self) -> dict[str, Any]:
        domain = self.config.domain
        return {"scorer": "rules", "domain": domain, "scale": SCALES[domain], "max_chars": self.config.max_chars}

    def label(self, items: Iterator[Item]) -> Iterator[tuple[Item, Record]]:
        config = self.config
        for item in items:
            language = str(item.metadata.get(config.prompt_by, "")) if config.prompt_by else ""
            score = score_text(item.text[: config.max_chars], config.domain, language)
            record: Record = {"label": score, "outcome": LABELLED, "prompt": config.domain}
            if len(item.text) > config.max_chars:
                record["truncated"] = True
            yield item, record
