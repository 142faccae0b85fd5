"""The log of a mixture policy, and the mixtures that follow from it. No torch: the account reads it, too.

A line is written each time the policy is asked. The feed follows the lines and nothing else, so that a training which
goes on where it was killed reads the same data.
"""

import json
import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from core.interfaces import MixturePolicy

from smallwright_pretrain.mixture import Changes, StageData

DECISIONS = "decisions.jsonl"
"""In the artifact: what the policy was asked and said."""
UNIT = 10_000
"""Shares are whole numbers of this: an order of as many sequences takes a hundredth of a second to make."""
TOLERANCE = 1e-6

Lines = Sequence[Mapping[str, Any]]


def changes(lines: Lines, stages: Sequence[StageData]) -> dict[int, list[tuple[int, dict[str, Fraction]]]]:
    """Return the mixtures that the lines of a log lead to.

    A stage with the mixture of the stage before it goes on with what that one came to.
    """
    found: dict[int, list[tuple[int, dict[str, Fraction]]]] = {}
    for line in lines:
        if line["after"] is not None and line["stage"] < len(stages):
            shares = {name: Fraction(str(share)) for name, share in line["after"].items()}
            found.setdefault(line["stage"], []).append((line["position"], shares))
    for number, stage in enumerate(stages):
        earlier = found.get(number - 1)
        own = found.get(number, [])
        if earlier and stages[number - 1].mixture == stage.mixture and not (own and own[0][0] == 0):
            found[number] = [(0, earlier[-1][1]), *own]
    return found


def in_force(changed: Changes, stage: int, position: int, declared: Mapping[str, float]) -> dict[str, float]:
    """Return the share of each corpus at a position of a stage.

    Args:
        declared: Of the stage; they are brought to a sum of 1.
    """
    before = [shares for start, shares in changed.get(stage, ()) if start <= position]
    if before:
        return {name: float(share) for name, share in before[-1].items()}
    total = sum(declared.values())
    return {name: share / total for name, share in declared.items()}


def ask(
    policy: MixturePolicy, step: int, losses: Mapping[str, float], shares: Mapping[str, float], state: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the line of a log: what the policy is asked, what it says, and what it then remembers.

    Args:
        policy: It does not see what is fenced.
        step: After which was measured.
        losses: By corpus.
        shares: Of the next batch, sum 1.
        state: What it remembers.

    Returns:
        ``after`` is None where the mixture stays as it is; ``refused`` says why an answer was none.
    """
    seen = {name: share for name, share in shares.items() if name not in policy.fenced}
    whole = sum(seen.values())
    line: dict[str, Any] = {
        "step": step,
        "losses": {name: loss for name, loss in losses.items() if name not in policy.fenced},
        "before": dict(shares),
        "after": None,
    }
    policy.state, policy.told = dict(state), {}
    try:
        if len(seen) < 2 or whole <= 0:
            answer = None
        else:
            part = {name: share / whole for name, share in seen.items()}
            answer = policy.decide(step, dict(line["losses"]), part)
        json.dumps([policy.told, policy.state])
        if answer is not None:
            _check(answer, seen)
            new = rounded({**shares, **{name: whole * float(answer.get(name, 0.0)) for name in seen}})
            line["after"] = new if new != rounded(shares) else None
    except Exception as error:  # a mistake of the policy must not end a training of weeks
        policy.state, policy.told = dict(state), {}
        line |= {"after": None, "refused": f"{type(error).__name__}: {error}"}
    return {**policy.told, **line, "state": policy.state}


def _check(answer: Any, seen: Mapping[str, float]) -> None:
    if not isinstance(answer, Mapping):
        raise TypeError(f"the answer is {type(answer).__name__} and no share by corpus")
    unknown = [str(name) for name in answer if name not in seen]
    if unknown:
        raise ValueError(f"the answer names {', '.join(unknown)}, and the mixture has {', '.join(seen)}")
    if any(not math.isfinite(share) or share < 0 for share in answer.values()):
        raise ValueError(f"the answer has shares that are negative or no numbers: {dict(answer)}")
    if abs(sum(answer.values()) - 1) > TOLERANCE:
        raise ValueError(f"the shares of the answer sum to {sum(answer.values()):.7g}")


def rounded(shares: Mapping[str, float]) -> dict[str, float]:
    """Return shares as whole numbers of :data:`UNIT` that sum to 1, by the largest remainder; 0 alone stays 0."""
    total = sum(Fraction(share) for share in shares.values())
    ideal = {name: Fraction(share) / total * UNIT for name, share in shares.items()}
    counts = {name: max(math.floor(value), 1 if value > 0 else 0) for name, value in ideal.items()}
    while (missing := UNIT - sum(counts.values())) != 0:
        sign = 1 if missing > 0 else -1
        changeable = [name for name, count in counts.items() if ideal[name] > 0 and count + sign > 0]
        name = max(changeable, key=lambda name: sign * (ideal[name] - counts[name]))
        counts[name] += sign
    return {name: count / UNIT for name, count in counts.items()}


def decisions(lines: Lines) -> list[dict[str, Any]]:
    """Return what a summary says of a log: the changes, and the answers that were refused."""
    return [
        {key: value for key, value in line.items() if key != "state"}
        for line in lines
        if line["after"] is not None or "refused" in line
    ]


def notes(made: Lines) -> list[str]:
    """Return what a user should know of the decisions."""
    changed = [line for line in made if line["after"] is not None]
    refused = [line for line in made if "refused" in line]
    said = []
    if changed:
        last = changed[-1]
        shares = ", ".join(f"{name} {share:.2%}" for name, share in last["after"].items())
        times = "once" if len(changed) == 1 else f"{len(changed)} times"
        said.append(f"policy {last['policy']} changed the mixture {times}, last after step {last['step']}: {shares}.")
    if refused:
        first = refused[0]
        said.append(
            f"policy {first['policy']}: {len(refused)} answers were not taken, the first after step {first['step']} "
            f"({first['refused']}); the mixture stayed as it was."
        )
    return said
