"""The page of a study: its verdict, the differences by seed that it rests on, and how to make it again."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import yaml
from core.headline import duration
from core.study.verdict import difference_places, value_places

from smallwright_report import numbers, page, study_charts

TESTS = {
    "permutation": "Permutation test of the signs of the differences, one-sided",
    "paired_t": "Paired t-test, one-sided",
}
MOODS = {"holds": "good", "does not hold": "bad", "undecided": "muted"}


def render(study: Mapping[str, Any]) -> str:
    """Return the page of a ``study.json``."""
    values = {
        "title": study["name"],
        "sentence": study["sentence"],
        "mood": MOODS[study["verdict"]],
        "claim": study["claim"],
        "test": _test(study),
        "notes": study["notes"],
        "charts": [*study_charts.pairs(study), *study_charts.differences(study)],
        "arms": _arms(study),
        "comparisons": _comparisons(study["comparisons"]),
        "shown": [_arm(arm) for arm in study["arms"]],
        "runs": [_runs(arm, value_places(study["arms"])) for arm in study["arms"]],
        "made": _made(study),
        "command": study["made"]["command"],
        "yaml": yaml.safe_dump(dict(study["study"]), sort_keys=False, allow_unicode=True, width=100),
    }
    return page.fill("study.html", values, charts=bool(values["charts"]))


def _test(study: Mapping[str, Any]) -> str:
    arrow = "↓, lower is better" if study["direction"] == "lower" else "↑, higher is better"
    several = ", Holm's correction over the arms" if len(study["comparisons"]) > 1 else ""
    return (
        f"{study['metric']} {arrow}. {TESTS[study['test']]}, paired by {study['study']['seed_key']}, "
        f"alpha {study['alpha']:g}{several}."
    )


def _arms(study: Mapping[str, Any]) -> dict[str, Any]:
    shared = list(study["arms"][0]["equal"])
    arrow = "↓" if study["direction"] == "lower" else "↑"
    columns = ["arm", f"mean {arrow}", "standard deviation", "runs", "failed", *shared]
    rows = [
        [
            f"{arm['name']} (control)" if arm["name"] == study["control"] else arm["name"],
            arm["mean"],
            arm["std"],
            sum(run["value"] is not None for run in arm["runs"]),
            sum(run["value"] is None for run in arm["runs"]),
            *(_whole(arm["equal"][metric]) for metric in shared),
        ]
        for arm in study["arms"]
    ]
    places = value_places(study["arms"])
    return numbers.table(columns, rows, study["metric"], dict.fromkeys(columns[1:3], places))


def _whole(value: float | None) -> float | None:
    return int(value) if value is not None and float(value).is_integer() else value


def _comparisons(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    columns = ["", "difference", "95 % from", "95 % to", "effect size", "p", "adjusted p", "seeds", "verdict", "needed"]
    shown = [
        [
            f"{row['arm']} - {row['control']}",
            *(row[key] for key in ("mean_difference", "low", "high", "effect_size", "p", "p_adjusted")),
            len(row["differences"]),
            row["verdict"],
            row["seeds_needed"],
        ]
        for row in rows
    ]
    formats = {**dict.fromkeys(columns[1:4], difference_places(rows)), "p": "p", "adjusted p": "p"}
    return numbers.table(columns, shown, "Each arm against the control.", formats)


def _arm(arm: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": arm["name"],
        "own": " ".join(arm["own"]) or "nothing: what all arms share",
        "all": "\n".join(arm["overrides"]),
    }


def _runs(arm: Mapping[str, Any], places: int) -> dict[str, Any]:
    """Return the links of an arm's runs; a run that was not started has none."""
    runs = [
        {
            "seed": run["seed"],
            "link": f"{quote(run['directory'])}/report.html" if run["directory"] else None,
            "said": run["error"] if run["error"] else f"{run['value']:,.{places}f}",
        }
        for run in arm["runs"]
    ]
    return {"name": arm["name"], "runs": runs}


def _made(study: Mapping[str, Any]) -> list[tuple[str, str]]:
    made = study["made"]
    machine = made["machine"]
    rows = [
        ("began", made["started"].replace("T", " ").replace("Z", " UTC")),
        ("ended", made["ended"].replace("T", " ").replace("Z", " UTC")),
        ("work", duration(made["seconds"]) if made.get("seconds") else ""),
        ("machine", f"{machine.get('processor', machine['system'])}, {machine['cores']} cores"),
        ("Python", made["python"]),
        ("engines", ", ".join(f"{name} {version}" for name, version in made["engines"].items())),
        ("commit", str(made["commit"] or "")),
        ("table of the runs", study["sweep"]),
    ]
    return [(name, value) for name, value in rows if value]
