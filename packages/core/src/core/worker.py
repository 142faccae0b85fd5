"""Run one stage in this process: ``python -m core.worker <job.json> <parent> [stays]``. Started by :mod:`core.workers`.

A process per stage keeps engines apart, gives memory back, and lets settings be in the environment before Python
starts. The inputs are compared with their manifests first; the digest of a file that has not changed is remembered, so
that twenty evaluations of one model read its training tokens once.
The exit code is 0, or 1 with the reason in ``<job>.error.json``.

A process that stays reads a line of JSON on its stdin for each further job, ``job``, ``log`` and ``progress`` being
paths, until stdin ends. After a job that failed it ends: what it holds may be broken.
"""

import contextlib
import dataclasses
import errno
import gc
import json
import os
import platform
import resource
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from core import card, store
from core.circumstances import git_commit
from core.errors import InputError, UserError, cannot_write, full_disk, named_by_user
from core.fingerprint import local_digest
from core.interfaces import Job
from core.process import die_with_parent, plugin_files_environment
from core.progress import PROGRESS_FILE_VARIABLE
from core.writing import write_json

STAYS = "stays"
"""Last argument of a worker that waits for another job after its first."""
ENDED = ".ended.json"
"""Ending of the file, beside the job's, by which a worker that stays says that the job ended well."""
NEVER_READ = ("checkpoint", "revisions", "rewound")
"""Folders of an artifact that no later stage reads; the largest of all files are there."""


def main(job_file: Path, parent: int, stays: bool = False) -> int:
    """Do the job that ``job_file`` describes, and write the manifest of its artifact last.

    Args:
        stays: Do the jobs that stdin tells of, too; what one leaves in ``Job.kept`` is there for the next.
    """
    die_with_parent(parent)
    if not stays:
        return _do(job_file)
    kept: dict[str, Any] = {}
    for file in _jobs(job_file):
        if _do(file, kept) != 0:
            return 1
        gc.collect()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        write_json(file.with_suffix(ENDED), 0)
    return 0


def _jobs(first: Path) -> Iterator[Path]:
    """Yield the first job, and each that stdin tells of, with its own log and progress."""
    # Stages must find an empty stdin, as in a process that does one job.
    orders = os.fdopen(os.dup(0), encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    yield first
    for line in orders:
        order = json.loads(line)
        log = os.open(order["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        for stream in (1, 2):
            os.dup2(log, stream)
        os.close(log)
        os.environ[PROGRESS_FILE_VARIABLE] = order["progress"]
        yield Path(order["job"])


def _do(job_file: Path, kept: dict[str, Any] | None = None) -> int:
    place = job_file.parent
    try:
        job = dataclasses.replace(Job.read(job_file), kept=kept)
        place = job.output
        _run(job)
    except BaseException as error:
        traceback.print_exc()
        message = str(error) or type(error).__name__
        if isinstance(error, SystemExit):
            message = f"the stage called sys.exit({error.code!r})"
        if isinstance(error, OSError) and error.errno == errno.EROFS:
            message = cannot_write(error, error.filename or place)
            error = InputError(message)
        elif full := full_disk(error, place):
            message = full
            error = InputError(message)
        failure = {"message": message, "user": isinstance(error, UserError), "type": type(error).__name__}
        write_json(job_file.with_suffix(".error.json"), failure)
        return 1
    return 0


def _run(job: Job) -> None:
    started = time.time()
    os.environ.update(plugin_files_environment(job.plugin_files))
    assert job.stage is not None
    for role, folder in job.inputs.items():
        with named_by_user(role, folder) if role in job.named else contextlib.nullcontext():
            store.check_content(folder, unread=NEVER_READ, digest_of=local_digest)
    summary = job.stage.run(job)
    usage = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    record = {
        **job.record,
        "stage": job.name,
        "inputs": {role: str(path) for role, path in job.inputs.items()},
        "git_commit": git_commit(),
        "host": platform.node(),
        "python": platform.python_version(),
        "started": started,
        "seconds": round(time.time() - started, 3),
        "peak_memory_bytes": usage * 1024,
        "summary": summary,
    }
    card.write_at_export(job.output, record)
    store.finish(job.output, record)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), STAYS in sys.argv[3:]))
