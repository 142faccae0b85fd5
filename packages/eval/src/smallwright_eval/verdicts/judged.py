"""MT-Bench and OpenRewriteEval: answers that another model rates."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.metrics import mean
from lm_eval.api.task import ConfigurableTask

from smallwright_eval.config import LMEvalConfig
from smallwright_eval.judge import prompts
from smallwright_eval.judge.client import Judge, Rating

FILTER = "none"
TEMPERATURES = {"writing": 0.7, "roleplay": 0.7, "stem": 0.1, "humanities": 0.1}
"""Of MT-Bench's answers, by category; of all others 0."""


class JudgedTask(ConfigurableTask):
    """A task whose answers a judge rates when all of them are there.

    Answers that the judge does not rate are no zeros: they are left out of the score, and ``judged`` says what share
    was rated.
    """

    scores: Sequence[str] = ("score",)
    """Metrics that rest on ratings; not there for an item that has none."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        described = {key: value for key, value in config.items() if key != "class"}
        # lm-eval would else look for the metrics on the hub.
        super().__init__(config={**described, "process_results": "in the class"})
        self.judge: Judge | None = None
        self.lm: Any = None
        self.chat = False
        self.lacking = ""
        """What the judge did not answer, in words; empty: nothing."""

    def take(self, config: LMEvalConfig, lm: Any) -> None:
        """Take the judge, and the model, which may be asked a second turn; what both said before is not asked again.

        Raises:
            ConfigError: no judge is named.
        """
        self.judge, self.lm, self.chat = Judge(config.judge, lm.known), lm, config.apply_chat_template

    @abstractmethod
    def rate(self, requests: Sequence[Instance]) -> list[list[Rating]]:
        """Return the ratings of each item."""

    def apply_filters(self) -> None:
        """Have all answers rated, and say what was not."""
        ratings = self.rate(self._instances)
        for request, found in zip(self._instances, ratings, strict=True):
            request.filtered_resps[FILTER] = found
        self._tell([one for found in ratings for one in found])

    def process_results(self, doc: Mapping[str, Any], results: Sequence[Sequence[Rating]]) -> dict[str, float]:
        """Return the mean rating of an item where it has one, the share that was rated, and what had no number."""
        (found,) = results
        rated = [one.value for one in found if one.value is not None]
        return {
            **({"score": sum(rated) / len(rated)} if rated else {}),
            "judged": len(rated) / len(found),
            "nonsense": float(sum(one.nonsense for one in found)),
        }

    def aggregation(self) -> dict[str, Any]:
        """Return how the metrics of items become those of the task."""
        return dict.fromkeys([*self.scores, "judged", "nonsense"], mean)

    def higher_is_better(self) -> dict[str, bool]:
        """Return which metrics are better when they are higher."""
        return {name: name != "nonsense" for name in self.aggregation()}

    def _tell(self, ratings: Sequence[Rating]) -> None:
        lost = [one for one in ratings if one.value is None]
        down = [one for one in lost if one.down]
        self.lacking = f"the judge did not answer for {len(down)} of {len(ratings)} ratings" if down else ""
        if down:
            print(
                f"{self.config.task}: PARTIAL RESULT: {self.lacking}, and the score rests on the others. "
                f"{down[0].said}",
                flush=True,
            )
        if len(lost) > len(down):
            print(
                f"{self.config.task}: {len(lost) - len(down)} of {len(ratings)} ratings had no number from 1 to 10 in "
                "any reply, and are left out",
                flush=True,
            )


class MTBench(JudgedTask):
    """Eighty conversations of two turns (Zheng et al. 2023); the model answers the second after its first answer."""

    scores = ("score", "turn_1", "turn_2")

    def construct_requests(self, doc: dict[str, Any], ctx: Any, **kwargs: Any) -> Any:
        """Return the request for the first turn, at the temperature of its category."""
        request = super().construct_requests(doc, ctx, **kwargs)
        request.arguments = (request.arguments[0], self._settings(doc))
        return request

    def _settings(self, doc: Mapping[str, Any]) -> dict[str, Any]:
        temperature = TEMPERATURES.get(doc["category"], 0.0)
        return {**self.config.generation_kwargs, "do_sample": temperature > 0, "temperature": temperature}

    def rate(self, requests: Sequence[Instance]) -> list[list[Rating]]:
        """Return the ratings of both turns of each item."""
        assert self.judge is not None
        first = [str(request.resps[0]) for request in requests]
        answers = [[answer] for answer in first]
        longer = [place for place, request in enumerate(requests) if len(request.doc["turns"]) > 1]
        second = [self._second(requests[place], first[place]) for place in longer]
        for place, answer in zip(longer, self.lm.generate_until(second) if second else [], strict=True):
            answers[place].append(str(answer))
            requests[place].resps.append(str(answer))  # for who looks into the items
        asked = [
            prompts.mt_bench(one.doc["category"], list(one.doc["turns"])[:2], said, list(one.doc["reference"]))
            for one, said in zip(requests, answers, strict=True)
        ]
        found = iter(self.judge.rate_all([messages for turns in asked for messages in turns]))
        return [[next(found) for _ in turns] for turns in asked]

    def _second(self, request: Instance, answer: str) -> Instance:
        """Return the request for the second turn."""
        one, two = request.doc["turns"][:2]
        if self.chat:
            said = [("user", one), ("assistant", answer), ("user", two)]
            context = self.lm.apply_chat_template([{"role": role, "content": text} for role, text in said])
        else:
            context = f"{request.arguments[0]}{answer}\n\n{two}\n\n"
        metadata = (request.task_name, request.doc_id, 1)
        return Instance("generate_until", request.doc, (context, self._settings(request.doc)), 1, metadata)

    def process_results(self, doc: Mapping[str, Any], results: Sequence[Any]) -> dict[str, float]:
        """Return the mean rating of an item, and that of each turn."""
        turns = {f"turn_{place}": one.value for place, one in enumerate(results[0], 1) if one.value is not None}
        scores = super().process_results(doc, results)
        return {**{name: scores[name] for name in ("score",) if name in scores}, **turns, **scores}


class OpenRewrite(JudgedTask):
    """Texts rewritten as a sentence asks (Shu et al. 2023, OpenRewriteEval), rated by a judge."""

    def rate(self, requests: Sequence[Instance]) -> list[list[Rating]]:
        """Return the rating of each rewritten text."""
        assert self.judge is not None
        asked = [prompts.rewrite(one.doc["instruction"], one.doc["source"], str(one.resps[0])) for one in requests]
        return [[rating] for rating in self.judge.rate_all(asked)]


def turns(dataset: Any) -> Any:
    """Return the questions of MT-Bench with ``turns``, ``category`` and ``reference``.

    They are published as ``question.jsonl`` of FastChat (``turns``) and on the hub (``prompt``).
    """

    def one(row: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "turns": row.get("turns") or row["prompt"],
            "category": row["category"],
            "reference": row.get("reference") or [],
        }

    return dataset.map(one, remove_columns=dataset.column_names)


def rewritten(dataset: Any) -> Any:
    """Return the items of OpenRewriteEval with ``source``, ``instruction`` (there ``comment``) and ``target``."""

    def one(row: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "source": row["source"],
            "instruction": row.get("instruction") or row["comment"],
            "target": row["target"],
        }

    return dataset.map(one, remove_columns=dataset.column_names)
