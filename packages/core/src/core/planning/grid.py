"""Shapes of one parameter budget: depth, width and expansion are drawn together.

PanGu-pi Pro (arXiv 2402.02791, section 3.2) drew about 30 shapes of 1B parameters, trained each on 5B tokens and ranked
them; :mod:`core.planning.results` ranks the scores of a user's own shapes in the same way.
"""

import dataclasses
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from core import compose, typed
from core.errors import ConfigError
from core.interfaces import Architecture
from core.registry import Registry

SHAPE = {
    "hidden_size": "--width",
    "intermediate_size": "--expansion",
    "num_hidden_layers": "--depth",
    "num_attention_heads": "--head-dim",
    "num_key_value_heads": "--heads-per-kv",
    "vocab_size": "--vocab",
}
"""Settings of the drawn shape, and the option that decides each."""
_MANY = 200_000
"""Pairs of depth and width above which looking through all of them takes too long."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Space:
    """Where shapes are drawn from."""

    budget: float
    """Stored parameters, embeddings included."""
    vocab: int
    """Rows of the embedding."""
    depth: tuple[float, float] = (9, 40)
    width: tuple[float, float] = (1280, 2560)
    expansion: tuple[float, float] = (1, 4)
    """Width of the feed-forward by that of the model: intermediate_size / hidden_size."""
    head_dim: int = 128
    heads_per_kv: int = 1
    """Query heads that share a key/value head; 1 is multi-head attention."""
    width_multiple: int = 128
    ffn_multiple: int = 64
    """intermediate_size is a multiple of this."""
    tolerance: float = 0.02
    """Largest distance from the budget, as a share of it."""

    def __post_init__(self) -> None:
        for name in ("budget", "vocab", "head_dim", "heads_per_kv", "width_multiple", "ffn_multiple", "tolerance"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise ConfigError(f"--{name.replace('_', '-')} {getattr(self, name):g}: must be above 0.")
        if (self.depth[1] - self.depth[0] + 1) * (self.width[1] / self.width_multiple) > _MANY:
            raise ConfigError("--depth, --width: more shapes than can be looked through; give narrower ranges.")
        if not self._widths():
            raise ConfigError(
                f"--width {_range(self.width)}: no multiple of --width-multiple {self.width_multiple} in it has whole "
                f"heads of --head-dim {self.head_dim}, --heads-per-kv {self.heads_per_kv}. Widen the range, or give "
                "smaller multiples."
            )

    def frames(self) -> Iterator[tuple[int, int]]:
        """Yield every depth and width."""
        for depth in range(math.ceil(self.depth[0]), math.floor(self.depth[1]) + 1):
            for width in self._widths():
                yield depth, width

    def feed_forwards(self, width: int) -> tuple[int, int] | None:
        """Return the smallest and the largest intermediate_size of a width; None where no multiple fits."""
        low = math.ceil(self.expansion[0] * width / self.ffn_multiple) * self.ffn_multiple
        high = math.floor(self.expansion[1] * width / self.ffn_multiple) * self.ffn_multiple
        return (low, high) if low <= high else None

    def dimensions(self, depth: int, width: int, feed_forward: int) -> dict[str, int]:
        """Return the settings of an architecture of this shape."""
        heads = width // self.head_dim
        return {
            "hidden_size": width,
            "intermediate_size": feed_forward,
            "num_hidden_layers": depth,
            "num_attention_heads": heads,
            "num_key_value_heads": heads // self.heads_per_kv,
            "vocab_size": self.vocab,
        }

    def _widths(self) -> list[int]:
        step = self.width_multiple
        first = max(1, math.ceil(self.width[0] / step))
        whole = math.lcm(self.head_dim * self.heads_per_kv, step)
        return [n * step for n in range(first, math.floor(self.width[1] / step) + 1) if n * step % whole == 0]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Family:
    """An architecture whose shape is still open, with its other settings."""

    name: str
    target: Callable[[Any], Architecture]
    config_class: type
    settings: Mapping[str, Any]
    overrides: tuple[str, ...]
    """Overrides that a command line needs beside those of the shape."""

    def build(self, dimensions: Mapping[str, Any]) -> Architecture:
        """Return the architecture of these dimensions."""
        return self.target(typed.build(self.config_class, {**self.settings, **dimensions}, "arch"))


def family(name: str, overrides: Sequence[str], registry: Registry) -> Family:
    """Return the architecture ``name`` with the settings of the overrides.

    Its named size is left out unless an override chooses one, for a size would fix the shape.

    Raises:
        core.errors.UserError: there is none of that name, or an override is wrong.
    """
    for override in overrides:
        group, _, key = override.lstrip("+~").partition("=")[0].partition(".")
        if group == "arch" and key in SHAPE:
            raise ConfigError(f"{override}: --grid sets arch.{key} by {SHAPE[key]}. Leave it out, or give that option.")
    node = dict(compose.compose([f"+arch={name}", *overrides], registry)["arch"])
    entry = registry.get("architectures", str(node.pop("name", "")))
    config_class = entry.load_config()
    assert config_class is not None, f"architecture {entry.name} registers no config class"
    if node.pop("initializer", None) is not None:
        raise ConfigError(
            f"--arch {name}: starts from a source model, whose shape bounds its own, so it is not drawn. "
            f"Draw {entry.name} shapes with --arch {entry.name}, or leave the source out with arch.initializer=null."
        )
    fixed = tuple(overrides)
    if "size" in node and not any(override.lstrip("+").startswith("arch.size=") for override in overrides):
        node["size"] = None
        fixed = ("arch.size=null", *fixed)
    return Family(name=name, target=entry.load(), config_class=config_class, settings=node, overrides=fixed)


def fitting(space: Space, build: Callable[[Mapping[str, Any]], Architecture]) -> list[dict[str, int]]:
    """Return one shape for every depth and width at which a feed-forward in range meets the budget.

    Raises:
        ConfigError: no shape meets it. The message says how many parameters shapes in these ranges have.
    """
    found, least, most = [], math.inf, 0
    for depth, width in space.frames():
        bounds = space.feed_forwards(width)
        if bounds is None:
            continue
        low, high = bounds
        smallest = build(space.dimensions(depth, width, low)).parameters()
        largest = build(space.dimensions(depth, width, high)).parameters()
        least, most = min(least, smallest), max(most, largest)
        feed_forward = low
        if largest > smallest:  # parameters are linear in the feed-forward's width
            exact = low + (space.budget - smallest) * (high - low) / (largest - smallest)
            feed_forward = round(exact / space.ffn_multiple) * space.ffn_multiple
        dimensions = space.dimensions(depth, width, min(max(feed_forward, low), high))
        if abs(build(dimensions).parameters() - space.budget) <= space.tolerance * space.budget:
            found.append(dimensions)
    if not found:
        reach = f"these ranges have {least:.3g} to {most:.3g}" if most else "no shape is in these ranges"
        raise ConfigError(
            f"--budget {space.budget:g}: no shape comes within {100 * space.tolerance:g} % of it; {reach}. "
            "Change --budget, --depth, --width or --expansion."
        )
    return found


def sample(space: Space, family: Family, *, samples: int, seed: int, seq_len: int) -> dict[str, Any]:
    """Draw shapes without replacement and describe them.

    Returns:
        ``possible``, the shapes drawn from; ``rows``, each with dimensions, counts and the overrides that run it.
    """
    if samples < 1:
        raise ConfigError(f"--samples {samples}: must be at least 1.")
    if seq_len < 1:
        raise ConfigError(f"--seq-len {seq_len}: must be at least 1.")
    possible = fitting(space, family.build)
    drawn = random.Random(seed).sample(possible, min(samples, len(possible)))
    drawn.sort(key=lambda shape: (shape["num_hidden_layers"], shape["hidden_size"]))
    return {"possible": len(possible), "rows": [_row(family, dimensions, seq_len) for dimensions in drawn]}


def _row(family: Family, dimensions: Mapping[str, int], seq_len: int) -> dict[str, Any]:
    architecture = family.build(dimensions)
    parameters = architecture.parameters()
    settings = [f"arch.{key}={value}" for key, value in dimensions.items()]
    return {
        "arch": family.name,
        "depth": dimensions["num_hidden_layers"],
        "width": dimensions["hidden_size"],
        "feed_forward": dimensions["intermediate_size"],
        "expansion": round(dimensions["intermediate_size"] / dimensions["hidden_size"], 4),
        "heads": dimensions["num_attention_heads"],
        "kv_heads": dimensions["num_key_value_heads"],
        "parameters": parameters,
        "embedding_share": architecture.embedding_parameters() / parameters,
        "flops_per_token": architecture.flops_per_token(seq_len),
        "kv_cache_bytes_per_token": architecture.kv_cache_bytes(1),
        "overrides": [
            f"+arch={family.name}",
            *family.overrides,
            *settings,
            f"tokenizer.vocab_size={dimensions['vocab_size']}",
        ],
    }


def render(result: Mapping[str, Any]) -> str:
    """Show sampled shapes on a terminal, and the command line of each."""
    rows = result["rows"]
    lines = [
        f"{len(rows)} of {result['possible']} shapes of {result['budget']:.4g} parameters, within "
        f"{100 * result['tolerance']:g} %; FLOPs at {result['seq_len']:,} tokens, forward and backward; KV cache in "
        "2 bytes",
        "",
        f"{'':3} {'arch':12} {'depth':>5} {'width':>6} {'FFN':>6} {'exp.':>5} {'heads':>7} {'parameters':>14} "
        f"{'embed.':>7} {'FLOPs/token':>11} {'KV bytes/token':>14}",
    ]
    for number, row in enumerate(rows, 1):
        heads = f"{row['heads']}/{row['kv_heads']}"
        cache = row["kv_cache_bytes_per_token"]
        lines.append(
            f"{number:3} {row['arch']:12} {row['depth']:5} {row['width']:6} {row['feed_forward']:6} "
            f"{row['expansion']:5.2f} {heads:>7} {row['parameters']:14,} {row['embedding_share']:7.2%} "
            f"{row['flops_per_token']:11.3e} {'?' if cache is None else format(cache, ','):>14}"
        )
    lines += ["", "To run one: python -m core.run +data=<recipe> and its line."]
    lines += [f"{number:3} {' '.join(row['overrides'])}" for number, row in enumerate(rows, 1)]
    return "\n".join(lines)


def _range(bounds: tuple[float, float]) -> str:
    return f"{bounds[0]:g}-{bounds[1]:g}"
