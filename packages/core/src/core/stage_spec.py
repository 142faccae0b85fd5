"""One stage of a run, and what is chosen for it: who does the work, with which settings, from what."""

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from core import store, typed
from core.defaults import Default
from core.errors import ArtifactError
from core.fingerprint import source_digest
from core.interfaces import Architecture, Job, MixturePolicy, Stage, Tokenizer
from core.registry import Entry


@dataclasses.dataclass(frozen=True, kw_only=True)
class ArchitectureChoice:
    """A chosen architecture, with its vocabulary resolved."""

    entry: Entry
    config: Any

    def build(self) -> Architecture:
        return self.entry.build(self.config)

    def label(self) -> str:
        """Return ``gqa-nano``, and what was set otherwise than the size has it: ``gqa-nano-num_hidden_layers-4``."""
        size = getattr(self.config, "size", None)
        if not size:
            return self.entry.name
        own = typed.identity(self.config)
        named = typed.identity(
            typed.build(type(self.config), {"size": size, "vocab_size": own.get("vocab_size")}, "arch")
        )
        changed = [key for key, value in own.items() if value != named[key]]
        shown = [f"{key}-{own[key]}" if isinstance(own[key], (int, float, str)) else key for key in changed[:3]]
        more = [f"and-{len(changed) - 3}-more"] if len(changed) > 3 else []
        return "-".join([self.entry.name, size, *(re.sub(r"[^\w.-]", "_", part) for part in shown + more)])

    def identity(self) -> dict[str, Any]:
        values = typed.identity(self.config)
        values.pop("size", None)  # the dimensions are the identity, not the name of their set
        return {**self.entry.identity(), **values}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExecutorChoice:
    """How the passes of a data recipe are spread; never part of an identity."""

    entry: Entry
    config: Any

    def build(self, plugin_files: tuple[str, ...]) -> Any:
        return self.entry.load()(self.config, plugin_files)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PolicyChoice:
    """What changes the mixture of a training on the way."""

    entry: Entry
    config: Any
    content: Any
    """What stands for its settings in the identity, the content of files that they name included."""

    def build(self) -> MixturePolicy:
        policy: MixturePolicy = self.entry.build(self.config)
        return policy

    def identity(self) -> dict[str, Any]:
        return {**self.entry.identity(), "settings": self.content}


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluatorChoice:
    """What evaluates the model of a training on the way; never part of an identity: the training is the same."""

    entry: Entry
    config: Any

    def build(self) -> Stage:
        stage: Stage = self.entry.build(self.config)
        return stage


@dataclasses.dataclass(frozen=True, kw_only=True)
class StageSpec:
    """One stage of this run: who does it, with which settings, from which other stages."""

    made_by_run: ClassVar[bool] = True
    """Whether a run makes it again where it is damaged and removed."""
    name: str
    folder: str
    """Of the store, in which its artifact is."""
    label: str
    """Readable part of the artifact's name."""
    entry: Entry
    config: Any
    inputs: Mapping[str, "StageSpec"] = dataclasses.field(default_factory=dict)
    architecture: ArchitectureChoice | None = None
    executor: ExecutorChoice | None = None
    policy: PolicyChoice | None = None
    evaluator: EvaluatorChoice | None = None
    content: Any = None
    """What stands for the settings in the identity: the settings, and the content of the files that they name."""
    parts: tuple[Entry, ...] = ()
    """The registered names that have a part in the work beside the stage and the architecture: a recipe's steps."""
    external_files: tuple[str, ...] = ()
    """Files from outside the store that the stage reads."""
    seed: int = 0
    followed: Mapping[str, Default] = dataclasses.field(default_factory=dict)
    """Settings that nobody gave and that follow the model or the machine, with their values, which ``config`` has."""

    def identity(self) -> dict[str, Any]:
        """Everything that changes the content of the artifact, and nothing else."""
        own: dict[str, Any] = {
            **self.entry.identity(),
            self.name.split("-")[0]: self.content,
            "seed": self.seed,
        }
        if self.architecture is not None:
            own["arch"] = self.architecture.identity()
        if self.policy is not None:
            own["policy"] = self.policy.identity()
        own["inputs"] = {role: spec.digest for role, spec in self.inputs.items()}
        return own

    @property
    def digest(self) -> str:
        return store.digest(self.identity())

    def directory(self, root: Path) -> Path:
        return root / self.folder / f"{self.label}-{self.digest}"

    def finished(self, kind: str, root: Path) -> dict[str, Path | None]:
        """Return the inputs of a kind, such as ``tokens``, by the label of their corpus; None: not made yet.

        A single one has no label of its own, and is ``corpus``.
        """
        return {
            "corpus" if role == kind else role.removeprefix(f"{kind}-"): if_finished(spec.directory(root))
            for role, spec in self.inputs.items()
            if role == kind or role.startswith(f"{kind}-")
        }

    def build(self) -> Any:
        """Construct the stage; cheap by contract."""
        return self.entry.build(self.config)

    def sources(self) -> dict[str, str]:
        """Return a digest of the code of each plugin that has a part in the work, by distribution."""
        chosen = [choice.entry for choice in (self.architecture,) if choice is not None]
        changing = [self.policy.entry] if self.policy is not None else []
        entries = [self.entry, *chosen, *changing, *self.parts]
        return {entry.distribution: source_digest(entry.target) for entry in entries}

    def other_code(self, manifest: Mapping[str, Any]) -> str | None:
        """Return a note where the code that made a finished artifact is not what is installed now."""
        made, here = manifest.get("sources", {}), self.sources()
        changed = [name for name in here if made.get(name, here[name]) != here[name]]
        return f"made by other code of {', '.join(changed)}, of the same artifact_version" if changed else None

    def job(self, root: Path, plugin_files: tuple[str, ...], plugins: Mapping[str, str]) -> Job:
        """Return the work as a process of its own is told of it.

        Args:
            root: The store.
            plugin_files: Local files given with ``--plugin``.
            plugins: Versions of what is installed, by distribution, for the manifest.
        """
        return Job(
            name=self.name,
            output=self.directory(root),
            inputs={role: source.directory(root) for role, source in self.inputs.items()},
            named=tuple(role for role, source in self.inputs.items() if not source.made_by_run),
            seed=self.seed,
            stage=self.build(),
            architecture=self.architecture.build() if self.architecture is not None else None,
            executor=self.executor.build(plugin_files) if self.executor is not None else None,
            policy=self.policy.build() if self.policy is not None else None,
            evaluator=self.evaluator.build() if self.evaluator is not None else None,
            plugin_files=plugin_files,
            record={
                "folder": self.folder,
                "identity": self.identity(),
                "config": dataclasses.asdict(self.config) if self.config is not None else None,
                "followed": {key: found.source for key, found in self.followed.items()},
                "external_files": list(self.external_files),
                "plugins": dict(plugins),
                "sources": self.sources(),
            },
        )


def if_finished(artifact: Path) -> Path | None:
    """Return the artifact where it is there and whole, otherwise None."""
    try:
        return artifact if store.read_manifest(artifact) is not None else None
    except ArtifactError:  # damaged: it is made anew
        return None


@dataclasses.dataclass(frozen=True, kw_only=True)
class TokenizerChoice:
    """The tokenizer of a run: what planning asks, and what makes it."""

    entry: Entry
    stage: Tokenizer
    spec: StageSpec | None = None
    """None: the run trains on nothing, and its model brings its own."""
