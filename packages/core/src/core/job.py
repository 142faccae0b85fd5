"""One piece of work for a stage, and how it crosses to another process."""

import dataclasses
import json
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core import travel
from core.architecture import Architecture
from core.local_files import import_file
from core.policy import MixturePolicy
from core.progress import ProgressWriter
from core.writing import write_json

if TYPE_CHECKING:
    from core.interfaces import Stage


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """One piece of work for a stage: where to write, what to read, and how to report progress."""

    name: str
    """Name of the stage in this run, such as ``pretrain`` or ``eval``."""
    output: Path
    """Directory of the artifact. Kept when an unfinished stage is started again: resume from what is there."""
    inputs: Mapping[str, Path]
    """Directory of each input artifact by role (see the table above)."""
    seed: int
    named: tuple[str, ...] = ()
    """Roles of inputs that exist already and that no stage of the run makes."""
    architecture: Architecture | None = None
    """The chosen architecture, with its vocabulary size resolved; None for stages before it matters."""
    executor: Any = None
    """The chosen :class:`core.data.executor.Executor`, for stages that work on documents; None: local."""
    policy: MixturePolicy | None = None
    """What changes the mixture of a training on the way; None: nothing does."""
    evaluator: "Stage | None" = None
    """What evaluates the model of a training on the way, with its settings; None: nothing does."""
    plugin_files: tuple[str, ...] = ()
    """Local files given with ``--plugin``; a stage that starts Python processes hands them on."""
    stage: "Stage | None" = None
    """The stage that does the work, with its settings, for a process that is told of both."""
    record: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """What the artifact's manifest says beside the outcome, such as its identity; empty where no artifact is made."""
    kept: MutableMapping[str, Any] | None = None
    """What the process holds from one job to the next; None: it ends with this job. See :meth:`Stage.shares_process`.
    """
    progress: ProgressWriter = dataclasses.field(default_factory=ProgressWriter)
    """``job.progress(done, total, unit="steps", note="loss 4.2")`` moves the bar that the user sees."""

    def write(self, path: Path) -> None:
        """Write the job as JSON, for :meth:`read` in another process; the progress is not part of it.

        What plugins made of settings, from the stage to the evaluator, is written as its class and those settings.
        """
        content = {
            "name": self.name,
            "output": str(self.output.resolve()),
            "inputs": {role: str(folder.resolve()) for role, folder in self.inputs.items()},
            "named": list(self.named),
            "seed": self.seed,
            "plugin_files": [str(Path(file).resolve()) for file in self.plugin_files],
            "stage": travel.describe(self.stage),
            "architecture": travel.describe(self.architecture),
            "executor": travel.describe(self.executor),
            "policy": travel.describe(self.policy),
            "evaluator": travel.describe(self.evaluator),
            "record": dict(self.record),
        }
        write_json(path, content)

    @classmethod
    def read(cls, path: Path) -> "Job":
        """Read what :meth:`write` wrote, and build what it names."""
        content = json.loads(path.read_text(encoding="utf-8"))
        plugin_files = tuple(content["plugin_files"])
        for file in plugin_files:
            import_file(Path(file))
        return cls(
            name=content["name"],
            output=Path(content["output"]),
            inputs={role: Path(folder) for role, folder in content["inputs"].items()},
            named=tuple(content["named"]),
            seed=content["seed"],
            plugin_files=plugin_files,
            stage=travel.rebuild(content["stage"], content["name"]),
            architecture=travel.rebuild(content["architecture"], "arch"),
            executor=travel.rebuild(content["executor"], "executor", plugin_files),
            policy=travel.rebuild(content["policy"], "policy"),
            evaluator=travel.rebuild(content["evaluator"], "eval"),
            record=content["record"],
        )

    def corpora(self) -> dict[str, Path]:
        """Return the corpora of the run by recipe, in the order of the command line; a single one as ``corpus``."""
        return {
            role.removeprefix("corpus-"): path
            for role, path in self.inputs.items()
            if role == "corpus" or role.startswith("corpus-")
        }

    def tokens(self) -> dict[str, Path]:
        """Return the tokens artifacts of the run by recipe, as :meth:`corpora` does; empty: the stage gets none."""
        return {
            "corpus" if role == "tokens" else role.removeprefix("tokens-"): path
            for role, path in self.inputs.items()
            if is_tokens(role)
        }

    def scratch(self, name: str) -> Path:
        """Return a directory for unfinished work inside the artifact; it is removed when the stage finishes."""
        (path := self.output / "work" / name).mkdir(parents=True, exist_ok=True)
        return path


def is_tokens(role: str) -> bool:
    """Whether a role is that of tokens: ``tokens``, or ``tokens-<recipe>`` of each of several corpora."""
    return role == "tokens" or role.startswith("tokens-")
