"""What an engine notes of what it is asked: tokens, and what it cut from the left, few-shot examples first."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

from smallwright_eval.known import Known

DELIMITER = "\n\n"
"""What lm-eval puts between examples where a task names nothing else."""

LENGTHS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
"""Settings of a task that bound its answers; lm-eval takes the first that is there."""


class Seen:
    """What an engine was asked since it was last told to forget."""

    def __init__(self, encode: Callable[[str], Sequence[int]]) -> None:
        self._encode = encode
        self._lost: dict[str, str] = {}
        self._tokens: dict[Any, int] = {}
        self.shortest_answer: int | None = None
        """Tokens that answers were bounded by where the task allows more than the model can read."""

    def forget(self) -> None:
        """Begin anew, for the next task."""
        self._lost, self._tokens, self.shortest_answer = {}, {}, None

    def note_tokens(self, asked: Any, tokens: int) -> None:
        """Keep the number of tokens of a context, or of the second of a pair of texts."""
        self._tokens[asked] = tokens

    def note_cut(self, context: str, lost: str) -> None:
        """Keep the text that was cut from the left of a context."""
        self._lost[context] = max(lost, self._lost.get(context, ""), key=len)

    def tokens(self, asked: Any) -> int | None:
        """Return the tokens of a context, all of them, or of the second of a pair; None: it was not asked."""
        return self._tokens.get(asked)

    def count(self, text: str) -> int:
        """Return the tokens of a text."""
        return len(self._encode(text))

    def lost_shots(self, contexts: Sequence[str], shots: int, delimiter: str) -> int | None:
        """Return how many examples of an item were cut or cut off; None where all of it was read.

        Args:
            contexts: Of the item's requests; the one that lost most counts.
            shots: Examples in each prompt.
            delimiter: Between them.
        """
        lost = self._lost
        cut = max((context for context in contexts if context in lost), key=lambda one: len(lost[one]), default=None)
        return None if cut is None else _examples(cut, lost[cut], shots, delimiter)


def counting(base: Any, *, spare: int) -> Any:
    """Return a class of lm-eval's with ``seen``, a :class:`Seen`, which generates no answer that it knows.

    Args:
        base: A class with ``_loglikelihood_tokens`` and ``generate_until``.
        spare: Tokens of context and continuation that it takes beyond ``max_length``: the last is only predicted by
            Transformers, and vLLM wants room for one more.
    """

    class Counting(base):  # type: ignore[misc]
        known: Known | None = None
        """Answers that were generated before, of the task that is asked now; None: none are kept."""

        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self.seen = Seen(lambda text: self.tokenizer(text, add_special_tokens=False)["input_ids"])
            self.asked = 0
            """Requests since this was last set to 0, answered or not."""

        def loglikelihood(self, requests: Any, *arguments: Any, **options: Any) -> Any:
            self.asked += len(requests)
            return super().loglikelihood(requests, *arguments, **options)

        def _loglikelihood_tokens(self, requests: Any, *arguments: Any, **options: Any) -> Any:
            for texts, context, continuation in requests:
                if texts is not None:  # held-out documents come without: they are cut into windows
                    self.seen.note_tokens(tuple(texts), len(continuation))
                    self._note(texts[0], context, len(context) + len(continuation) - self.max_length - spare)
            return super()._loglikelihood_tokens(requests, *arguments, **options)

        def generate_until(self, requests: Any, *arguments: Any, **options: Any) -> Any:
            self.asked += len(requests)
            asked = []
            for request in requests:
                text, settings = request.args
                wanted = next((settings[name] for name in LENGTHS if settings.get(name)), self.max_gen_toks)
                if wanted >= self.max_length:  # else nothing is left for the prompt, which Transformers refuses
                    wanted = self.seen.shortest_answer = self.max_length // 2
                    settings = {name: value for name, value in settings.items() if name not in LENGTHS}
                    settings["max_gen_toks"] = wanted
                if not settings.get("do_sample") and "temperature" not in settings:
                    settings = {**settings, "do_sample": False}  # lm-eval's vLLM class would sample
                asked.append(dataclasses.replace(request, arguments=(text, settings)))
                context = self.tok_encode(text)
                self._note(text, context, len(context) + wanted - self.max_length)
            if self.known is None:
                return super().generate_until(asked, *arguments, **options)
            names = [_name(request) for request in asked]
            missing = [place for place, name in enumerate(names) if self.known.get(**name) is None]
            new = [asked[place] for place in missing]
            said = super().generate_until(new, *arguments, **options) if new else ()
            for place, answer in zip(missing, said, strict=True):
                self.known.add(answer, **names[place])
            return [self.known.get(**name) for name in names]

        def _note(self, text: str, context: list[int], over: int) -> None:
            self.seen.note_tokens(text, len(context))
            if over > 0:
                # vLLM's class has no tok_decode.
                self.seen.note_cut(text, self.tokenizer.decode(context[:over], skip_special_tokens=True))

    return Counting


def _name(request: Any) -> dict[str, Any]:
    """Return what tells the answer to a request from all others of a task that asks for one an item and turn."""
    return {"task": request.task_name, "item": request.doc_id, "turn": request.idx, "asked": list(request.args)}


def _examples(context: str, lost: str, shots: int, delimiter: str) -> int:
    """Return how many examples the lost text reaches into."""
    if context.count(delimiter) == shots:
        return min(shots, lost.count(delimiter) + (not lost.endswith(delimiter)))
    return min(shots, math.ceil(shots * len(lost) / max(len(context), 1)))  # the delimiter is in the examples, too
