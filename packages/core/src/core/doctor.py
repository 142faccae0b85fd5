# PYTHON_ARGCOMPLETE_OK
"""Say what of a run would fail on this machine, before it is queued; nothing of the run is done.

    python -m core.doctor +arch=gqa arch.size=smollm2-135m
    python -m core.doctor +experiment=mobillama_0_5b +hardware=gpu8
    python -m core.doctor +arch=gqa arch.size=smollm2-1.7b pretrain.tensor_parallel=2 --layout 64

It looks at versions, clocks, and the disks of the store and of temporary files; has the ranks of this machine send one
another data; and trains a few steps on random tokens with the run's own settings. With --layout it does no such step:
it builds the model as one of N GPUs would hold it, for machines that are not here, and does a short step on one CPU.
The exit code is 1 where something would fail.
"""

import contextlib
import dataclasses
import importlib.metadata
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from core import cli, completion, discovery
from core.errors import UserError, cannot_write
from core.finding import Finding
from core.graph import StageSpec
from core.interfaces import Job, Trainer
from core.planning import needs
from core.registry import Registry
from core.sweep import single

TRIED_BYTES = 64 * 2**20
"""Written and read again, to time a disk."""
CLOCK_SECONDS = 2.0
"""By so much the clocks of this machine and of a file server may differ: some keep times in whole seconds."""
GIB = 2**30


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return cli.carry_out(lambda: _main(arguments))


def _main(arguments: Sequence[str] | None) -> int:
    parser = cli.run_parser("core.doctor", __doc__, completion.settings)
    parser.add_argument(
        "--layout",
        type=int,
        metavar="N",
        help="the model as one of N GPUs holds it, and no steps here",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = cli.parse(parser, arguments)
    registry = discovery.load(options.plugin)
    cli.warn_about_broken(registry)
    layout = [] if options.layout is None else [f"pretrain.nproc={options.layout}", "pretrain.nodes=1"]
    run = single.composed([*options.overrides, *layout], registry, check=False, without_corpus=True)
    found = []
    for finding in examine(run.stages, run.config, registry, tuple(options.plugin), options.layout):
        found.append(finding)
        if not options.json:
            print(line(finding), flush=True)
    if options.json:
        print(json.dumps([dataclasses.asdict(finding) for finding in found], indent=2))
    return int(any(finding.fault for finding in found))


def line(finding: Finding) -> str:
    """Return a finding as it is shown."""
    said = "ok" if finding.fault is None else f"FAILS: {finding.fault}"
    return cli.printable(f"{finding.name:24} {finding.figure:44} {said}")


def examine(
    stages: Sequence[StageSpec],
    config: Mapping[str, Any],
    registry: Registry,
    plugin_files: tuple[str, ...] = (),
    layout: int | None = None,
) -> Iterator[Finding]:
    """Look at this machine for a run, and yield what is found as it is found."""
    yield versions()
    trainings = [spec for spec in stages if spec.entry.kind == "trainers" and spec.architecture is not None]
    root = Path(str(config["store"]))
    plans = [needs.trainer(spec).plan(spec.architecture.build()) for spec in trainings if spec.architecture is not None]
    needed = sum(plan.get("disk_bytes", 0) for plan in plans) + needs.copied_bytes(stages, root)
    checkpoint = max((plan.get("checkpoint_bytes", 0) for plan in plans), default=0)
    yield from disk("store", _existing(root), needed, checkpoint, needs.beforehand(trainings, root))
    yield from disk("temporary files", Path(tempfile.gettempdir()))
    for spec, plan in zip(trainings, plans, strict=True):
        if layout is None:
            yield memory(spec.name, plan)
        with tempfile.TemporaryDirectory(prefix="doctor-") as folder:
            job = dataclasses.replace(spec.job(root, plugin_files, registry.versions()), output=Path(folder), inputs={})
            yield from _of_training(spec, job, layout)


def _of_training(spec: StageSpec, job: Job, layout: int | None) -> Iterator[Finding]:
    stage = job.stage
    if not isinstance(stage, Trainer):
        return
    try:
        if layout is None:
            stage.check_here(spec.name)
    except UserError as error:
        yield Finding(name=spec.name, figure="", fault=str(error))
    yield from stage.doctor(job, layout)


def versions() -> Finding:
    """Compare what is installed with what the installed packages of this project ask for."""
    wrong, seen = [], 0
    for distribution in importlib.metadata.distributions():
        if not distribution.name.startswith("smallwright"):
            continue
        for text in distribution.requires or ():
            asked = Requirement(text)
            if asked.marker is not None and not asked.marker.evaluate({"extra": ""}):
                continue
            seen += 1
            try:
                here = importlib.metadata.version(asked.name)
            except importlib.metadata.PackageNotFoundError:
                wrong.append(f"{asked.name} is missing")
                continue
            if not asked.specifier.contains(here, prereleases=True):
                wrong.append(f"{asked.name} {here} is not {asked.specifier}")
    fault = f"{'; '.join(sorted(set(wrong)))}. Install them with pip." if wrong else None
    return Finding(name="versions", figure=f"{seen} requirements", fault=fault)


def disk(
    name: str, folder: Path, needed: int = 0, checkpoint: int = 0, before: needs.Beforehand | None = None
) -> Iterator[Finding]:
    """Look at space, speed and clock of the disk of a folder.

    Args:
        needed: Bytes that the run will write there, those of ``before`` left out.
        checkpoint: Bytes of one checkpoint.
        before: What comes before the trainings, and is written there, too.
    """
    free, fault, taught = shutil.disk_usage(folder).free, None, before or needs.Beforehand()
    needed += int(taught.disk_bytes)
    wants = f", the run keeps {needed / GIB:.1f}" if needed else ""
    wants += f" and {', '.join(taught.unknown)}" if taught.unknown else ""
    if free < needed:
        fewer = "keep fewer checkpoints (pretrain.keep_latest)"
        if taught.disk_bytes:
            fewer += f", or less than {taught.disk_bytes / GIB:.1f} GiB of the teacher (pretrain.distill.top_k)"
        fault = f"the run keeps {needed / GIB:.1f} GiB there. Free space, give another place, or {fewer}."
    yield Finding(name=f"space, {name}", figure=f"{free / GIB:.1f} GiB free{wants}", fault=fault)
    place = folder / f".doctor-{os.getpid()}"
    try:
        seconds, clock = _written(place)
    except OSError as error:
        yield Finding(name=f"speed, {name}", figure=str(folder), fault=cannot_write(error, folder))
        return
    finally:
        with contextlib.suppress(OSError):
            place.unlink(missing_ok=True)
    speed = TRIED_BYTES / seconds
    takes = f", a checkpoint {checkpoint / speed:.1f} s" if checkpoint else ""
    yield Finding(name=f"speed, {name}", figure=f"{speed / 1e6:.0f} MB/s written{takes}")
    fault = None
    if abs(clock) > CLOCK_SECONDS:
        fault = "files would seem to be of another time. Have both keep time by NTP."
    yield Finding(name=f"clock, {name}", figure=f"{clock:+.1f} s from this machine's", fault=fault)


def _written(place: Path) -> tuple[float, float]:
    """Write a file to the disk itself; return the seconds, and by how many its clock is ahead of this machine's."""
    block = os.urandom(2**20)
    started = time.perf_counter()
    with place.open("wb") as file:
        for _ in range(TRIED_BYTES // len(block)):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    return time.perf_counter() - started, place.stat().st_mtime - time.time()


def memory(name: str, plan: Mapping[str, Any]) -> Finding:
    """Compare what the plan says with what this machine has, where the ranks compute on its CPU."""
    needed = plan["memory_bytes"] * plan.get("ranks_here", 1)
    if not plan.get("on_cpu"):
        return Finding(name=f"memory, {name}", figure=f"{plan['memory_bytes'] / GIB:.2f} GiB a rank planned")
    have = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    fault = None
    if needed > have:
        fault = "lower pretrain.micro_batch_size, or set pretrain.activation_checkpoint=full."
    figure = f"{needed / GIB:.2f} GiB planned of {have / GIB:.1f}"
    return Finding(name=f"memory, {name}", figure=figure, fault=fault)


def _existing(folder: Path) -> Path:
    folder = folder.resolve()
    while not folder.exists():
        folder = folder.parent
    return folder


if __name__ == "__main__":
    sys.exit(main())
