"""Do the stages of one run, each in a process of its own or reused, and write the report."""

import contextlib
import dataclasses
import itertools
import json
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core import headline, names, observers, receipt, report, store, writing
from core.data.recipe import several
from core.entries import FinishedSpec
from core.errors import ArtifactError, InputError, UserError, cannot_write
from core.following import Following
from core.graph import StageSpec
from core.interfaces import Job, Tracker
from core.registry import Registry
from core.workers import StageFailed, Workers


@dataclasses.dataclass(frozen=True, kw_only=True)
class StageOutcome:
    """What became of a stage."""

    name: str
    status: str
    """``ran``, ``reused`` or ``failed``."""
    seconds: float
    artifact: str
    error: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class StageWork:
    """The work of a stage that makes its artifact now."""

    name: str
    """Name of the stage in this run, such as ``pretrain``."""
    folder: str
    """What it makes, as the folder of the store: ``data``, ``tokenizer``, ``pretrain``, ``posttrain``, ``eval``, ..."""
    artifact: Path
    began: str
    """Id of the run that began the artifact: another than this run's where it goes on with what a killed one left."""

    @property
    def key(self) -> str:
        """Names this making of this artifact and no other, also in a run that goes on with it."""
        return "-".join([self.name, self.artifact.name.rpartition("-")[2], self.began.rpartition("-")[2]])


@dataclasses.dataclass
class Run:
    """A run: what observers get."""

    name: str
    directory: Path
    config: Mapping[str, Any]
    stages: list[StageOutcome] = dataclasses.field(default_factory=list)
    id: str = dataclasses.field(default_factory=lambda: f"{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:8]}")
    """Names this run and no other, also beside runs of the same name and folder: ``20260101-120000-1a2b3c4d``."""
    observers: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Settings of each plugin that observes and has some, by its name: built, as its dataclass."""
    trackers: Mapping[str, Tracker] = dataclasses.field(default_factory=dict)
    """Those that the run chose, by name."""
    is_shared: bool = False
    """Whether it does only stages that several runs of a sweep share: trackers are told of it, observers are not."""
    failures: dict[tuple[str, str], int] = dataclasses.field(default_factory=dict)
    """How often an observer or a tracker failed, by its name and the hook."""
    pages: list[Path] = dataclasses.field(default_factory=list)
    """Pages that plugins made of the run."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Work:
    """What the stages of a run are done with."""

    root: Path
    """The store."""
    registry: Registry
    plugin_files: tuple[str, ...] = ()
    workers: Workers
    waits: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ended:
    """How a run ended."""

    run: Run
    failure: StageOutcome | None
    """The stage that failed, or was interrupted."""
    interruption: KeyboardInterrupt | None
    report: Mapping[str, Any] | None = None
    """None: it could not be written, for the reason in ``trouble``."""
    written: Path | None = None
    trouble: str = ""


def perform(
    config: Mapping[str, Any],
    stages: list[StageSpec],
    registry: Registry,
    plugin_files: tuple[str, ...],
    arguments: tuple[str, ...],
    workers: Workers,
    *,
    waits: bool = False,
) -> Ended:
    """Do the stages of a checked run and write its report; print a line for each stage.

    Args:
        config: The composed configuration.
        stages: What the graph made of it.
        registry: What is installed.
        plugin_files: Local files given with ``--plugin``.
        arguments: Of the command that does this run alone, for the report.
        workers: Does the stages' work.
        waits: Whether to wait for a stage that another process makes now, as a sweep does, or to fail with a line.

    Raises:
        core.errors.UserError: the run's folder cannot be used.
    """
    settings = observers.settings(config.get("observers"), registry)
    trackers = observers.trackers(config, registry)
    name = "-".join(filter(None, name_parts(config, stages)))
    root = Path(str(config["store"])).resolve()
    with contextlib.ExitStack() as held:
        try:
            directory = _run_directory(config["run_dir"], name)
            run = Run(name=name, directory=directory, config=config, observers=settings, trackers=trackers)
            # Logs and report have the same names in every run: a second one in the same folder would mix them.
            held.enter_context(store.lock(directory, used="written to", setting="run_dir", run=run.id))
            (directory / "logs").mkdir(exist_ok=True)
            (directory / "config.json").write_text(json.dumps(config, indent=2, default=str))
        except OSError as error:
            place = config["run_dir"] or Path("runs").resolve()
            raise InputError(f"{cannot_write(error, place)} Or give another run_dir=<dir>.") from error
        work = Work(root=root, registry=registry, plugin_files=plugin_files, workers=workers, waits=waits)
        return _carry_out(run, stages, work, arguments)


def name_parts(config: Mapping[str, Any], stages: Sequence[StageSpec]) -> list[str | None]:
    """Return what a run's name is made of: the name that it was given, or its choices."""
    if config.get("name"):
        return [str(config["name"])]
    started_from = [spec.label for spec in stages if isinstance(spec, FinishedSpec) or spec.folder == "model"][:1]
    return [_choice(config, "arch"), _choice(config, "data"), *started_from]


def _carry_out(run: Run, stages: list[StageSpec], work: Work, arguments: tuple[str, ...]) -> Ended:
    """Do the stages and write the report."""
    observers.notify(work.registry, run.directory, "run_started", run=run)
    started = time.monotonic()
    failure, interruption = None, None
    for spec in stages:
        stage_started = time.monotonic()
        try:
            outcome = do_stage(spec, run, work)
        except KeyboardInterrupt as stopped:  # Ctrl-C, or a signal that asks the run to end: report what there is
            interruption = stopped
            outcome = _failed(spec, work.root, stage_started, "interrupted")
        run.stages.append(outcome)
        observers.notify(work.registry, run.directory, "stage_finished", run=run, stage=outcome)
        if outcome.status == "failed":
            failure = outcome
            break
    ended = Ended(run=run, failure=failure, interruption=interruption)
    seconds = time.monotonic() - started
    try:
        said, written = report.write(
            run.name, run.directory, stages, run.stages, run.config, work.root, seconds, run.id, arguments,
            work.registry,
        )  # fmt: skip
        ended = dataclasses.replace(ended, report=said, written=written)
    except OSError as error:
        ended = dataclasses.replace(ended, trouble=f"no report: {cannot_write(error, run.directory)}")
    finally:
        observers.notify(work.registry, run.directory, "run_finished", run=run)
        observers.conclude(run.failures)
    return ended


def _run_directory(given: str | None, name: str) -> Path:
    """Return the folder of this run: the given one, or a new one that no run of the same second has."""
    if given:
        return Path(given).resolve()
    base = Path("runs", f"{time.strftime('%Y%m%d-%H%M%S')}-{names.shorten(name)}").resolve()
    for number in itertools.count(1):
        directory = base if number == 1 else base.with_name(f"{base.name}-{number}")
        try:
            directory.mkdir(parents=True)
        except FileExistsError:
            continue
        return directory
    raise AssertionError("unreachable")


def _choice(config: Mapping[str, Any], group: str) -> str | None:
    if group not in config:
        return None
    node = config[group]
    return "+".join(node) if several(node) else str(node.get("name", group))


def do_stage(spec: StageSpec, run: Run, work: Work) -> StageOutcome:
    """Reuse the artifact of a stage, or make it."""
    artifact = spec.directory(work.root)
    started = time.monotonic()
    try:
        # A finished artifact is only read: no lock, so that many runs can share one, also where nobody may write.
        manifest = store.read_manifest(artifact)
        if manifest is None or store.lacks(manifest):
            with _held(spec, artifact, waits=work.waits):
                manifest = store.read_manifest(artifact)  # another run may have finished it a moment ago
                if manifest is not None and store.lacks(manifest):
                    store.reopen(artifact)
                    manifest = None
                if manifest is None:
                    job = spec.job(work.root, work.plugin_files, work.registry.versions())
                    _make(job, spec, run, work)
    except BrokenPipeError:
        raise
    except (StageFailed, UserError, OSError) as error:
        message = cannot_write(error, error.filename or artifact) if isinstance(error, OSError) else str(error)
        return _failed(spec, work.root, started, message)
    if manifest is not None:
        _tidy(artifact)
        print(f"{spec.name:16} reused   {artifact}{_listed(_scores(manifest.get('summary') or {}))}")
        if note := spec.other_code(manifest):
            print(f"{'':18}note: {note}")
        return StageOutcome(name=spec.name, status="reused", seconds=0.0, artifact=str(artifact))
    seconds = time.monotonic() - started
    print(f"{spec.name:16} {seconds:6.1f} s {artifact}{_outcome(artifact)}")
    return StageOutcome(name=spec.name, status="ran", seconds=round(seconds, 3), artifact=str(artifact))


def _make(job: Job, spec: StageSpec, run: Run, work: Work) -> None:
    """Make an artifact, and tell those who follow the run what it logs."""
    stage = StageWork(name=spec.name, folder=spec.folder, artifact=job.output, began=_began(job.output, run.id))
    job = dataclasses.replace(job, record={**job.record, "run": run.id, "began": stage.began})
    for key, found in spec.followed.items():
        print(f"{spec.name:16} {key}={found.value}: {found.source}")
    observers.notify(work.registry, run.directory, "stage_started", run=run, stage=stage)
    logs = run.directory / "logs"
    logged = Following(job.output, logs / f"{spec.name}.told.json")

    def look() -> None:
        if records := logged.new():
            observers.notify(work.registry, run.directory, "metrics_logged", run=run, stage=stage, records=records)
            logged.remember()

    with contextlib.closing(logged):
        work.workers.do(job, logs, look, receipt.Meter(spec) if spec.folder == "pretrain" else None)
    if logged.unreadable:
        print(f"{spec.name:16} {logged.unreadable:,} lines of metrics could not be read, and nobody was told of them")


def _began(artifact: Path, run: str) -> str:
    """Return the id of the run that began an unfinished artifact; the note goes with its unfinished work."""
    note = artifact / store.WORK / "began.json"
    try:
        return str(json.loads(note.read_text(encoding="utf-8"))["run"])
    except (OSError, ValueError, LookupError, TypeError):
        writing.write_json(note, {"run": run})
        return run


def _held(spec: StageSpec, artifact: Path, *, waits: bool) -> contextlib.AbstractContextManager[None]:
    """Return a lock of an artifact that is to be made."""

    def say() -> None:
        print(f"{spec.name:16} waits for another process, which makes {artifact}", file=sys.stderr, flush=True)

    return store.waiting_lock(artifact, say) if waits else store.lock(artifact)


def _failed(spec: StageSpec, root: Path, started: float, message: str) -> StageOutcome:
    seconds = round(time.monotonic() - started, 3)
    artifact = str(spec.directory(root))
    return StageOutcome(name=spec.name, status="failed", seconds=seconds, artifact=artifact, error=message)


def _tidy(artifact: Path) -> None:
    """Remove what a run that was killed behind its manifest left, unless another run does so now or nobody may."""
    if store.has_leftovers(artifact):
        with contextlib.suppress(ArtifactError, OSError), store.lock(artifact):
            store.tidy(artifact)


def _outcome(artifact: Path) -> str:
    """What came out, in a few words, where there is something short to say, and what the stage notes."""
    summary = (store.load_manifest(artifact) or {}).get("summary") or {}
    notes = summary.get("notes")
    lines = [f"note: {note}" for note in notes] if isinstance(notes, list) else []
    lines += [f"PARTIAL RESULT: {lack}. {report.GOES_ON}" for lack in store.lacks({"summary": summary})]
    if "documents" in summary and summary.get("funnel"):
        lines.insert(0, f"{summary['documents']:,} documents kept of {summary['funnel'][0]['in']:,} records")
    if summary.get("dataset_forms"):
        forms = ", ".join(summary["dataset_forms"])
        lines.insert(0, f"{summary['examples']:,} examples of {summary['read_examples']:,} rows, read as {forms}")
    return _listed(_scores(summary) + lines)


def _scores(summary: Mapping[str, Any]) -> list[str]:
    """Return a line for each score of an evaluation, which is what its user waits for, also where it is reused."""
    rows = summary.get("eval")
    return headline.scores(rows) if isinstance(rows, list) else []


def _listed(lines: Sequence[str]) -> str:
    return "".join(f"\n{'':18}{line}" for line in lines)
