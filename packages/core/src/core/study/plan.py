"""The runs of a study, and what can be known to be wrong with them before any work."""

from collections.abc import Iterable, Mapping, Sequence

from core.choices import key_of
from core.errors import ConfigError, nearest
from core.stage_spec import StageSpec
from core.study.config import StudyConfig, check_overrides
from core.sweep.plan import Planned
from core.sweep.points import Point

ARM = "arm"
"""Column of the sweep's table with the name of the arm."""


def points(study: StudyConfig, shared: Sequence[str]) -> list[Point]:
    """Return a run for each seed and arm, seed by seed, so that a study that is stopped has whole pairs.

    Args:
        study: The settings.
        shared: Overrides from the command line, for all arms; they win over the study's.
    """
    check_overrides(tuple(shared), study.seed_key)
    return [
        Point(
            overrides=(*overrides_of(study, arm, shared), f"{study.seed_key}={seed}"),
            values={ARM: arm, study.seed_key: str(seed)},
        )
        for seed in study.all_seeds
        for arm in study.arms
    ]


def overrides_of(study: StudyConfig, arm: str, shared: Sequence[str] = ()) -> tuple[str, ...]:
    """Return all overrides of an arm; of several with one key the last one: the command line, the arm, the base."""
    by_key: dict[str, str] = {}
    for override in (*study.base, *study.arms[arm], *shared):
        by_key[key_of(override)] = override
    return tuple(by_key.values())


def check(study: StudyConfig, planned: Sequence[Planned]) -> None:
    """Refuse what compares nothing, or not what is claimed; two runs that are the same are refused before.

    Args:
        study: The settings.
        planned: The runs, in the order of :func:`points`.

    Raises:
        ConfigError: a metric of a stage that a run does not have, arms that differ in what must be equal.
    """
    runs = {(run.point.values[ARM], run.point.values[study.seed_key]): run for run in planned}
    first = str(study.all_seeds[0])
    for arm in study.arms:
        for place, metric in [("metric=", study.metric), *(("equal.", metric) for metric in study.equal)]:
            _check_metric(f"{place}{metric}", metric, runs[arm, first].stages, arm)
    check_equal(study, {arm: known(runs[arm, first].stages) for arm in study.arms})


def known(stages: Iterable[StageSpec]) -> dict[str, float]:
    """Return the metrics of a run that planning knows: of the training its parameters and tokens."""
    found: dict[str, float] = {}
    for spec in stages:
        if spec.folder != "pretrain" or spec.architecture is None:
            continue
        built = spec.architecture.build()
        found[f"{spec.name}.stored_parameters"] = built.parameters()
        found[f"{spec.name}.executed_parameters"] = built.executed_parameters()
        found[f"{spec.name}.tokens"] = spec.build().plan(built)["tokens"]
    return found


def check_equal(study: StudyConfig, arms: Mapping[str, Mapping[str, float]]) -> None:
    """Refuse arms that differ by more than the study allows in what must be equal.

    Args:
        study: The settings.
        arms: What is known of each arm, by metric; what is not known is not looked at.

    Raises:
        ConfigError: naming the metric and both values.
    """
    for metric, share in study.equal.items():
        if metric not in arms[study.control]:
            continue
        reference = arms[study.control][metric]
        for arm in study.others:
            value = arms[arm].get(metric, reference)
            if abs(value - reference) > share * abs(reference):
                apart = abs(value - reference) / abs(reference) if reference else 1.0
                raise ConfigError(
                    f"equal.{metric}={share:g}: {arm} has {value:,.10g} and {study.control} {reference:,.10g}, "
                    f"{apart:.2%} apart. Change an arm, or the share."
                )


def _check_metric(said: str, metric: str, stages: Sequence[StageSpec], arm: str) -> None:
    """Refuse a metric of a stage that the run does not have, or of an evaluation where there is none.

    What else a stage measures is known when it has run.
    """
    first = metric.partition(".")[0]
    there = [*dict.fromkeys(["data", *(spec.name for spec in stages)])]
    if first not in there:
        raise ConfigError(
            f"{said}: the arm {arm} has no stage {first}.{nearest(first, there)} A metric begins with one of "
            f"{', '.join(there)}."
        )
    if metric.count(".") > 1 and not any(spec.folder == "eval" for spec in stages):
        raise ConfigError(f"{said}: of an evaluation, and the arm {arm} has none. Leave out what drops eval.")
    if "." not in metric:
        raise ConfigError(f"{said}: of a stage, and what of it: {first}.<name>, such as {first}.seconds.")
