"""Tasks whose answers are programs: HumanEval, MBPP, MultiPL-E. Programs run in the sandbox and nowhere else."""

import secrets
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from lm_eval.api.metrics import mean
from lm_eval.api.task import ConfigurableTask

from smallwright_eval.config import LMEvalConfig
from smallwright_eval.sandbox import probe
from smallwright_eval.sandbox.run import Outcome, Sandbox
from smallwright_eval.verdicts.pass_at_k import estimate

FILTER = "none"
ENDINGS = {
    "time": "took too long",
    "memory": "took too much memory",
    "output": "wrote too much",
    "files": "made too many files",
    "long": "is too long",
}


class Graded(str):
    """A program that was run, behind a line with its verdict; ``passed`` is the verdict."""

    passed: bool

    def __new__(cls, program: str, passed: bool, why: str) -> "Graded":
        """Return the program with its verdict."""
        graded = super().__new__(cls, f"[{why}]\n{program}")
        graded.passed = passed
        return graded


class CodeTask(ConfigurableTask):
    """A task whose answer is run with its tests; it passes when these run to their end.

    Subclasses say what the program is. The YAML names its language in ``metadata: {language: py}``.
    """

    stops: Sequence[str] = ()
    """Where an answer ends: what is behind the first of these is no part of it."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        described = {key: value for key, value in config.items() if key != "class"}
        described["generation_kwargs"] = {"until": list(self.stops), **(described.get("generation_kwargs") or {})}
        # lm-eval would else look for the metric on the hub.
        super().__init__(config={**described, "process_results": "in the class"})
        self.language = str((self.config.metadata or {}).get("language", "py"))
        self.sandbox: Sandbox | None = None
        self.k: tuple[int, ...] = (1,)

    def take(self, config: LMEvalConfig, lm: Any) -> None:
        """Take the limits of the sandbox and the number of samples.

        Raises:
            core.errors.ConfigError: programs of the language cannot be run here.
        """
        probe.check(self.language, f"eval.tasks: {self.config.task}")
        code = config.code
        self.sandbox, self.k = Sandbox(code), code.k
        self.config.repeats = code.samples
        if code.samples > 1:
            sampling = {"do_sample": True, "temperature": code.temperature, "top_p": code.top_p}
            self.config.generation_kwargs = {**self.config.generation_kwargs, **sampling}

    def until(self, doc: Mapping[str, Any]) -> Sequence[str]:
        """Return where an answer to an item ends."""
        return self.stops

    @abstractmethod
    def program(self, doc: Mapping[str, Any], answer: str) -> tuple[str, str]:
        """Return the program that an answer makes, and the tests that are run behind it."""

    def construct_requests(self, doc: dict[str, Any], ctx: Any, **kwargs: Any) -> Any:
        """Return the request for an item, with its own ends."""
        request = super().construct_requests(doc, ctx, **kwargs)
        context, settings = request.arguments
        request.arguments = (context, {**settings, "until": list(self.until(doc))})
        return request

    def apply_filters(self) -> None:
        """Run all programs of all items, side by side, and keep each with its verdict."""
        if self.sandbox is None:
            raise RuntimeError(f"{self.config.task}: asked without settings")
        asked = [(request, answer) for request in self._instances for answer in request.resps]
        made = [self.program(one.doc, cut(str(answer), self.until(one.doc))) for one, answer in asked]
        verdicts = grade(self.sandbox, made, self.language)
        for request in self._instances:
            request.filtered_resps[FILTER] = []
        for (request, _), verdict in zip(asked, verdicts, strict=True):
            request.filtered_resps[FILTER].append(verdict)

    def process_results(self, doc: Mapping[str, Any], results: Sequence[Sequence[Graded]]) -> dict[str, float]:
        """Return pass@k of an item."""
        (graded,) = results
        passed = sum(one.passed for one in graded)
        return {f"pass@{k}": estimate(len(graded), passed, k) for k in self.k}

    def aggregation(self) -> dict[str, Any]:
        """Return how the metrics of items become those of the task."""
        return {f"pass@{k}": mean for k in self.k}

    def higher_is_better(self) -> dict[str, bool]:
        """Return that more is better."""
        return dict.fromkeys(self.aggregation(), True)


class HumanEval(CodeTask):
    """Complete a function from its signature and docstring (Chen et al. 2021)."""

    stops = ("\nclass", "\ndef", "\n#", "\n@", "\nprint", "\nif", "\n```", "<file_sep>")

    def program(self, doc: Mapping[str, Any], answer: str) -> tuple[str, str]:
        """Return the completed function, and the call of its check."""
        return doc["prompt"].strip() + answer, f"{doc['test']}\ncheck({doc['entry_point']})"


class MBPP(CodeTask):
    """Write a function from a sentence and one of its tests (Austin et al. 2021)."""

    stops = ("\nclass", "\nassert", '\n"""', "\nprint", "\nif", "\n<|/", "\n```")

    def program(self, doc: Mapping[str, Any], answer: str) -> tuple[str, str]:
        """Return the function, and its tests."""
        return answer, "\n".join([doc.get("test_setup_code") or "", *doc["test_list"]])


class MultiPLE(CodeTask):
    """HumanEval in another language (Cassano et al. 2022)."""

    def until(self, doc: Mapping[str, Any]) -> Sequence[str]:
        """Return where an answer ends: the data says it for each language."""
        return [*doc["stop_tokens"], "<file_sep>"]

    def program(self, doc: Mapping[str, Any], answer: str) -> tuple[str, str]:
        """Return the completed function, and its tests."""
        return doc["prompt"].strip() + answer, doc["tests"]


def cut(answer: str, stops: Sequence[str]) -> str:
    """Return an answer up to the first of the texts that end it."""
    return answer[: min((place for stop in stops if (place := answer.find(stop)) >= 0), default=len(answer))]


def grade(sandbox: Sandbox, made: Sequence[tuple[str, str]], language: str) -> list[Graded]:
    """Run programs with their tests and return each with its verdict.

    A Python program passes when it reaches the line behind its tests, which writes a word drawn for it: one that ends
    itself before them does not pass, unless it looks for the word in its own text. In other languages the exit code
    decides, as in MultiPL-E.

    Args:
        sandbox: Where they run.
        made: Programs and their tests.
        language: Of all of them.
    """
    words = [secrets.token_hex(8) if language == "py" else "" for _ in made]
    texts = [
        f"{program}\n{tests}\n" + (f"__import__('os').write(1, b'\\n{word}')\n" if word else "")
        for (program, tests), word in zip(made, words, strict=True)
    ]
    outcomes = sandbox.run_all(texts, language)
    return [
        Graded(program, *verdict(outcome, word))
        for (program, _), word, outcome in zip(made, words, outcomes, strict=True)
    ]


def verdict(outcome: Outcome, word: str) -> tuple[bool, str]:
    """Return whether a program passed, and a few words on why not.

    Args:
        outcome: What came of it.
        word: What stands at the end of its output where it ran to its end; empty: its exit code decides.
    """
    if outcome.ending != "ended":
        return False, ENDINGS[outcome.ending]
    if outcome.code == 0 and (not word or outcome.output.endswith(f"\n{word}")):
        return True, "passed"
    said = outcome.output.strip().splitlines()
    return False, f"failed: {said[-1][:200]}" if outcome.code and said else "failed: it ended before its tests did"
