"""What a child can inherit from a source; everything else is refused with both values."""

import math
from collections.abc import Sequence
from typing import Any

from core.errors import UserError
from smallwright_decoder.rope_scaling import Scaling

from smallwright_inherited_init.config import MEASURED_LAYERS, InheritedInitConfig
from smallwright_inherited_init.family import Dimensions
from smallwright_inherited_init.layer_choice import select_layers

CUT = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads")
SAME = ("head_dim", "rope_theta", "rope_scaling", "rms_norm_eps", "activation", "qk_norm", "qkv_bias")
SAME_PARTS = ("series_activation", "augmented_shortcuts", "shortcut_reduction")


def check(source: Dimensions, child: Dimensions, config: InheritedInitConfig) -> None:
    """Refuse a child that is no part of the source; layers that have to be measured are left to :func:`check_layers`.

    Raises:
        core.errors.UserError: naming every setting that clashes, with both values.
    """
    found = []
    for key in CUT:
        large, small = getattr(source, key), getattr(child, key)
        if small > large:
            found.append(f"arch.{key}={small}: larger than the source's {large}. Set it to {large} or less.")
    if found:
        found[-1] += " Or take a larger source: arch.initializer.source or arch.initializer.source_size."
    for key in SAME + SAME_PARTS:
        theirs, ours = getattr(source, key), getattr(child, key)
        if key == "shortcut_reduction" and not source.augmented_shortcuts:
            continue
        if isinstance(theirs, float) and math.isclose(ours, theirs, rel_tol=1e-6):
            continue  # a number that was kept as a float32 comes back rounded
        if ours != theirs:
            advice = theirs.advice() if isinstance(theirs, Scaling) else f"arch.{key}={_show(theirs)}"
            fix = f"Set {advice}." if advice else "No setting of the child gives that: choose another source."
            found.append(f"arch.{key}={_show(ours)}: the source was trained with {_show(theirs)}. {fix}")
    if child.num_key_value_heads <= source.num_key_value_heads:
        found += _heads(source, child, config)
    if source.tie_word_embeddings is False and child.tie_word_embeddings:
        found.append(
            "arch.tie_word_embeddings=true: the source's embedding and head differ. Set arch.tie_word_embeddings=false."
        )
    if config.layers not in MEASURED_LAYERS:
        found += _chosen_layers(source, child, config)
    _refuse(found)


def check_layers(source: Dimensions, child: Dimensions, layers: Sequence[int], config: InheritedInitConfig) -> None:
    """Refuse kept layers that would run in another way than they were trained in.

    Args:
        layers: The source's layer for each of the child's.

    Raises:
        core.errors.UserError: naming both layers.
    """
    _refuse(_layers(source, child, layers, config))


def _refuse(clashes: Sequence[str]) -> None:
    if clashes:
        raise UserError(" Also ".join(clashes))


def _heads(source: Dimensions, child: Dimensions, config: InheritedInitConfig) -> list[str]:
    """Return whether more query heads come to a key/value head than the source, or its averages, have."""
    large, small = source.queries_per_group, child.queries_per_group
    if config.key_value_heads == "mean":
        if source.num_key_value_heads % child.num_key_value_heads:
            return [
                f"arch.num_key_value_heads={child.num_key_value_heads}: must divide the source's "
                f"{source.num_key_value_heads} to be the means of neighbours. Or set "
                "arch.initializer.key_value_heads=rank."
            ]
        large *= source.num_key_value_heads // child.num_key_value_heads
    if small <= large:
        return []
    return [
        f"arch.num_attention_heads={child.num_attention_heads} over arch.num_key_value_heads="
        f"{child.num_key_value_heads}: {small} query heads share a key/value head, and the source has {large} to "
        f"give. Set arch.num_key_value_heads to {-(-child.num_attention_heads // large)} or more, or "
        "arch.initializer.key_value_heads=mean."
    ]


def _chosen_layers(source: Dimensions, child: Dimensions, config: InheritedInitConfig) -> list[str]:
    if config.layers == "first_last" and child.num_hidden_layers > source.num_hidden_layers:
        return []  # the number of layers is refused already
    try:
        choice = select_layers(config.layers, source.num_hidden_layers, child.num_hidden_layers)
    except UserError as error:
        return [str(error)]
    return _layers(source, child, choice.kept, config)


def _layers(source: Dimensions, child: Dimensions, layers: Sequence[int], config: InheritedInitConfig) -> list[str]:
    """Return the first layer of each kind that would run in another way than it was trained in."""
    found = []
    for what, theirs, ours in (
        ("position embedding (arch.nope_interval)", source.rope_layers, child.rope_layers),
        ("sliding window (arch.sliding_window, arch.global_interval)", source.windows, child.windows),
    ):
        for new, old in enumerate(layers):
            if ours[new] != theirs[old]:
                found.append(
                    f"arch.initializer.layers={list(layers)}: layer {new} of the child has {what} {_show(ours[new])}, "
                    f"the source's layer {old} was trained with {_show(theirs[old])}. Give a list of layers whose "
                    "pattern is the child's."
                )
                break
    if config.shared_ffn == "mean":
        return found
    for group, members in ffn_members(source, child, layers).items():
        if len(members) > 1:
            found.append(
                f"arch.ffn_groups: the layers of the child that share {group} would inherit it from "
                f"{len(members)} feed-forward networks of the source, {', '.join(members)}, and none of them fits all. "
                "Give a source that shares its feed-forward, or set arch.initializer.shared_ffn=mean."
            )
            break
    return found


def ffn_members(source: Dimensions, child: Dimensions, layers: Sequence[int]) -> dict[str, list[str]]:
    """Return the prefixes of the source's feed-forward networks that each of the child's comes from."""
    members: dict[str, list[str]] = {}
    for new, old in enumerate(layers):
        found = members.setdefault(child.ffn(new), [])
        if source.ffn(old) not in found:
            found.append(source.ffn(old))
    return members


def _show(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else "null" if value is None else str(value)
