# PYTHON_ARGCOMPLETE_OK
"""Compose a run from what is appended, do its stages, and write the report.

    python -m core.run +arch=shared_ffn +data=finemath
    python -m core.run +arch=gqa arch.size=smollm2-135m +data=finemath 'data.paths=[/crawl/*.warc.gz]' pretrain.nproc=8
    python -m core.run +arch=shared_ffn +data=finemath '+posttrain=[sft,dpo]'
    python -m core.run model=HuggingFaceTB/SmolLM2-135M eval=smollm2
    python -m core.run model=store/pretrain/gqa-nano-0123456789ab '+posttrain=[sft]'

+data alone curates a corpus; with +arch it trains and evaluates; with +posttrain it aligns. model= starts from a model
that exists (an artifact, a folder, a hub id); corpus=, tokenizer= and tokens= likewise. Any setting is an override
(key=value); add --config to see them all. Stages that an earlier run finished are reused; an interrupted run goes on
where it stopped when the same command is given again.
"""

import contextlib
import dataclasses
import itertools
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core import (
    alignment,
    cli,
    completion,
    compose,
    discovery,
    graph,
    names,
    observers,
    pages,
    report,
    show_config,
    store,
)
from core.data.recipe import several
from core.entries import FinishedSpec
from core.errors import ArtifactError, InputError, UserError, cannot_write, full_line, nearly_full
from core.graph import StageSpec
from core.progress import PROGRESS_FILE_VARIABLE, ProgressBar
from core.registry import Registry


@dataclasses.dataclass(frozen=True, kw_only=True)
class StageOutcome:
    """What became of a stage."""

    name: str
    status: str
    """``ran``, ``reused`` or ``failed``."""
    seconds: float
    artifact: str
    error: str | None = None


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
    pages: list[Path] = dataclasses.field(default_factory=list)
    """Pages that plugins made of the run."""


class StageFailed(Exception):
    """A stage ended without its artifact; the message is for the user."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return cli.carry_out(lambda: _main(arguments), "interrupted: give the same command to go on from here.")


def _main(arguments: Sequence[str] | None) -> int:
    parser = cli.run_parser("core.run", __doc__, completion.settings)
    parser.add_argument("--config", action="store_true", help="print all settings and what they mean, as YAML")
    options = cli.parse(parser, arguments)
    registry = discovery.load(options.plugin)
    cli.warn_about_broken(registry)
    config = compose.compose(options.overrides, registry)
    if options.config:
        print(show_config.render(config, registry))
        return 0
    given = tuple(sys.argv[1:] if arguments is None else arguments)
    return _run(config, graph.build(config, registry), registry, tuple(options.plugin), given)


def _run(
    config: Mapping[str, Any],
    stages: list[StageSpec],
    registry: Registry,
    plugin_files: tuple[str, ...],
    arguments: tuple[str, ...] = (),
) -> int:
    settings = observers.settings(config.get("observers"), registry)
    started_from = [spec.label for spec in stages if isinstance(spec, FinishedSpec) or spec.folder == "model"][:1]
    choices = [_choice(config, "arch"), _choice(config, "data"), *started_from]
    name = config.get("name") or "-".join(filter(None, choices))
    root = Path(str(config["store"])).resolve()
    with contextlib.ExitStack() as held:
        try:
            directory = _run_directory(config["run_dir"], str(name))
            run = Run(name=str(name), directory=directory, config=config, observers=settings)
            # Logs and report have the same names in every run: a second one in the same folder would mix them.
            held.enter_context(store.lock(directory, used="written to", setting="run_dir", run=run.id))
            (directory / "logs").mkdir(exist_ok=True)
            (directory / "config.json").write_text(json.dumps(config, indent=2, default=str))
        except OSError as error:
            place = config["run_dir"] or Path("runs").resolve()
            raise InputError(f"{cannot_write(error, place)} Or give another run_dir=<dir>.") from error
        return _carry_out(run, stages, root, registry, plugin_files, arguments)


def _carry_out(
    run: Run,
    stages: list[StageSpec],
    root: Path,
    registry: Registry,
    plugin_files: tuple[str, ...],
    arguments: tuple[str, ...],
) -> int:
    """Do the stages and write the report; return the exit code."""
    config, directory = run.config, run.directory
    observers.notify(registry, run.directory, "run_started", run=run)
    started = time.monotonic()
    failure, interruption = None, None
    for spec in stages:
        stage_started = time.monotonic()
        try:
            outcome = _stage(spec, run, root, plugin_files, registry)
        except KeyboardInterrupt as stopped:  # Ctrl-C, or a signal that asks the run to end: report what there is
            interruption = stopped
            outcome = _failed(spec, root, stage_started, "interrupted")
        run.stages.append(outcome)
        observers.notify(registry, run.directory, "stage_finished", run=run, stage=outcome)
        if outcome.status == "failed":
            failure = outcome
            break
    if failure is not None and interruption is None:
        print(cli.printable(f"error: stage {failure.name} failed: {failure.error}"), file=sys.stderr)
        print(f"       log: {directory / 'logs' / (failure.name + '.log')}; finished stages are kept.", file=sys.stderr)
    try:
        seconds = time.monotonic() - started
        said, written = report.write(
            run.name, directory, stages, run.stages, config, root, seconds, run.id, arguments, registry
        )
    except OSError as error:
        print(f"error: no report: {cannot_write(error, directory)}", file=sys.stderr)
        return 1
    finally:
        observers.notify(registry, run.directory, "run_finished", run=run)
    for line in alignment.losses(said["eval"]):
        print(f"warning: {line}", file=sys.stderr)
    for page in run.pages:
        print(f"report: {page}")
    if not run.pages:
        print(f"report: {written} (a page for people comes with {pages.HOW})")
    if interruption is not None:
        raise interruption
    return 0 if failure is None else 1


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


def _stage(spec: StageSpec, run: Run, root: Path, plugin_files: tuple[str, ...], registry: Registry) -> StageOutcome:
    """Reuse the artifact of a stage, or make it."""
    artifact = spec.directory(root)
    started = time.monotonic()
    try:
        # A finished artifact is only read: no lock, so that many runs can share one, also where nobody may write.
        manifest = store.read_manifest(artifact)
        if manifest is None:
            with store.lock(artifact):
                manifest = store.read_manifest(artifact)  # another run may have finished it a moment ago
                if manifest is None:
                    _make(spec, run, root, plugin_files, registry.versions())
    except BrokenPipeError:
        raise
    except (StageFailed, UserError, OSError) as error:
        message = cannot_write(error, error.filename or artifact) if isinstance(error, OSError) else str(error)
        return _failed(spec, root, started, message)
    if manifest is not None:
        _tidy(artifact)
        print(f"{spec.name:16} reused   {artifact}")
        if note := spec.other_code(manifest):
            print(f"{'':18}note: {note}")
        return StageOutcome(name=spec.name, status="reused", seconds=0.0, artifact=str(artifact))
    seconds = time.monotonic() - started
    print(f"{spec.name:16} {seconds:6.1f} s {artifact}{_outcome(artifact)}")
    return StageOutcome(name=spec.name, status="ran", seconds=round(seconds, 3), artifact=str(artifact))


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
    if "documents" in summary and summary.get("funnel"):
        lines.insert(0, f"{summary['documents']:,} documents kept of {summary['funnel'][0]['in']:,} records")
    if summary.get("dataset_forms"):
        forms = ", ".join(summary["dataset_forms"])
        lines.insert(0, f"{summary['examples']:,} examples of {summary['read_examples']:,} rows, read as {forms}")
    return "".join(f"\n{'':18}{line}" for line in lines)


def _make(spec: StageSpec, run: Run, root: Path, plugin_files: tuple[str, ...], plugins: Mapping[str, str]) -> None:
    logs = run.directory / "logs"
    job_file, log_file = logs / f"{spec.name}.job.json", logs / f"{spec.name}.log"
    progress_file, error_file = logs / f"{spec.name}.progress", job_file.with_suffix(".error.json")
    job = spec.job(root, plugin_files, plugins)
    job = dataclasses.replace(job, record={**job.record, "run": run.id})
    job.write(job_file)
    progress_file.write_text("")
    error_file.unlink(missing_ok=True)
    assert job.stage is not None
    environment = {**os.environ, **job.stage.environment(), PROGRESS_FILE_VARIABLE: str(progress_file)}
    bar = ProgressBar(progress_file, spec.name)
    with open(log_file, "wb") as log:
        # Started from the main thread: on Linux the child's death signal follows the thread that started it.
        process = subprocess.Popen(
            [sys.executable, "-m", "core.worker", str(job_file), str(os.getpid())],
            env=environment,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
        )
        try:
            while process.poll() is None:
                bar.update()
                time.sleep(0.1)
        finally:
            bar.close()
            if process.poll() is None:
                process.kill()
                process.wait()
    if process.returncode != 0:
        raise StageFailed(_reason(process.returncode, error_file, log_file))
    if store.load_manifest(job.output) is None:
        raise StageFailed("it ended without a word and without its manifest; did it call os._exit?")


def _reason(code: int, error_file: Path, log_file: Path) -> str:
    if error_file.is_file():
        failure = json.loads(error_file.read_text())
        if failure["user"]:
            return str(failure["message"])
        return f"{failure['type']}: {str(failure['message']).strip().splitlines()[0]}"
    if code == -9:
        return "it was killed (SIGKILL); when the machine ran out of memory, give it less work at a time."
    if nearly_full(log_file.parent):  # too little for the worker to say so itself
        return full_line(log_file.parent)
    if code < 0:
        return f"it was ended by {signal.Signals(-code).name}."
    tail = log_file.read_text(errors="replace").strip().splitlines()[-1:]
    return f"it ended with code {code}: {' '.join(tail) or 'it left no word; is another run using this run_dir?'}"


if __name__ == "__main__":
    sys.exit(main())
