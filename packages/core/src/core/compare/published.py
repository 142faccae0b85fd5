"""Scores that others published, beside ours, with what differs in how they were measured.

They are in files that plugins name with the hook ``register_published_scores``. A file has tables as a paper or a model
card prints them, and says of each task what of ours it can stand beside::

    models:
      SmolLM2-135M: {parameters: 134515008}
    protocols:
      lighteval: {harness: lighteval ea46419a on vLLM, chat_template: false}
    tasks:
      ARC average: {shots: 0, metric: acc_norm, form: cloze, ours: [[arc_easy, acc_norm], [arc_challenge, acc_norm]],
                    our_form: cloze}
    tables:
      - {source: model card, protocol: lighteval, models: [SmolLM2-135M], scores: {ARC average: [43.9]}}

Scores are as published, mostly per cent. ``ours`` are tasks and metrics of lm-eval whose mean is the same thing.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from core import typed
from core.compare.sides import Score, Side
from core.errors import ConfigError, InputError, UserError, nearest
from core.registry import Registry

KIND = "published_scores"
ALL = "all"
NEAR = 2.0
"""Models of at most so many times our parameters, and at least the same part of them, are shown unasked."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Checked:
    """What a file says of one score, in its own words."""

    model: str
    parameters: int | None
    task: str
    metric: str
    shots: int | None
    """None: not stated."""
    form: str
    """How the question is put: ``cloze``, ``letters``, ``generation``."""
    value: float
    source: str
    harness: str
    chat_template: bool | None
    note: str
    our_form: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Published(_Checked):
    """One score of one model."""

    ours: tuple[tuple[str, str], ...]
    """Our tasks and metrics whose mean stands beside it; empty: none of ours is like it."""


def load(registry: Registry) -> tuple[list[Published], list[str]]:
    """Return all that the installed plugins name, and a note for each of their files that cannot be read."""
    found, notes = list[Published](), []
    for name in registry.names(KIND):
        try:
            found += read(registry.get(KIND, name).resource())
        except (UserError, ImportError) as error:
            notes.append(f"the published scores {name} are left out: {error}")
    return found, notes


def read(path: Path) -> list[Published]:
    """Return the scores of one file.

    Raises:
        InputError: it is damaged.
    """
    try:
        return list(_scores(yaml.safe_load(path.read_text(encoding="utf-8"))))
    except ConfigError as error:
        raise InputError(f"{path}: {error}") from error
    except (OSError, yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError) as error:
        said = " ".join(str(error).split())
        raise InputError(f"{path}: no file of published scores ({type(error).__name__}: {said}).") from error


def _scores(content: Mapping[str, Any]) -> Iterator[Published]:
    for table in content["tables"]:
        protocol = content["protocols"][table["protocol"]]
        for task, values in table["scores"].items():
            about = content["tasks"][task]
            for model, value in zip(table["models"], values, strict=True):
                if value is None:
                    continue
                score = {
                    "model": model,
                    "parameters": content["models"][model].get("parameters"),
                    "task": task,
                    "metric": about["metric"],
                    "shots": about["shots"],
                    "form": about["form"],
                    "value": value,
                    "source": table["source"],
                    "harness": protocol["harness"],
                    "chat_template": protocol.get("chat_template"),
                    "note": table.get("note", ""),
                    "our_form": about.get("our_form", about["form"]),
                }
                typed.build(_Checked, score, f"{task} of {model}")
                ours = tuple(_pair(pair, f"tasks.{task}.ours") for pair in about.get("ours", ()))
                yield Published(**score, ours=ours)


def _pair(pair: Any, where: str) -> tuple[str, str]:
    if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(part, str) for part in pair):
        raise ConfigError(f"{where}: write a list of pairs, [[<task>, <metric>]].")
    return pair[0], pair[1]


def beside(published: Sequence[Published], sides: Sequence[Side], wanted: str | None) -> list[dict[str, Any]]:
    """Return the rows ``published`` of ``compare.json``: scores of tasks that a side was measured on.

    Args:
        published: All that there are.
        sides: Ours.
        wanted: Part of the names of the models to show, or ``all``; None: those of about our size.

    Raises:
        InputError: no published model has such a name.
    """
    if wanted not in (None, ALL) and not any(_called(score, wanted) for score in published):
        known = list(dict.fromkeys(score.model for score in published))
        hint = nearest(str(wanted), known) or f" There are: {', '.join(known) or 'none; no plugin brings any'}."
        raise InputError(f"--published {wanted}: no such model.{hint}")
    sizes = [side.parameters for side in sides if side.parameters]
    rows = []
    for score in published:
        near = score.parameters and any(1 / NEAR <= score.parameters / size <= NEAR for size in sizes)
        if not (near if wanted is None else wanted == ALL or _called(score, wanted)):
            continue
        ours = [_ours(side, score) for side in sides]
        if any(found is not None for found in ours):
            rows.append(_row(score, ours))
    return rows


def _called(score: Published, wanted: str | None) -> bool:
    return str(wanted).lower() in score.model.lower()


def _ours(side: Side, score: Published) -> list[Score] | None:
    found = [side.scores[key] for key in score.ours if key in side.scores]
    return found if found and len(found) == len(score.ours) else None


def _row(score: Published, ours: Sequence[list[Score] | None]) -> dict[str, Any]:
    protocol = {
        "metric": score.metric,
        "shots": score.shots,
        "form": score.form,
        "harness": score.harness,
        "chat_template": score.chat_template,
    }
    return {
        "model": score.model,
        "parameters": score.parameters,
        "task": score.task,
        "metric": score.metric,
        "value": score.value,
        "source": score.source,
        "protocol": protocol,
        "note": score.note,
        "ours": [None if one is None else 100 * sum(s.row["value"] for s in one) / len(one) for one in ours],
        "differences": _differences(score, [one for found in ours if found for one in found]),
    }


def _differences(score: Published, ours: Sequence[Score]) -> list[str]:
    """Name what differs between how a score was measured and how ours were."""

    def told(of: Any) -> list[str]:
        return list(dict.fromkeys(str(value) for one in ours if (value := of(one)) is not None))

    asked = {
        "metric": (score.metric, [metric.partition(",")[0] for _, metric in score.ours]),
        "shots": ("not stated" if score.shots is None else str(score.shots), told(lambda s: s.row.get("num_fewshot"))),
        "prompt": (score.form, [score.our_form]),
        "harness": (score.harness, told(lambda s: " ".join(str(v) for v in (s.row.get("harness") or {}).values()))),
        "engine": (score.harness, told(lambda s: (s.row.get("engine") or {}).get("name"))),
    }
    differences = []
    for what, (theirs, own) in asked.items():
        known = list(dict.fromkeys(own))
        alike = what == "engine" and all(name.lower() in theirs.lower() for name in known)
        if known and known != [theirs] and not alike:
            differences.append(f"{what}: {'' if what == 'engine' else f'{theirs} there, '}{' and '.join(known)} here")
    templates = told(lambda s: s.settings.get("apply_chat_template"))
    if score.chat_template is not None and templates and templates != [str(score.chat_template)]:
        here = " and ".join("on" if used == "True" else "off" for used in templates)
        differences.append(f"chat template: {'on' if score.chat_template else 'off'} there, {here} here")
    limits = told(lambda s: s.settings.get("limit"))
    if limits:
        differences.append(f"items: all there, at most {' and '.join(limits)} of each task here")
    return differences
