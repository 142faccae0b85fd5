"""What a Slurm job runs: ``python -m smallwright_executors.launch <file> <SHA-256>``.

The work comes as a pickle in the unfinished artifact, where others may be able to write. Its SHA-256 comes in the job's
script, which Slurm keeps since the job was submitted: nothing else than what the run wrote is loaded.
"""

import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dill
from core.errors import InputError, UserError
from core.writing import replacing


def write(executor: Any, folder: Path) -> tuple[Path, str]:
    """Write an executor for its jobs, readable for this user only; return the file and its SHA-256.

    The file is named by its content: a node that still sees the files of an earlier submission takes none of them.
    """
    content = dill.dumps(executor)
    digest = hashlib.sha256(content).hexdigest()
    path = folder / f"executor-{digest[:12]}.pik"
    with replacing(path) as partial:
        partial.touch(mode=0o600)  # settings of steps can hold keys of servers
        partial.write_bytes(content)
    return path, digest


def load(path: Path, digest: str) -> Any:
    """Return what :func:`write` wrote.

    Raises:
        InputError: the file is another one. Nothing of it is executed.
    """
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != digest:
        raise InputError(
            f"{path} is not what the run wrote when it submitted this job, and is not loaded. See who can write there, "
            "and give the run's command again."
        )
    return dill.loads(content)


def main(arguments: Sequence[str] | None = None) -> int:
    """Do the shards of this job and return the exit code."""
    path, digest = sys.argv[1:] if arguments is None else arguments
    try:
        executor = load(Path(path), digest)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    executor.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
