"""A seed for each stage: ``pretrain.seed=1`` makes another training on the same corpus, tokenizer and tokens.

The settings of any stage take ``seed``, whatever its plugin. Where the plugin's own settings have one of that name,
such as ``eval.seed``, it is the plugin's.
"""

import copy
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from core import typed
from core.data.recipe import several
from core.errors import MissingPluginError
from core.kinds import GROUPS
from core.registry import Registry
from core.typed import setting

ONE_STAGE = ("tokenizer", "tokens", "pretrain", "eval")
"""Groups whose settings are those of one stage."""
KINDS = ("sources", "corpora", "tokenizers", "packers", "initializers", "trainers", "posttrainers", "evaluators")
"""What makes a stage."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class StageSeed:
    """What every stage's settings have beside its plugin's."""

    seed: int | None = setting(None, ge=0, le=2**32 - 1)
    """What this stage's random choices are drawn from; null: the run's seed."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Seeds:
    """The seeds of a run's stages."""

    run: int
    given: Mapping[str, int | None]
    """By the place of a stage's settings, for all stages that take one; None: that of the run."""

    def of(self, place: str) -> int:
        """Return the seed of the stage whose settings are at ``place``, or whose name that is."""
        if place not in self.given:
            first, _, rest = place.partition("-")
            place = f"{first}.{rest}" if first == "data" and rest else first
        seed = self.given.get(place)
        return self.run if seed is None else seed


def split(config: Mapping[str, Any], registry: Registry) -> tuple[dict[str, Any], Seeds]:
    """Take the stages' seeds out of a composed configuration.

    Returns:
        The configuration without them, and the seeds.

    Raises:
        core.errors.ConfigError: one is no seed, naming its key.
    """
    rest = copy.deepcopy(dict(config))
    given = {}
    for place, node, kind in _stages(rest):
        if (own := take(node, kind, registry, place)) is not None:
            given[place] = own.seed
    return rest, Seeds(run=config.get("seed") or 0, given=given)


def take(node: dict[str, Any], kind: str, registry: Registry, place: str) -> StageSeed | None:
    """Take the seed out of a stage's settings; None: they have none beside their plugin's.

    Args:
        node: The settings, which are changed.
        kind: What they choose, as in the table of kinds; what makes no stage has no seed.
        registry: What is installed.
        place: Of the settings, for messages.

    Raises:
        core.errors.ConfigError: it is no seed.
    """
    if kind not in KINDS or _has_its_own(registry, kind, node):
        return None
    seed: StageSeed = typed.build(StageSeed, {"seed": node.pop("seed", None)}, place)
    return seed


def _stages(config: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Yield the place of each stage's settings, the settings, and what kind of thing they choose."""
    for group in ONE_STAGE:
        if isinstance(node := config.get(group), dict):
            yield group, node, GROUPS[group].name
    arch = config.get("arch")
    if isinstance(arch, dict) and isinstance(arch.get("initializer"), dict):
        yield "arch.initializer", arch["initializer"], "initializers"
    for name, node in (config.get("posttrain") or {}).items():
        if isinstance(node, dict):
            yield f"posttrain.{name}", node, "posttrainers"
    data = config.get("data")
    if not isinstance(data, dict):
        return
    recipes = {f"data.{label}": part for label, part in data.items()} if several(data) else {"data": data}
    for place, node in recipes.items():
        yield place, node, "corpora"
        if isinstance(node.get("source"), dict):
            yield f"{place}.source", node["source"], "sources"


def _has_its_own(registry: Registry, kind: str, node: Mapping[str, Any]) -> bool:
    """Whether the plugin's settings have a field ``seed``."""
    name = node.get("corpus", "recipe") if kind == "corpora" else node.get("name")
    try:
        config_class = registry.get(kind, str(name)).load_config()
    except MissingPluginError:  # the graph says so
        return True
    return config_class is not None and "seed" in getattr(config_class, "__dataclass_fields__", {})
