"""What every part of the graph does to add a stage: find its settings, build and check them, name what it makes."""

from collections.abc import Mapping, Sequence
from typing import Any

from core import names, seeds
from core.defaults import Default
from core.errors import ConfigError, MissingPluginError
from core.fingerprint import identity as content_identity
from core.fingerprint import named_files
from core.interfaces import Architecture, Trainer
from core.kinds import GROUPS
from core.registry import Entry, Registry
from core.run_config import RunConfig
from core.stage_spec import (
    ArchitectureChoice,
    EvaluatorChoice,
    ExecutorChoice,
    PolicyChoice,
    StageSpec,
    TokenizerChoice,
)


class StageBuilder:
    """The stages of a run as far as they are added, in the order of work."""

    def __init__(self, config: Mapping[str, Any], registry: Registry, run: RunConfig, at_hand: bool) -> None:
        self.config, self.seeds = seeds.split(config, registry)
        self.registry = registry
        self.run = run
        self.at_hand = at_hand
        self.stages: list[StageSpec] = []

    def _add(self, spec: StageSpec) -> StageSpec:
        for earlier in self.stages:
            if earlier.identity() == spec.identity() and earlier.folder == spec.folder:
                return earlier
        self.stages.append(spec)
        return spec

    def _node(self, group: str, where: str) -> dict[str, Any]:
        node = self.config.get(group)
        if node is None:
            raise MissingPluginError(self.registry.missing_message(group, GROUPS[group].default or group, []))
        if not isinstance(node, Mapping):
            raise ConfigError(f"{where}={node!r}: expected settings; choose an option with {group}=<option>.")
        return dict(node)

    def _new(
        self,
        name: str,
        entry: Entry,
        config: Any,
        *,
        where: str | None = None,
        folder: str | None = None,
        label: str | None = None,
        inputs: Mapping[str, StageSpec] | None = None,
        architecture: ArchitectureChoice | None = None,
        executor: ExecutorChoice | None = None,
        policy: PolicyChoice | None = None,
        evaluator: EvaluatorChoice | None = None,
        content: Any = None,
        parts: tuple[Entry, ...] = (),
        external_files: tuple[str, ...] = (),
        followed: Mapping[str, Default] | None = None,
    ) -> StageSpec:
        """Add a stage; its content is that of its settings, at ``where`` in the configuration, unless given."""
        spec = StageSpec(
            name=name,
            folder=folder or name,
            label=names.shorten(label or (architecture.label() if architecture else entry.name)),
            entry=entry,
            config=config,
            inputs=inputs or {},
            architecture=architecture,
            executor=executor,
            policy=policy,
            evaluator=evaluator,
            content=content_identity(config, self.registry, where or name) if content is None else content,
            parts=parts,
            external_files=(*external_files, *named_files(config), *named_files(policy.config if policy else None)),
            seed=self.seeds.of(where or name),
            followed=followed or {},
        )
        return self._add(spec)

    def _policy(self, trainer: Trainer, corpora: Sequence[str]) -> tuple[PolicyChoice | None, Mapping[str, Any]]:
        """Return what changes the mixture of a training, and the training's settings that then count."""
        if "policy" not in self.config:
            return None, {}
        settings = self._node("policy", "policy")
        entry = self.registry.get("mixture_policies", str(settings.pop("name", "")))
        config = self._settings(entry, settings, "policy")
        choice = PolicyChoice(entry=entry, config=config, content=content_identity(config, self.registry, "policy"))
        policy = choice.build()
        counts = trainer.takes_policy(policy, corpora)
        policy.check("policy", [name for name in corpora if name not in policy.fenced])
        return choice, counts

    def _evaluator(
        self, trainer: Trainer, architecture: Architecture, tokenizer: TokenizerChoice
    ) -> EvaluatorChoice | None:
        """Return what evaluates the model of a training on the way: the run's own evaluation, in a light form."""
        wanted = trainer.evaluates()
        if wanted is None:
            return None
        key, changed = wanted
        if self.config.get("eval", ()) is None:
            raise ConfigError(
                f"pretrain.{key}: this run evaluates nothing (~eval). Choose eval=<option>, or leave this out."
            )
        settings = self._node("eval", "eval")
        entry = self.registry.get("evaluators", str(settings.pop("name", "")))
        own = self._settings(entry, settings, "eval")  # what is wrong with the run's own is said of these
        entry.build(own).check_plan("eval", architecture, tokenizer.stage)
        light = getattr(entry.load(), "on_the_way", None)
        lighter = dict(light(settings)) if callable(light) else {}
        config = self._settings(entry, {**_of_what_is_listed(settings, changed), **lighter, **changed}, "pretrain.eval")
        entry.build(config).check_plan("pretrain.eval", architecture, tokenizer.stage)
        return EvaluatorChoice(entry=entry, config=config)

    def _settings(self, entry: Entry, settings: Mapping[str, Any], where: str) -> Any:
        """Build settings, and let them refuse what would end the run later."""
        config = entry.settings(settings, where)
        if callable(check := getattr(config, "check", None)):
            check(self.registry, where)
        return config


def _of_what_is_listed(settings: Mapping[str, Any], changed: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what settings tell of the items of a list, such as examples by task, that a changed list has not."""
    kept = dict(settings)
    for name, listed in changed.items():
        former = settings.get(name)
        if not isinstance(listed, list | tuple) or not isinstance(former, list | tuple):
            continue
        for other, told in settings.items():
            if other not in changed and isinstance(told, Mapping) and told and set(told) <= set(map(str, former)):
                kept[other] = {item: value for item, value in told.items() if item in map(str, listed)}
    return kept
