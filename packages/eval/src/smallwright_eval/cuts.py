"""Count the items that are longer than the model reads: engines cut them from the left, few-shot examples first."""

import math
from collections.abc import Mapping
from typing import Any

DELIMITER = "\n\n"
"""What lm-eval puts between examples where a task names nothing else."""


def counting(base: Any, *, spare: int) -> Any:
    """Return a class of lm-eval's with ``lost``: by context, the text that was cut from its left.

    Args:
        base: A class with ``_loglikelihood_tokens`` and ``generate_until``.
        spare: Tokens of context and continuation that it takes beyond ``max_length``: the last is only predicted by
            Transformers, and vLLM wants room for one more.
    """

    class Counting(base):  # type: ignore[misc]
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self.lost: dict[str, str] = {}

        def _loglikelihood_tokens(self, requests: Any, *arguments: Any, **options: Any) -> Any:
            for texts, context, continuation in requests:
                if texts is not None:  # held-out documents come without: they are cut into windows
                    self._note(texts[0], context, len(context) + len(continuation) - self.max_length - spare)
            return super()._loglikelihood_tokens(requests, *arguments, **options)

        def generate_until(self, requests: Any, *arguments: Any, **options: Any) -> Any:
            for text, settings in (request.args for request in requests):
                context = self.tok_encode(text)
                room = self.max_length - settings.get("max_gen_toks", self.max_gen_toks)
                self._note(text, context, len(context) - room)
            return super().generate_until(requests, *arguments, **options)

        def _note(self, text: str, context: list[int], over: int) -> None:
            if over > 0:
                lost = self.tokenizer.decode(context[:over], skip_special_tokens=True)  # vLLM's class has no tok_decode
                self.lost[text] = max(lost, self.lost.get(text, ""), key=len)

    return Counting


def count(samples: list[Mapping[str, Any]], shots: int, delimiter: str, lost: Mapping[str, str]) -> dict[str, int]:
    """Return ``cut_items`` of a task, and ``lost_fewshots``, the examples of all items that were cut or cut off.

    Args:
        samples: What lm-eval logged of the items.
        shots: Examples in each prompt.
        delimiter: Between them.
        lost: What was cut, by context.
    """
    items = examples = 0
    for sample in samples:
        contexts = [argument[0] for argument in sample["arguments"]]
        cut = max((context for context in contexts if context in lost), key=lambda one: len(lost[one]), default=None)
        if cut is not None:
            items += 1
            examples += _examples(cut, lost[cut], shots, delimiter)
    return {"cut_items": items, "lost_fewshots": examples}


def _examples(context: str, lost: str, shots: int, delimiter: str) -> int:
    """Return how many examples the lost text reaches into."""
    if context.count(delimiter) == shots:
        return min(shots, lost.count(delimiter) + (not lost.endswith(delimiter)))
    return min(shots, math.ceil(shots * len(lost) / max(len(context), 1)))  # the delimiter is in the examples, too
