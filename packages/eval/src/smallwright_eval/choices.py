"""The task class of the published forms of multiple-choice questions, as lm-eval's YAML names it.

lm-eval's own class differs in four things that move scores: it leaves out the space before a choice where there is a
chat template, counts that space as a character, asks the unconditional likelihood with nothing before the choice, and
takes the examples of one subject for all.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.task import ConfigurableTask

OWN = ("unconditional", "shots_by")
"""Keys of the YAML beyond lm-eval's."""


class ChoiceTask(ConfigurableTask):  # type: ignore[misc]
    """Score each choice by its log-likelihood after the question.

    Metrics, of which ``metric_list`` names some: ``acc`` takes the likeliest choice; ``acc_norm`` divides by the
    characters of the choice, a leading space not counted, as LightEval's ``loglikelihood_acc_norm_nospace``;
    ``acc_uncond`` takes the choice that gains most over its likelihood after ``unconditional``, as OLMES.

    Keys of the YAML beyond lm-eval's: ``unconditional``, what stands before a choice without its question (such as
    ``"Answer:"``; it doubles the requests), and ``shots_by``, a column whose value an example shares with the item.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        given = {key: value for key, value in config.items() if key not in ("class", *OWN)}
        self.unconditional: str | None = config.get("unconditional")
        self.shots_by: str | None = config.get("shots_by")
        super().__init__(config={**given, "output_type": "multiple_choice", "process_results": self.score})
        self._pool: list[Mapping[str, Any]] | None = None

    def fewshot_context(self, doc: dict[str, Any], num_fewshot: int, *arguments: Any, **options: Any) -> Any:
        if num_fewshot and self.shots_by is not None:
            if self._pool is None:
                self._pool = list(self.sampler.fewshot_docs())
            of_item = [shot for shot in self._pool if shot[self.shots_by] == doc[self.shots_by]]
            self.sampler.replace_df(of_item)
        return super().fewshot_context(doc, num_fewshot, *arguments, **options)

    def construct_requests(self, doc: dict[str, Any], ctx: Any, **options: Any) -> list[Instance]:
        for other in ("apply_chat_template", "chat_template"):
            options.pop(other, None)
        delimiter = self.config.target_delimiter
        choices = self.doc_to_choice(doc)
        if self.multiple_input:
            rest = f"{delimiter}{self.doc_to_target(doc)}"
            asked = [(context, rest) for context in ctx]
        else:
            asked = [(ctx, f"{delimiter}{choice}") for choice in choices]
        if self.unconditional is not None:
            asked += [(self.unconditional, continuation) for _, continuation in asked]
        return [
            Instance(request_type="loglikelihood", doc=doc, arguments=arguments, idx=place, **options)
            for place, arguments in enumerate(asked)
        ]

    def score(self, doc: dict[str, Any], results: Sequence[tuple[float, bool]]) -> dict[str, float]:
        """Return what ``metric_list`` names, 0 or 1 each."""
        likelihoods = [likelihood for likelihood, _ in results]
        choices = self.doc_to_choice(doc)
        gold = self.doc_to_text(doc) if self.multiple_input else self.doc_to_target(doc)
        count = len(choices)
        said, alone = likelihoods[:count], likelihoods[count:]
        found = {"acc": _best(said)}
        if "acc_norm" in self._metric_fn_list:
            lengths = [characters(f"{self.config.target_delimiter}{choice}") for choice in choices]
            found["acc_norm"] = _best([one / length for one, length in zip(said, lengths, strict=True)])
        if alone:
            found["acc_uncond"] = _best([one - other for one, other in zip(said, alone, strict=True)])
        return {name: float(found[name] == gold) for name in self._metric_fn_list}


def characters(continuation: str) -> int:
    """Return the length that a log-likelihood is divided by: the first space is not counted; at least 1."""
    return max(len(continuation) - continuation.startswith(" "), 1)


def _best(scores: Sequence[float]) -> int:
    """Return the place of the largest number; of equal ones, the first."""
    return max(range(len(scores)), key=scores.__getitem__)
