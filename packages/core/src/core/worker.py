"""Run one stage in this process: ``python -m core.worker <job.json>``. Started by :mod:`core.run`.

A process per stage keeps engines apart, gives memory back, and lets settings be in the environment before Python
starts. The exit code is 0, or 1 with the reason in ``<job>.error.json``.
"""

import dataclasses
import errno
import json
import os
import platform
import resource
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from core import config as typed
from core import discovery, store
from core.errors import InputError, UserError, cannot_write
from core.interfaces import Job
from core.process import die_with_parent, plugin_files_environment
from core.progress import ProgressWriter


def main(job_file: Path) -> int:
    """Run the stage that ``job_file`` describes, and write its manifest last."""
    description = json.loads(job_file.read_text())
    die_with_parent(description["parent"])
    try:
        _run(description)
    except BaseException as error:
        traceback.print_exc()
        message = str(error) or type(error).__name__
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EROFS):
            message = cannot_write(error, error.filename or description["output"])
            error = InputError(message)
        failure = {"message": message, "user": isinstance(error, UserError), "type": type(error).__name__}
        store.write_json(job_file.with_suffix(".error.json"), failure)
        return 1
    return 0


def _run(description: dict[str, Any]) -> None:
    started = time.time()
    plugin_files = tuple(description["plugin_files"])
    os.environ.update(plugin_files_environment(plugin_files))
    registry = discovery.load(plugin_files)
    entry = registry.get(description["registry_kind"], description["implementation"])
    config_class = entry.load_config()
    config = typed.build(config_class, description["config"], description["stage"]) if config_class else None
    architecture = None
    if description["architecture"] is not None:
        choice = registry.get("architectures", description["architecture"]["name"])
        architecture_config = choice.load_config()
        assert architecture_config is not None
        architecture = choice.load()(typed.build(architecture_config, description["architecture"]["config"], "arch"))
    executor = None
    if description["executor"] is not None:
        choice = registry.get("executors", description["executor"]["name"])
        settings = choice.load_config()
        built = typed.build(settings, description["executor"]["config"], "executor") if settings else None
        executor = choice.load()(built, plugin_files)
    job = Job(
        name=description["stage"],
        output=Path(description["output"]),
        inputs={role: Path(path) for role, path in description["inputs"].items()},
        seed=description["seed"],
        architecture=architecture,
        executor=executor,
        plugin_files=plugin_files,
        progress=ProgressWriter(),
    )
    summary = entry.load()(config).run(job)
    usage = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    record = {
        "stage": description["stage"],
        "kind": description["kind"],
        "identity": description["identity"],
        "config": description["config"],
        "inputs": {role: str(path) for role, path in job.inputs.items()},
        "external_files": description["external_files"],
        "plugins": {record.distribution: record.version for record in registry.plugins if record.status == "ok"},
        "git_commit": _git_commit(),
        "host": platform.node(),
        "python": platform.python_version(),
        "started": started,
        "seconds": round(time.time() - started, 3),
        "peak_memory_bytes": usage * 1024,
        "summary": summary,
    }
    store.finish(job.output, record)


def describe(
    spec: Any, root: Path, registry_kind: str, plugin_files: tuple[str, ...], external_files: tuple[str, ...]
) -> dict[str, Any]:
    """Write down a stage for another process. ``spec`` is a :class:`core.graph.StageSpec`."""
    architecture = None
    if spec.architecture is not None:
        architecture = {"name": spec.architecture.entry.name, "config": dataclasses.asdict(spec.architecture.config)}
    executor = None
    if spec.executor is not None:
        settings = dataclasses.asdict(spec.executor.config) if spec.executor.config is not None else None
        executor = {"name": spec.executor.entry.name, "config": settings}
    return {
        "parent": os.getpid(),
        "stage": spec.name,
        "kind": spec.kind,
        "registry_kind": registry_kind,
        "implementation": spec.entry.name,
        "config": dataclasses.asdict(spec.config) if spec.config is not None else None,
        "architecture": architecture,
        "executor": executor,
        "inputs": {role: str(source.directory(root)) for role, source in spec.inputs.items()},
        "output": str(spec.directory(root)),
        "seed": spec.seed,
        "identity": spec.identity(),
        "plugin_files": list(plugin_files),
        "external_files": list(external_files),
    }


def _git_commit() -> str | None:
    command = ["git", "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=5).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
