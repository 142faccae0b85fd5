"""Settings of sides, flat, and those that differ."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from core.kinds import GROUPS

NOT_COMPARED = ("store", "run_dir", "name", "observers", "executor", "launcher", "tracker")
"""Settings of a run that change nothing of what it makes."""
_OF_THE_ENTRY = ("implementation", "plugin", "artifact_version")
"""What an identity has of an architecture beside its settings."""
_PATH = re.compile(r"(?:\.{0,2}/|~)\S*")


def of_config(config: Mapping[str, Any], stages: Iterable[str]) -> dict[str, Any]:
    """Return the settings of a run flat, without methods of post-training that had no part in the side.

    Args:
        config: As the report has it.
        stages: Names of the stages that made the side's model.
    """
    had_part = set(stages)
    kept = {key: value for key, value in config.items() if key not in (*NOT_COMPARED, "posttrain")}
    methods = {name: value for name, value in (config.get("posttrain") or {}).items() if name in had_part}
    return flat(kept | ({"posttrain": methods} if methods else {}))


def of_manifests(manifests: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the settings of stages with their defaults, flat, under the keys that a run has for them."""
    found: dict[str, Any] = {}
    for manifest in manifests:
        folder, identity = manifest["folder"], manifest["identity"]
        place = f"posttrain.{manifest['stage']}" if folder == "posttrain" else folder
        if folder == "crawl":
            place = "data.source"
        if folder in GROUPS and identity.get("implementation"):
            found[f"{place}.name"] = identity["implementation"]
        found |= flat(manifest.get("config") or {}, place)
        arch = dict(identity.get("arch") or {})
        if arch:
            own = {key: value for key, value in arch.items() if key not in _OF_THE_ENTRY}
            found |= flat({"name": arch.get("implementation"), **own}, "arch")
        if "seed" in identity:
            found[f"{place}.seed"] = identity["seed"]
    return found


def flat(value: Any, place: str = "") -> dict[str, Any]:
    """Return nested settings with dotted keys; a list is a value."""
    if isinstance(value, Mapping) and value:
        found: dict[str, Any] = {}
        for key, inner in value.items():
            found |= flat(inner, f"{place}.{key}" if place else str(key))
        return found
    return {place: value} if place else {}


def differences(
    configs: Sequence[Mapping[str, Any] | None], resolved: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return ``key`` and ``values``, one a side, of the settings that differ; None: a side does not have it.

    Where every side is of a run, these are the settings that the runs were given, and one that a side left out has its
    default. Otherwise they are all settings of the stages. Of paths the last part alone is compared and shown.

    Args:
        configs: Flat settings as given, one a side.
        resolved: Flat settings of the stages, one a side.
    """
    given = [config for config in configs if config is not None]
    if len(given) == len(configs):
        keys = dict.fromkeys(key for config in given for key in config)
        rows = {
            key: [config.get(key, known.get(key)) for config, known in zip(given, resolved, strict=True)]
            for key in keys
        }
    else:
        keys = dict.fromkeys(key for known in resolved for key in known)
        rows = {key: [known.get(key) for known in resolved] for key in keys if not _only_in_parts(key, resolved)}
    shown = {key: [without_place(value) for value in values] for key, values in rows.items()}
    return [
        {"key": key, "values": values}
        for key, values in sorted(shown.items())
        if any(one != values[0] for one in values)
    ]


def _only_in_parts(key: str, resolved: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a setting is the same wherever there is its part of the run: then that part's name says enough."""
    part = ".".join(key.split(".")[: 2 if key.startswith("posttrain.") else 1])
    having = [known for known in resolved if any(other.startswith(f"{part}.") for other in known)]
    if len(having) == len(resolved) or key == f"{part}.name":
        return False
    return all(known.get(key) == having[0].get(key) for known in having)


def without_place(value: Any) -> Any:
    """Return a setting with the last part of each path in it: where files lie makes no difference."""
    if isinstance(value, list | tuple):
        return [without_place(one) for one in value]
    if isinstance(value, str) and _PATH.fullmatch(value):
        return value.rstrip("/").rpartition("/")[2] or value
    return value
