"""The verdict of a study, from its settings and the table of its sweep alone. docs/studies.md has the rule.

The differences of each arm from the control are paired by seed. The claim that the arm is better

- holds, where the test's p-value, with Holm's correction over the arms, is below alpha;
- does not hold, where the same test the other way round is, or where the 95 % interval has no difference that is worth
  having (``smallest``), or where the arms came out the same at every seed;
- is undecided otherwise, and the number of seeds is named that would decide if the difference is as large as seen.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from core.errors import ConfigError, InputError, nearest
from core.headline import decimals
from core.significance import holm
from core.study import plan, statistics
from core.study.config import StudyConfig
from core.study.statistics import Paired

VERSION = 1
"""Of the schema of ``study.json``."""
NAME = "study.json"
HOLDS, DOES_NOT_HOLD, UNDECIDED = "holds", "does not hold", "undecided"


def judge(name: str, study: StudyConfig, shared: Sequence[str], sweep: Mapping[str, Any]) -> dict[str, Any]:
    """Return the study as ``study.json`` has it, without where the sweep lies.

    Args:
        name: Of the study.
        study: Its settings.
        shared: Overrides from the command line, for all arms.
        sweep: The table of its runs.

    Raises:
        InputError: no finished run has the metric; the message has those that there are.
    """
    runs = {(row["values"][plan.ARM], row["values"][study.seed_key]): row for row in sweep["runs"]}
    _check_metric(study, sweep["runs"])
    arms = [_arm(study, arm, shared, [runs.get((arm, str(seed))) for seed in study.all_seeds]) for arm in study.arms]
    by_name = {arm["name"]: arm for arm in arms}
    control = by_name[study.control]
    unfair = _unfair(study, arms)
    pairs = {arm: _pairs(by_name[arm], control) for arm in study.others}
    found = {
        arm: statistics.compare([study.sign * (a - b) for _, a, b in pairs[arm]], study.test)
        for arm in study.others
        if len(pairs[arm]) > 1
    }
    adjusted = dict(zip(found, holm([paired.p for paired in found.values()]), strict=True))
    opposite = dict(zip(found, holm([paired.p_opposite for paired in found.values()]), strict=True))
    comparisons: list[dict[str, Any]] = []
    for arm in study.others:
        row: dict[str, Any] = {"arm": arm, "control": study.control, "seeds": [seed for seed, *_ in pairs[arm]]}
        row["differences"] = [a - b for _, a, b in pairs[arm]]
        row |= _numbers(study, found.get(arm))
        row |= {"p_adjusted": adjusted.get(arm), "p_opposite_adjusted": opposite.get(arm)}
        comparisons.append(row)
    places = difference_places(comparisons)
    for row in comparisons:
        row |= _decide(study, row, found.get(row["arm"]), unfair, places)
    return {
        "version": VERSION,
        "name": name,
        "claim": study.claim,
        "study": dataclasses.asdict(study),
        **{key: getattr(study, key) for key in ("control", "metric", "direction", "test", "alpha", "power")},
        "arms": arms,
        "comparisons": comparisons,
        "verdict": _together([row["verdict"] for row in comparisons]),
        "sentence": " ".join(row["sentence"] for row in comparisons),
        "notes": _notes(arms, found),
    }


def _check_metric(study: StudyConfig, rows: Sequence[Mapping[str, Any]]) -> None:
    finished = [row for row in rows if row["status"] == "finished"]
    there = sorted({name for row in finished for name in row["metrics"]})
    for key, metric in [("metric=", study.metric), *(("equal.", metric) for metric in study.equal)]:
        if finished and metric not in there:
            raise InputError(
                f"{key}{metric}: no run has it.{nearest(metric, there)} There are: {', '.join(there)}. The runs are "
                f"kept: the command with another {key}<name> needs no new ones."
            )


def _arm(
    study: StudyConfig, arm: str, shared: Sequence[str], rows: Sequence[Mapping[str, Any] | None]
) -> dict[str, Any]:
    runs = [_run(study, seed, row) for seed, row in zip(study.all_seeds, rows, strict=True)]
    values = [run["value"] for run in runs if run["value"] is not None]
    return {
        "name": arm,
        "overrides": list(plan.overrides_of(study, arm, shared)),
        "own": list(study.arms[arm]),
        "runs": runs,
        "mean": fmean(values) if values else None,
        "std": stdev(values) if len(values) > 1 else None,
        "equal": {metric: _mean(metric, rows) for metric in study.equal},
    }


def _mean(metric: str, rows: Sequence[Mapping[str, Any] | None]) -> float | None:
    values = [row["metrics"][metric] for row in rows if row is not None and metric in (row["metrics"] or {})]
    return fmean(values) if values else None


def _run(study: StudyConfig, seed: int, row: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return one run of an arm; a run whose value is missing or no number has an error, which says why."""
    if row is None or row["status"] == "not started":
        return {"seed": seed, "value": None, "directory": None, "error": "not started"}
    value, error = (row["metrics"] or {}).get(study.metric), row.get("error")
    if row["status"] != "finished":
        value, error = None, error or "failed"
    elif value is None:
        error = f"it has no {study.metric}"
    elif not math.isfinite(value):
        value, error = None, f"its {study.metric} is no finite number"
    return {"seed": seed, "value": value, "directory": row["directory"], "error": error}


def _pairs(arm: Mapping[str, Any], control: Mapping[str, Any]) -> list[tuple[int, float, float]]:
    """Return seed, value of the arm and value of the control, for each seed that has both."""
    both = zip(arm["runs"], control["runs"], strict=True)
    return [(a["seed"], a["value"], b["value"]) for a, b in both if a["value"] is not None and b["value"] is not None]


def _numbers(study: StudyConfig, paired: Paired | None) -> dict[str, Any]:
    """Return what the differences say in the metric's own sign, arm minus control."""
    keys = ("mean_difference", "low", "high", "effect_size", "p", "p_opposite")
    if paired is None:
        return dict.fromkeys(keys)
    # What comes out as -0.0 is shown as 0.
    low, high = sorted((study.sign * paired.low + 0.0, study.sign * paired.high + 0.0))
    effect = None if paired.effect_size is None else study.sign * paired.effect_size
    return dict(
        zip(keys, (study.sign * paired.mean + 0.0, low, high, effect, paired.p, paired.p_opposite), strict=True)
    )


def difference_places(comparisons: Sequence[Mapping[str, Any]]) -> int:
    """Return the decimals with which all differences of a study and their limits are written."""
    return decimals(row[key] for row in comparisons for key in ("mean_difference", "low", "high"))


def value_places(arms: Sequence[Mapping[str, Any]]) -> int:
    """Return the decimals with which all values of a study's arms and their deviations are written."""
    return max(decimals(arm[key] for arm in arms) for key in ("mean", "std"))


def _decide(
    study: StudyConfig, row: Mapping[str, Any], paired: Paired | None, unfair: str | None, places: int
) -> dict[str, Any]:
    """Return ``verdict``, ``sentence`` and ``seeds_needed`` of one comparison."""
    arm, seeds = row["arm"], len(row["differences"])
    pair = f"{arm} against {study.control}"
    if paired is None:
        had = f"only {seeds} seed has" if seeds == 1 else "no seed has"
        reason = f"{had} a value for both, and at least 2 are needed"
        return _said(UNDECIDED, f"Undecided: {pair}: {reason}.")
    if unfair is not None:
        return _said(UNDECIDED, f"Undecided: {pair}: {unfair}.")
    interval = f"95 % interval of the difference {row['low']:.{places}f} to {row['high']:.{places}f}"
    figures = f"({interval}, {p_text(row['p_adjusted'])}, {seeds} seeds)"
    size = f"{abs(row['mean_difference']):.{places}f}"
    if not any(row["differences"]):
        return _said(DOES_NOT_HOLD, f"Does not hold: {pair}: the same {study.metric} at each of {seeds} seeds.")
    if study.smallest is not None and paired.high < study.smallest:
        said = f"the interval has no difference of {study.smallest:g} or more that {arm} is better by"
        return _said(DOES_NOT_HOLD, f"Does not hold: {pair}: {said} {figures}.")
    if row["p_adjusted"] < study.alpha:
        return _said(HOLDS, f"Holds: {arm} is better than {study.control} by {size} in {study.metric} {figures}.")
    if row["p_opposite_adjusted"] < study.alpha:
        worse = f"{arm} is worse than {study.control} by {size} in {study.metric}"
        return _said(DOES_NOT_HOLD, f"Does not hold: {worse} {figures}.")
    needed = _needed(study, row["differences"], paired)
    if needed is None:
        hope = f"more than {statistics.MOST_NEEDED:,} seeds would be needed if the difference is as small as seen"
    else:
        hope = f"{needed:,} seeds would decide it with a probability of {study.power:.0%} if it is as large as seen"
    return _said(UNDECIDED, f"Undecided at {seeds} seeds: {pair}: {size} {figures}; {hope}.", needed)


def _needed(study: StudyConfig, differences: Sequence[float], paired: Paired) -> int | None:
    """Return the seeds that would decide; each arm's test must stand Holm's strictest limit."""
    alpha = study.alpha / len(study.others)
    effect = paired.effect_size
    if effect is None and paired.constant:  # every seed says the same: only their number is missing
        return statistics.least_for_permutation(alpha)
    if effect is None:  # two seeds leave Hedges' correction nothing
        effect = paired.mean / stdev(differences)
    needed = statistics.seeds_needed(effect, alpha, study.power, study.test)
    return None if needed is None else max(needed, len(differences) + 1)


def _said(verdict: str, sentence: str, needed: int | None = None) -> dict[str, Any]:
    return {"verdict": verdict, "sentence": sentence, "seeds_needed": needed}


def p_text(p: float) -> str:
    """Return a p-value as papers write it: ``p = 0.031``."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def _together(verdicts: Sequence[str]) -> str:
    """A claim about several arms holds where it holds for each, and does not where it does not for one."""
    if DOES_NOT_HOLD in verdicts:
        return DOES_NOT_HOLD
    return UNDECIDED if UNDECIDED in verdicts else HOLDS


def _unfair(study: StudyConfig, arms: Sequence[Mapping[str, Any]]) -> str | None:
    """Return why the arms are not equal in what they must be, where only the runs could tell."""
    known = {arm["name"]: {key: value for key, value in arm["equal"].items() if value is not None} for arm in arms}
    for arm in arms:
        if arm["mean"] is not None and (lost := [metric for metric in study.equal if metric not in known[arm["name"]]]):
            return f"equal.{lost[0]}={study.equal[lost[0]]:g}: {arm['name']} has no such number"
    try:
        plan.check_equal(study, known)
    except ConfigError as error:
        return str(error).rstrip(".")
    return None


def _notes(arms: Sequence[Mapping[str, Any]], found: Mapping[str, Paired]) -> list[str]:
    """Return what a reader must know beside the numbers: seeds that were left out, tests that were changed."""
    notes = [
        f"{arm['name']} at seed {run['seed']} is left out, and its pair with it: {run['error']}"
        for arm in arms
        for run in arm["runs"]
        if run["value"] is None
    ]
    constant = [arm for arm, paired in found.items() if paired.constant and paired.mean]
    notes += [
        f"{arm}: the difference is the same number at every seed, for which t is not defined: p is the permutation "
        "test's, and no effect size is given"
        for arm in constant
    ]
    return notes
