"""Look at the single items of an evaluation: ``python -m core.inspect store/eval/<name>``, on a terminal or as JSON."""

import argparse
import dataclasses
import json
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from core import samples, store
from core.cli import printable
from core.errors import InputError, MissingPluginError, nearest, reading

SHOWN = 20
"""Items shown where no limit is given."""
OPTIONS = ("task", "wrong", "right", "disagree", "subject", "json")
"""Of the command, those that an evaluation alone takes."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which items are shown."""

    task: str | None = None
    """Of this task, or of the tasks of this group."""
    subject: str | None = None
    correct: bool | None = None
    disagree: Path | None = None
    """Another evaluation, that gives another verdict of them."""
    limit: int = SHOWN


@dataclasses.dataclass(frozen=True, kw_only=True)
class Found:
    """The items of an evaluation that were wanted."""

    artifact: str
    items: int
    """In the evaluation, that are right or wrong."""
    right: int
    matching: int
    shown: Sequence[dict[str, Any]]
    """The first of them."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of an evaluation to the command's."""
    group = parser.add_argument_group("of an evaluation")
    group.add_argument("--task", metavar="NAME", help="only items of this task or group")
    group.add_argument("--subject", metavar="NAME", help="only items of this subject")
    sides = group.add_mutually_exclusive_group()
    sides.add_argument("--wrong", action="store_true", help="only items that were wrong")
    sides.add_argument("--right", action="store_true", help="only items that were right")
    group.add_argument(
        "--disagree",
        type=Path,
        metavar="EVALUATION",
        help="only items on which this other evaluation, or the last of this run, says otherwise",
    )
    group.add_argument("--json", action="store_true", help="print JSON, an item a line")


def wanted(options: argparse.Namespace) -> Wanted:
    """Return what the options of the command ask for."""
    return Wanted(
        task=options.task,
        subject=options.subject,
        correct=False if options.wrong else True if options.right else None,
        disagree=options.disagree,
        limit=SHOWN if options.limit is None else options.limit,
    )


def is_evaluation(artifact: Path) -> bool:
    """Return whether a folder has what an evaluation leaves."""
    return samples.file_of(artifact) is not None


def look(artifact: Path, wants: Wanted) -> Found:
    """Return the items of an evaluation that are wanted, in its order.

    Raises:
        InputError: no samples there or in the other evaluation, no such task or subject, or a damaged file.
    """
    file = samples.file_of(artifact)
    if file is None:
        raise InputError(f"{artifact}: has no {samples.PARQUET}. Give the folder of an evaluation: store/eval/<name>.")
    fix = "Run the evaluation again."
    other = None
    if wants.disagree is not None:
        with reading(wants.disagree, fix):
            other = samples.verdicts(wants.disagree)
    tasks: set[str] = set()
    subjects: set[str] = set()
    items = right = matching = common = 0
    shown: list[dict[str, Any]] = []
    with reading(file, fix, also=(MissingPluginError,)):
        for row in samples.read(file):
            if row.get("correct") is None:
                continue
            items, right = items + 1, right + row["correct"]
            tasks |= {str(row[name]) for name in ("task", "group") if row.get(name)}
            if row.get("subject"):
                subjects.add(row["subject"])
            if other is not None:
                theirs = other.get(samples.key(row))
                common += theirs is not None
                if theirs is None or theirs == row["correct"]:
                    continue
            if _fits(row, wants):
                matching += 1
                if len(shown) < wants.limit:
                    shown.append(row)
    _check_known("task", wants.task, tasks)
    _check_known("subject", wants.subject, subjects)
    if other is not None and not common:
        raise InputError(f"--disagree {wants.disagree}: no item in common with {artifact}. Both need the same tasks.")
    return Found(artifact=str(artifact), items=items, right=right, matching=matching, shown=shown)


def _fits(row: dict[str, Any], wants: Wanted) -> bool:
    return (
        (wants.task is None or wants.task in (row["task"], row.get("group")))
        and (wants.subject is None or wants.subject == row.get("subject"))
        and (wants.correct is None or wants.correct == row["correct"])
    )


def _check_known(option: str, name: str | None, known: set[str]) -> None:
    if name is not None and name not in known:
        said = f"There are {', '.join(sorted(known))}." if known else f"Its items have no {option}."
        raise InputError(f"--{option} {name}: no item of that {option}.{nearest(name, known)} {said}")


def as_json(found: Iterable[Found]) -> str:
    """Return the items as JSON, one a line, each with its evaluation."""
    rows = ({"evaluation": one.artifact, **row} for one in found for row in one.shown)
    return "\n".join(_without_control(json.dumps(row, ensure_ascii=False)) for row in rows)


def _without_control(line: str) -> str:
    """Return JSON with what a terminal would take for more than text written as JSON's own escapes."""
    if line.isprintable():
        return line
    return "".join(one if one.isprintable() else json.dumps(one)[1:-1] for one in line)


def render(found: Found, width: int, columns: int) -> str:
    """Show items on a terminal; what models and tasks wrote cannot steer it.

    Raises:
        InputError: an item is of another shape than items have.
    """
    with reading(Path(found.artifact), "Run the evaluation again."):
        return _render(found, width, columns)


def _render(found: Found, width: int, columns: int) -> str:
    head = f"{Path(found.artifact).name}: {found.right:,} of {found.items:,} items are right; {found.matching:,} match"
    shown = f", the first {len(found.shown):,} of them" if len(found.shown) < found.matching else ""
    lines = [head + shown]
    for row in found.shown:
        lines += ["", _title(row)]
        for name, text in _texts(row):
            text = _one_line(text)
            cut = text if len(text) <= width else f"... {text[-width:]}" if name == "prompt" else f"{text[:width]} ..."
            lines += textwrap.wrap(f"{name}: {cut}", columns - 3, initial_indent="   ", subsequent_indent="     ")
    return "\n".join(printable(line).replace("\n", " ") for line in lines)


def _title(row: dict[str, Any]) -> str:
    parts = ["right" if row["correct"] else "WRONG", row["task"], row["id"], row.get("subject"), row.get("filter")]
    tokens = f"{row['prompt_tokens']} tokens" if row.get("prompt_tokens") else None
    cut = f"CUT, {row.get('lost_fewshots', 0)} examples lost" if row.get("cut") else None
    return "-- " + "  ".join(str(part) for part in (*parts, tokens, cut) if part)


def _texts(row: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if row.get("prompt"):
        yield "prompt", row["prompt"]
    chances = row.get("loglikelihoods") or []
    for place, text in enumerate(row.get("choices") or [""] * len(chances)):
        marks = [word for word, where in (("right", row.get("label")), ("chosen", row.get("chosen"))) if where == place]
        chance = f"{chances[place]:9.3f}" if place < len(chances) else ""
        yield f"{chance}{' (' + ', '.join(marks) + ')' if marks else ''}", text
    for text in row.get("answers") or []:
        yield "answer", text or "(empty)"
    for text in row.get("extracted") or []:
        yield "taken from it", text
    if row.get("gold") and row.get("label") is None:
        yield "right", row["gold"]


def _one_line(text: str) -> str:
    return " ".join(text.split())


def artifacts_of(run: Path) -> list[Path]:
    """Return the evaluations of a run, from its report.

    Raises:
        InputError: it has none.
    """
    found = in_report(run)
    if not found:
        raise InputError(f"{run}: no finished evaluation in this run. Give a folder store/eval/<name>.")
    return found


def in_report(run: Path) -> list[Path]:
    """Return the finished evaluations that a run's report names; of a run without a report none."""
    path = run / "report.json"
    if not path.is_file():
        return []
    with reading(path, "Give a folder store/eval/<name> instead."):
        stages = json.loads(path.read_text(encoding="utf-8"))["stages"]
        places = [Path(stage["artifact"]) for stage in stages if stage["name"].partition("-")[0] == "eval"]
        return [place for place in places if (place / store.MANIFEST).is_file()]
