"""Mixture policies as they were published, rules by threshold, and what people decide. No torch.

What the papers measure on training batches is measured here on held-out text, at each validation.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from core.errors import InputError
from core.interfaces import MixturePolicy
from core.policy import check_covers

from smallwright_pretrain.policies_config import (
    DecisionsConfig,
    DoReMiConfig,
    ODMConfig,
    RulesConfig,
    ShearedConfig,
)

Numbers = Mapping[str, float]
LEAST_SHARE = 1e-6
"""A reward is divided by the share, and a share can be 0."""
KEYS = ("step", "mixture", "scores", "reason", "name")


class Sheared(MixturePolicy):
    """Sheared LLaMA: ``w_i ~ w_i exp(l_i - target_i)``; the published code does so every 50 steps."""

    config: ShearedConfig

    def check(self, where: str, corpora: Sequence[str]) -> None:
        """Refuse targets that are not those of the corpora."""
        check_covers(f"{where}.targets", self.config.targets, corpora)

    def decide(self, step: int, losses_by_source: Numbers, shares: Numbers) -> dict[str, float]:
        """Return the shares, those of corpora far above their targets raised."""
        excess = {name: losses_by_source[name] - self.config.targets[name] for name in shares}
        self.told = {"reason": f"{_largest(excess)} is furthest above its target"}
        return smoothed(tilted(shares, excess), self.config.smoothing)


class DoReMi(MixturePolicy):
    """DoReMi's group DRO on a proxy model: ``w_i ~ w_i exp(eta max(l_i - reference_i, 0))``.

    The published method trains the model itself on the mean of the shares over the steps; the log has it as
    ``average``.
    """

    config: DoReMiConfig
    state: dict[str, Any]

    def check(self, where: str, corpora: Sequence[str]) -> None:
        """Refuse reference losses that are not those of the corpora."""
        check_covers(f"{where}.reference", self.config.reference, corpora)

    def decide(self, step: int, losses_by_source: Numbers, shares: Numbers) -> dict[str, float]:
        """Return the shares, those of corpora with an excess loss raised."""
        excess = {name: max(losses_by_source[name] - self.config.reference[name], 0.0) for name in shares}
        new = smoothed(
            tilted(shares, {name: self.config.step_size * value for name, value in excess.items()}),
            self.config.smoothing,
        )
        count, past = self.state.get("count", 0) + 1, self.state.get("sums", {})
        sums = {name: past.get(name, 0.0) + share for name, share in new.items()}
        self.state = {"count": count, "sums": sums}
        average = {name: round(total / count, 6) for name, total in sums.items()}
        self.told = {"reason": f"{_largest(excess)} has the largest excess loss", "average": average}
        return new


class ODM(MixturePolicy):
    """Online data mixing: ``pi_i = (1 - K eps_t) softmax(eps_(t-1) R)_i + eps_t``, with the loss as reward.

    ``R_i <- a R_i + (1 - a) l_i / pi_i`` and ``eps_t = min(1/K, sqrt(ln K / (K t)))``.
    """

    config: ODMConfig
    state: dict[str, Any]

    def decide(self, step: int, losses_by_source: Numbers, shares: Numbers) -> dict[str, float]:
        """Return the shares, those of corpora with a high loss raised, the less the longer it lasts."""
        turn, count, memory = self.state.get("turn", 0) + 1, len(shares), self.config.memory
        past = self.state.get("rewards", {})
        rewards = {
            name: memory * past.get(name, 0.0) + (1 - memory) * losses_by_source[name] / max(share, LEAST_SHARE)
            for name, share in shares.items()
        }
        self.state = {"turn": turn, "rewards": rewards}
        before, now = _exploration(turn - 1, count), _exploration(turn, count)
        by_reward = tilted(dict.fromkeys(shares, 1.0), {name: before * reward for name, reward in rewards.items()})
        self.told = {"reason": f"{_largest(rewards)} has the highest reward", "exploration": round(now, 6)}
        return {name: (1 - count * now) * share + now for name, share in by_reward.items()}


class Rules(MixturePolicy):
    """Rules by threshold, each of which acts once."""

    config: RulesConfig
    state: dict[str, Any]

    def check(self, where: str, corpora: Sequence[str]) -> None:
        """Refuse a rule about a corpus that the policy does not see."""
        for name, rule in self.config.rules.items():
            for corpus in (rule.corpus, rule.of or rule.corpus):
                check_covers(f"{where}.rules.{name}", {corpus: None}, corpora, all_of_them=False)

    def decide(self, step: int, losses_by_source: Numbers, shares: Numbers) -> dict[str, float] | None:
        """Return the shares by the first rule whose threshold is passed and which has not acted yet."""
        done = list(self.state.get("done", []))
        for name, rule in self.config.rules.items():
            loss, changed = losses_by_source[rule.corpus], rule.of or rule.corpus
            above, below = rule.above, rule.below
            passed = (above is not None and loss > above) or (below is not None and loss < below)
            if name in done or not passed or changed not in shares:
                continue
            rest = sum(share for other, share in shares.items() if other != changed)
            if rest <= 0:
                continue
            self.state = {"done": [*done, name]}
            limit = f"above {above:g}" if above is not None else f"below {below:g}"
            self.told = {"reason": f"the loss of {rule.corpus} is {limit}", "rule": name}
            return {
                other: rule.share if other == changed else share * (1 - rule.share) / rest
                for other, share in shares.items()
            }
        return None


class Decisions(MixturePolicy):
    """What people decided, from a file: each decision holds from the first measurement at its step or later."""

    config: DecisionsConfig
    state: dict[str, Any]

    def check(self, where: str, corpora: Sequence[str]) -> None:
        """Refuse a file that cannot be read, or a decision that cannot be made."""
        key = f"{where}.file={self.config.file}"
        last = 0
        for number, decision in enumerate(self._read(key), start=1):
            at = f"{key}: decision {number}"
            for name in decision:
                if name not in KEYS:
                    raise InputError(f"{at}: {name}: unknown key. Known keys: {', '.join(KEYS)}.")
            for name in ("reason", "name"):
                if not isinstance(decision.get(name), str) or not decision[name].strip():
                    raise InputError(f"{at}: has no {name}. Write why it was made, and who made it.")
            step = decision.get("step")
            if not isinstance(step, int) or isinstance(step, bool) or step <= last:
                raise InputError(f"{at}: step={step}: must be a whole number above {last}, in the order of the steps.")
            last = step
            self._check_mixture(at, decision.get("mixture"), corpora)
            scores = decision.get("scores") or {}
            if not isinstance(scores, Mapping):
                raise InputError(f"{at}: scores={scores}: must be a score by task, such as {{arc_easy: 0.41}}.")
            for task in scores:
                if task in self.config.fenced:
                    raise InputError(f"{at}: scores.{task}: is fenced (policy.fenced), and must decide nothing.")

    def _check_mixture(self, at: str, mixture: Any, corpora: Sequence[str]) -> None:
        if not isinstance(mixture, Mapping) or not mixture:
            raise InputError(f"{at}: mixture={mixture}: must be a share by corpus, such as {{web: 0.6, code: 0.4}}.")
        check_covers(f"{at}: mixture", mixture, corpora, all_of_them=False)
        wrong = {
            name: share
            for name, share in mixture.items()
            if not isinstance(share, int | float) or isinstance(share, bool) or not 0 <= share <= 1
        }
        if wrong or abs(sum(mixture.values()) - 1) > 1e-6:
            raise InputError(f"{at}: mixture={dict(mixture)}: must be shares from 0 on that sum to 1.")

    def decide(self, step: int, losses_by_source: Numbers, shares: Numbers) -> dict[str, float] | None:
        """Return the mixture of the last decision that is due and was not made yet."""
        due = [decision for decision in self._read(f"policy.file={self.config.file}") if decision["step"] <= step]
        if not due or due[-1]["step"] <= self.state.get("done", 0):
            return None
        decision = due[-1]
        self.state = {"done": decision["step"]}
        self.told = {key: decision[key] for key in ("reason", "name", "scores") if decision.get(key)}
        return {name: float(decision["mixture"].get(name, 0.0)) for name in shares}

    def _read(self, owner: str) -> list[Mapping[str, Any]]:
        try:
            content = yaml.safe_load(Path(self.config.file).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{owner}: cannot be read ({type(error).__name__}).") from error
        except yaml.YAMLError as error:
            place = getattr(error, "problem_mark", None)
            line = f" in line {place.line + 1}" if place is not None else ""
            raise InputError(f"{owner}: is no YAML{line}.") from error
        if not isinstance(content, list) or not all(isinstance(one, Mapping) for one in content):
            raise InputError(f"{owner}: must be a list of decisions, each with {', '.join(KEYS)}.")
        return content


def tilted(shares: Numbers, by: Numbers) -> dict[str, float]:
    """Return ``shares_i exp(by_i)``, brought to a sum of 1."""
    highest = max(by.values())
    weights = {name: share * math.exp(by[name] - highest) for name, share in shares.items()}
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items()}


def smoothed(shares: Numbers, part: float) -> dict[str, float]:
    """Return the shares with ``part`` of them spread evenly."""
    return {name: (1 - part) * share + part / len(shares) for name, share in shares.items()}


def _exploration(turn: int, count: int) -> float:
    return 1 / count if turn < 1 else min(1 / count, math.sqrt(math.log(count) / (count * turn)))


def _largest(values: Numbers) -> str:
    return max(values, key=lambda name: values[name])
