"""What the stage tells the ranks that it starts, and how it starts them."""

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.errors import UserError
from core.interfaces import Job
from core.process import die_with_parent

ERROR_FILE = "error.json"
SUMMARY_FILE = "summary.json"
REFERENCE_FILE = "reference.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Launch:
    """One pretraining run, as plain data."""

    settings: dict[str, Any]
    architecture: str
    """Class of the architecture as ``module:name``."""
    architecture_config: str
    """Class of its configuration."""
    architecture_values: dict[str, Any]
    output: str
    tokens: str
    tokenizer: str | None
    init: str | None
    seed: int
    plugin_files: list[str]

    @classmethod
    def of(cls, settings: Any, job: Job) -> "Launch":
        """Describe ``job``."""
        architecture = job.architecture
        assert architecture is not None, "core resolves the architecture before it starts this stage"
        config = architecture.config
        return cls(
            settings=dataclasses.asdict(settings),
            architecture=f"{type(architecture).__module__}:{type(architecture).__qualname__}",
            architecture_config=f"{type(config).__module__}:{type(config).__qualname__}",
            architecture_values=dataclasses.asdict(config),
            output=str(job.output.resolve()),
            tokens=str(job.inputs["tokens"].resolve()),
            tokenizer=str(job.inputs["tokenizer"].resolve()) if "tokenizer" in job.inputs else None,
            init=str(job.inputs["init"].resolve()) if "init" in job.inputs else None,
            seed=job.seed,
            plugin_files=[str(Path(file).resolve()) for file in job.plugin_files],
        )

    def write(self, path: Path) -> None:
        """Write as JSON."""
        path.write_text(json.dumps(dataclasses.asdict(self), indent=2))

    @classmethod
    def read(cls, path: Path) -> "Launch":
        """Read what :meth:`write` wrote."""
        return cls(**json.loads(path.read_text()))


def run_ranks(launch_path: Path, nproc: int, environment: Mapping[str, str]) -> None:
    """Train with ``nproc`` ranks on this machine, and raise what the first failing rank reported.

    Raises:
        core.errors.UserError: what the user can mend.
        RuntimeError: anything else, in one line; the traceback is in the log.
    """
    error_path = launch_path.parent / ERROR_FILE
    error_path.unlink(missing_ok=True)
    module = ["-m", "smallwright_pretrain.train", str(launch_path)]
    if nproc > 1:
        launcher = ["-m", "torch.distributed.run", "--standalone", "--local-addr=127.0.0.1"]
        module = [*launcher, f"--nproc-per-node={nproc}", *module]
    code = run_child([sys.executable, *module], environment)
    if code == 0:
        return
    if error_path.exists():
        error = json.loads(error_path.read_text())
        print(error["traceback"], file=sys.stderr)
        if error["kind"] == "user":
            raise UserError(error["message"])
        raise RuntimeError(f"pretraining failed: {error['message']}")
    if code < 0:
        hint = " The machine may have run out of memory: lower pretrain.micro_batch_size." if code == -9 else ""
        raise RuntimeError(f"pretraining was ended by signal {-code}.{hint} Run again to resume.")
    raise RuntimeError(f"pretraining ended with exit code {code}; see the log.")


def run_child(command: list[str], environment: Mapping[str, str]) -> int:
    """Run ``command`` to its end and return its exit code; it dies with this process."""
    process = subprocess.Popen(command, env={**os.environ, **environment}, preexec_fn=die_with_parent)
    try:
        return process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise
