"""Was a benchmark looked for in what trained a model: from its lineage, which ends at the corpora.

A step that removes documents with items of benchmarks has the setting ``against``, which names them, and counts in the
table ``contaminated documents`` of its report how many documents it found for each.
"""

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from core import lineage, store
from core.errors import ArtifactError

AGAINST, TABLE = "against", "contaminated documents"
YES, NO, PARTLY, UNKNOWN = "yes", "no", "partly", "unknown"
TRAINED_ON = ("model", "init", "tokens", "corpus")
"""Roles, also ``tokens-<recipe>``, of inputs whose text went into a model; a tokenizer learns none of it by heart."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """One piece of what trained a model."""

    name: str
    looked_for: Mapping[str, int] | None
    """Benchmark to the documents that were removed for it; None: nobody knows."""
    reason: str
    """Where that is from, or why it is not known."""


def sources(artifact: Path) -> list[Source]:
    """Return what trained a model, each piece once; what came from outside is one that nobody knows.

    Args:
        artifact: Of the model.
    """
    found: dict[Path, Source] = {}
    _visit(artifact, found)
    return list(found.values())


def _visit(artifact: Path, found: dict[Path, Source]) -> None:
    try:
        manifest = store.load_manifest(artifact)
    except (ArtifactError, OSError):
        manifest = None
    if manifest is None:
        reason = f"{artifact.name} was made elsewhere: it has no manifest"
        found[artifact] = Source(name=artifact.name, looked_for=None, reason=reason)
        return
    folder, summary = manifest["folder"], manifest.get("summary") or {}
    if folder == "data":
        found[artifact] = _of_corpus(artifact.name, manifest.get("config") or {}, summary)
        return
    before = {role: path for role, path in manifest["inputs"].items() if role.partition("-")[0] in TRAINED_ON}
    for path in before.values():
        place = lineage.place_of(path, artifact)
        if place not in found:
            _visit(place, found)
    if folder == "posttrain":
        what = (manifest.get("config") or {}).get("dataset") or "its own examples"
        reason = f"the examples of {manifest['stage']} ({what}) are not looked through"
        found[artifact] = Source(name=str(manifest["stage"]), looked_for={}, reason=reason)
    elif not before and folder != "init":
        origin = summary.get("origin") or artifact.name
        reason = f"{origin} came from outside: what it was made from is not recorded"
        found[artifact] = Source(name=artifact.name, looked_for=None, reason=reason)


def _of_corpus(name: str, config: Mapping[str, Any], summary: Mapping[str, Any]) -> Source:
    looked_for: dict[str, int] = {}
    steps = []
    for label, step in (config.get("steps") or {}).items():
        settings = {**(step.get("like") or {}), **step} if isinstance(step, Mapping) else {}
        against = settings.get(AGAINST)
        if not isinstance(against, (list, tuple)):
            continue
        steps.append(label)
        tables = ((summary.get("step_reports") or {}).get(label) or {}).get("tables") or {}
        counted = {str(key): int(count) for key, count in (tables.get(TABLE) or {}).items()}
        for benchmark in map(str, against):
            names = (benchmark, *_endings(benchmark))
            looked_for[benchmark] = next((counted[known] for known in names if known in counted), 0)
    reason = f"{' and '.join(steps)} of {name}" if steps else f"no step of {name} looks for benchmarks"
    return Source(name=name, looked_for=looked_for, reason=reason)


def _endings(benchmark: str) -> Iterator[str]:
    """Yield the names that a step may give a file in its report: its own, and with folders before it."""
    parts = _parts(benchmark)
    yield from ("/".join(parts[-depth:]) for depth in range(1, len(parts) + 1))


def _parts(benchmark: str) -> list[str]:
    *folders, file = re.split(r"[:/]", benchmark)
    return [*folders, file.split(".")[0]]


def of_task(found: Sequence[Source], names: Sequence[str]) -> dict[str, Any]:
    """Return whether what trained a model was cleaned of a task.

    Args:
        found: Of :func:`sources`.
        names: By which the task can be known in a list: its own, its group's, those of its data.

    Returns:
        ``checked`` (``yes``: in all that trained it; ``partly``; ``no``; ``unknown``), ``documents_removed`` (None
        where it is unknown) and ``reason``.
    """
    removed, reasons = 0, []
    states = set()
    for source in found:
        if source.looked_for is None:
            states.add(UNKNOWN)
            reasons.append(source.reason)
            continue
        listed = {name: n for name, n in source.looked_for.items() if name in names or set(_parts(name)) & {*names}}
        states.add(YES if listed else NO)
        removed += sum(listed.values())
        if listed:
            reasons.append(f"{source.reason} removed {sum(listed.values()):,} documents with items of it")
        else:
            also = f" (it looked for {', '.join(source.looked_for)})" if source.looked_for else ""
            reasons.append(source.reason + (f" does not list it{also}" if also else ""))
    unknown = not states or UNKNOWN in states
    return {
        "checked": UNKNOWN if unknown else PARTLY if len(states) > 1 else states.pop(),
        "documents_removed": None if unknown else removed,
        "reason": "; ".join(reasons) or "nothing is known of what trained it",
    }
