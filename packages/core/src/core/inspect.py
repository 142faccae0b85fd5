# PYTHON_ARGCOMPLETE_OK
"""Look at a corpus: samples of what was kept and set aside, by step and reason, tables, scores and duplicates.
Look at an evaluation: its single items, with prompts, answers and log-probabilities.

    python -m core.inspect store/data/finemath-0123456789ab
    python -m core.inspect runs/20260101-120000-shared_ffn-finemath --html look.html
    python -m core.inspect store/data/finemath-0123456789ab --step gopher_quality --samples 10 --width 400
    python -m core.inspect store/eval/shared_ffn-nano-0123456789ab --wrong --task smallwright_word_order
    python -m core.inspect store/eval/mine-0123456789ab --disagree store/eval/other-0123456789ab --json

Takes a data artifact, finished or not, an evaluation, or the folder of a run, whose corpora it shows one after another;
with an option of an evaluation, or without a corpus, it shows those of the run. The same --seed shows the same samples.
"""

import argparse
import dataclasses
import json
import shutil
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core import cli, inspect_evaluation, pages
from core.errors import InputError, reading

if TYPE_CHECKING:  # reading documents needs the extra [data]
    from core.data.samples import Findings, Sample

BAR = 24
LIMIT = 200_000
"""Documents that are read where no limit is given."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return cli.carry_out(lambda: _main(arguments))


def _main(arguments: Sequence[str] | None) -> int:
    options = _parser().parse_args(arguments)
    asked = [name for name in inspect_evaluation.OPTIONS if getattr(options, name)]
    if asked or inspect_evaluation.is_evaluation(options.corpus) or _only_evaluates(options.corpus):
        return _show_evaluations(options)
    options.limit = LIMIT if options.limit is None else options.limit
    registry = pages.makers() if options.html is not None else None
    found = [_look(artifact, options) for artifact in _artifacts(options.corpus)]
    if registry is None:
        print("\n\n".join(render(findings, options.width) for findings in found))
        return 0
    data = {"corpora": [dataclasses.asdict(findings) for findings in found]}
    print(f"page: {pages.make(registry, 'inspect', data, options.html.resolve())}")
    return 0


def _only_evaluates(run: Path) -> bool:
    """Return whether a folder is that of a run that has evaluations, and no corpus that could be shown instead."""
    report = run / "report.json"
    if not report.is_file() or not (run / "logs").is_dir() or _read(report, _corpora_of_report) or _jobs(run):
        return False
    return bool(inspect_evaluation.in_report(run))


def _show_evaluations(options: argparse.Namespace) -> int:
    if options.html is not None or options.step is not None:
        name = "--html" if options.html is not None else "--step"
        raise InputError(f"{name}: shows corpora, not evaluations; the report of a run has a page of its items.")
    if options.disagree is not None and (options.disagree / "logs").is_dir():
        options.disagree = inspect_evaluation.artifacts_of(options.disagree)[-1]
    is_run = (options.corpus / "logs").is_dir()
    places = inspect_evaluation.artifacts_of(options.corpus) if is_run else [options.corpus]
    found = [inspect_evaluation.look(place, inspect_evaluation.wanted(options)) for place in places]
    if options.json:
        print(inspect_evaluation.as_json(found))
    else:
        print("\n\n".join(inspect_evaluation.render(one, options.width, _columns()) for one in found))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = cli.command_parser("core.inspect", __doc__)
    parser.add_argument(
        "corpus", type=Path, help="folder of a data artifact (store/data/<name>), an evaluation or a run"
    )
    parser.add_argument(
        "--samples", type=_at_least(0), default=2, metavar="N", help="documents to show of each group (2)"
    )
    parser.add_argument("--step", metavar="LABEL", help="only what this step set aside")
    parser.add_argument("--seed", type=int, default=0, help="number that chooses the samples (0)")
    parser.add_argument(
        "--width", type=_at_least(20), default=240, metavar="N", help="characters shown of each text (240)"
    )
    parser.add_argument(
        "--limit",
        type=_at_least(1),
        metavar="N",
        help=f"read about so many documents, evenly ({LIMIT}); of an evaluation the items shown "
        f"({inspect_evaluation.SHOWN})",
    )
    parser.add_argument("--html", type=Path, metavar="FILE", help="write one page instead, with longer texts")
    inspect_evaluation.add_options(parser)
    return parser


def _at_least(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"{value}: must be at least {least}")
        return value

    return number


def _look(artifact: Path, options: argparse.Namespace) -> "Findings":
    try:
        from core.data.samples import look
    except ImportError as error:
        raise InputError(f"reading documents needs pip install 'smallwright-core[data]': {error}") from error
    from tqdm import tqdm

    with tqdm(desc=artifact.name, unit=" documents", leave=False, disable=not sys.stderr.isatty()) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        return look(
            artifact,
            samples=options.samples,
            seed=options.seed,
            step=options.step,
            limit=options.limit,
            characters=5000 if options.html else options.width,
            progress=progress,
        )


def _artifacts(corpus: Path) -> list[Path]:
    """Return the data artifacts that a path names."""
    if not corpus.is_dir():
        raise InputError(
            f"{corpus}: no such folder. Give store/data/<name>, store/eval/<name>, or the folder of a run."
        )
    if not (corpus / "logs").is_dir():
        return [corpus]
    report = corpus / "report.json"
    found = _read(report, _corpora_of_report) if report.is_file() else []
    if not found:  # a run that is not finished has no report
        found = [_read(job, lambda content: Path(content["output"])) for job in _jobs(corpus)]
    if not found:
        raise InputError(f"{corpus}: this run has no data stage, and no finished evaluation.")
    return found


def _jobs(run: Path) -> list[Path]:
    return [path for path in sorted((run / "logs").glob("data*.job.json")) if not path.name.endswith(".error.json")]


def _corpora_of_report(report: Any) -> list[Path]:
    return [Path(stage["artifact"]) for stage in report["stages"] if stage["name"].split("-")[0] == "data"]


def _read(path: Path, what: Callable[[Any], Any]) -> Any:
    """Return what a function finds in a JSON file, and say so where the file is not what it should be."""
    with reading(path, "Give a folder store/data/<name> instead."):
        return what(json.loads(path.read_text(encoding="utf-8")))


def render(findings: "Findings", width: int) -> str:
    """Show findings on a terminal; what came from pages and files cannot steer it."""
    looked = "" if findings.read == findings.documents else f", {findings.read:,} of them read"
    lines = [f"{findings.name}: {findings.documents:,} documents{looked}"]
    if findings.funnel:
        lines += ["", f"{'step':20} {'in':>9} {'kept':>9}  set aside"]
        for row in findings.funnel:
            reasons = {**{f"FAILED: {reason}": n for reason, n in row["failed"].items()}, **row["rejected"]}
            shown = "; ".join(f"{count:,} {reason}" for reason, count in reasons.items())
            head = f"{row['step']:20} {row['in']:9,} {row['kept']:9,}  "
            lines += textwrap.wrap(head + shown, _columns(), subsequent_indent=" " * len(head)) or [head]
    for name, histogram in findings.scores.items():
        lines += ["", f"{name}: kept #, set aside .", *_bars(histogram)]
    for name, rows in findings.tables.items():
        lines += ["", f"{name:32} {'kept':>9} {'set aside':>9}"]
        lines += [f"{str(value)[:32]:32} {kept:9,} {aside:9,}" for value, kept, aside in rows[:12]]
        if len(rows) > 12:
            lines.append(f"... and {len(rows) - 12} more; --html shows them")
    if findings.clusters:
        lines += ["", "largest groups of duplicates"]
        for cluster in findings.clusters[:5]:
            lines.append(f"  {cluster['size']:,} documents, found by {cluster['step']}")
            for what in ("kept", "removed"):
                sample = cluster[what]
                lines.append(f"    {what:8}" + (_line(sample, width // 2) if sample else "(set aside later)"))
    for group in findings.groups:
        title = group.outcome if not group.step else f"{group.outcome} by {group.step}: {group.reason}"
        lines += ["", f"== {title} ({group.documents:,}) =="]
        for sample in group.samples:
            score = f"  score {sample.score:.2f}" if sample.score is not None else ""
            lines.append(f"-- {sample.url or sample.id}  {sample.characters:,} characters{score}")
            if error := sample.metadata.get("error"):
                lines.append(f"   {error}")
            lines += textwrap.wrap(_one_line(sample.text[:width]), _columns() - 3, initial_indent="   ",
                                   subsequent_indent="   ") or ["   (no text)"]  # fmt: skip
    return "\n".join(map(_shown, lines))


def _bars(histogram: dict[str, Any]) -> list[str]:
    low, high = histogram["range"]
    kept, aside = histogram["kept"], histogram["rejected"]
    top = max(k + r for k, r in zip(kept, aside, strict=True)) or 1
    step = (high - low) / len(kept)
    return [
        f"  {low + i * step:7.2f} {'#' * round(BAR * k / top)}{'.' * round(BAR * r / top)} {k:,} {r:,}"
        for i, (k, r) in enumerate(zip(kept, aside, strict=True))
        if k or r
    ]


def _line(sample: "Sample", width: int) -> str:
    return f"{sample.url or sample.id}  {_one_line(sample.text[:width])}"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _shown(line: str) -> str:
    return cli.printable(line).replace("\n", " ")


def _columns() -> int:
    return max(60, shutil.get_terminal_size((120, 40)).columns)


if __name__ == "__main__":
    sys.exit(main())
