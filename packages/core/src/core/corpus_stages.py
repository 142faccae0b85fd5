"""The stages before a model: corpora by recipe, and the tokens of each."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core import advice, entered_corpus, entries, names, typed
from core.data.recipe import RecipeConfig, expand, plan_steps, several
from core.errors import ConfigError, NotAtHand, UserError
from core.fingerprint import fingerprint, named_files
from core.registry import Entry
from core.stage_builder import StageBuilder
from core.stage_spec import ExecutorChoice, StageSpec
from core.tokens_entry import ARTIFACT, READY


class CorpusStages(StageBuilder):
    """Adds the stages that make corpora and tokens."""

    def _corpora(self) -> dict[str, StageSpec]:
        """Return the data stages by role: ``corpus`` for one recipe, ``corpus-<recipe>`` for each of several."""
        if self.run.corpus is not None:
            owner = f"corpus={self.run.corpus}"
            if "data" in self.config:
                raise ConfigError(f"{owner}: with +data there would be two corpora. Leave one out.")
            if (recipe := entered_corpus.recipe(self.run.corpus, self.registry)) is not None:
                return {"corpus": self._data("data", recipe, self._executor())}
            return {"corpus": self._add(entries.finished(Path(self.run.corpus), "data", owner))}
        if "data" not in self.config or not self.at_hand:
            return {}
        node = self._node("data", "data")
        executor = self._executor()
        if not several(node):
            return {"corpus": self._data("data", node, executor)}
        return {
            f"corpus-{names.check(str(label), 'a recipe of data')}": self._data(f"data.{label}", part, executor)
            for label, part in node.items()
        }

    def _executor(self) -> ExecutorChoice:
        settings = self._node("executor", "executor")
        entry = self.registry.get("executors", str(settings.pop("name", "")))
        return ExecutorChoice(entry=entry, config=self._settings(entry, settings, "executor"))

    def _data(self, where: str, node: Mapping[str, Any], executor: ExecutorChoice) -> StageSpec:
        """Add the stage of the recipe at ``where``: ``data``, or ``data.<label>`` where there are several."""
        node = dict(node)
        name = names.check(str(node.get("name", "data")), f"{where}.name")
        stage = where.replace(".", "-")
        if "corpus" in node:
            node.pop("name", None)
            entry = self.registry.get("corpora", str(node.pop("corpus")))
            config = self._settings(entry, node, where)
            return self._new(stage, entry, config, where=where, folder="data", label=name, executor=executor)
        recipe = typed.build(RecipeConfig, node, where)
        steps = plan_steps(recipe, self.registry, where)
        content: dict[str, Any] = {"steps": {step.label: step.identity(self.registry) for step in steps}}
        inputs: dict[str, StageSpec] = {}
        files = None
        if recipe.paths is not None:
            files = expand(recipe.paths, where)
        elif recipe.source is None and steps[0].entry.config is not None:
            try:
                files = steps[0].config.inputs()
            except UserError as error:
                raise advice.of_recipe(error, where) from error
        if files is not None and steps[0].entry.config is not None:
            steps[0].config.check_files(files, f"{where}.steps.{steps[0].label}")
        recipe = dataclasses.replace(recipe, files=files)
        if files is not None:
            content["files"] = [fingerprint(file) for file in files]
        elif recipe.source is not None:
            settings = dict(recipe.source)
            source = self.registry.get("sources", str(settings.pop("name", None)))
            config = self._settings(source, settings, f"{where}.source")
            crawl, at = stage.replace("data", "crawl", 1), f"{where}.source"
            inputs["crawl"] = self._new(crawl, source, config, where=at, folder="crawl")
        else:
            raise NotAtHand(f"{where}.paths is not set and the recipe has no source: give {where}.paths=[<files>].")
        if recipe.shards is not None:
            content["shards"] = recipe.shards
        return self._new(
            stage,
            self.registry.get("corpora", "recipe"),
            recipe,
            folder="data",
            label=name,
            inputs=inputs,
            executor=executor,
            content=content,
            parts=tuple(step.entry for step in steps),
            external_files=(*(files or ()), *(file for step in steps for file in named_files(step.config))),
        )

    def _packer(self) -> tuple[Entry, dict[str, Any]]:
        """Return the chosen packer and its settings."""
        settings = self._node("tokens", "tokens")
        settings.pop(ARTIFACT, None)
        return self.registry.get("packers", str(settings.pop("name", "tokens"))), settings

    def _tokens_exist(self, corpora: Mapping[str, StageSpec]) -> bool:
        """Return whether the chosen packer takes tokens that were made elsewhere, and refuse corpora beside it.

        Raises:
            ConfigError: there is a corpus, or the tokenizer would be trained on one.
        """
        if not isinstance(self.config.get("tokens"), Mapping):
            return False
        entry, _ = self._packer()
        if getattr(entry.load(), "reads_corpus", True):
            return False
        if corpora:
            raise ConfigError(f"tokens={entry.name}: takes tokens that exist, and a corpus stands beside it.")
        return True

    def _made_elsewhere(self, places: Mapping[str, str], tokenizer: StageSpec) -> dict[str, StageSpec]:
        """Add the stages that make artifacts of tokens from elsewhere, and return them by role."""
        made = {}
        for role, place in places.items():
            entry = self.registry.get("packers", READY)
            settings = {"folder": place}
            config = self._settings(entry, settings, "tokens") if self.at_hand else entry.settings(settings, "tokens")
            label = f"{entry.name}-{Path(place.partition('@')[0]).name}"
            inputs = {"tokenizer": tokenizer}
            made[role] = self._new(role, entry, config, where="tokens", folder="tokens", label=label, inputs=inputs)
        return made

    def _tokens(self, corpora: Mapping[str, StageSpec], tokenizer: StageSpec) -> dict[str, StageSpec]:
        """Add the packer of each corpus, and return them by role: ``tokens``, or ``tokens-<recipe>`` of several.

        A corpus that is added to a run leaves the tokens of the others as they are: each has its own artifact, which
        rests on its own corpus and the tokenizer alone.
        """
        entry, settings = self._packer()
        config = self._settings(entry, settings, "tokens")
        if not corpora:  # the packer needs none, or a question about a model, and no stage can be started
            data = self.config.get("data") or {}
            roles = [f"tokens-{label}" for label in data] if data and several(data) else ["tokens"]
            return {role: self._new(role, entry, config, inputs={"tokenizer": tokenizer}) for role in roles}
        executor = self._executor()
        return {
            (role := corpus_role.replace("corpus", "tokens", 1)): self._new(
                role,
                entry,
                config,
                where="tokens",
                folder="tokens",
                label=f"{entry.name}-{corpus.label}",
                inputs={"corpus": corpus, "tokenizer": tokenizer},
                executor=executor,
            )
            for corpus_role, corpus in corpora.items()
        }
