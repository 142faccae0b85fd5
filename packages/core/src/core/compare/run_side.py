"""A run as a side: one of the models that it evaluated, by its ``report.json``."""

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from core import report as reports
from core import store
from core.compare import settings
from core.compare import sides as sides_of
from core.compare.sides import Side
from core.errors import ArtifactError, InputError, reading


def sides(argument: str, folder: Path, model: str | None, root: Path | None, *, every: bool) -> list[Side]:
    """Return the side of a run, or one for each model that it evaluated.

    Args:
        argument: What the user wrote, for messages.
        folder: Of the run.
        model: Name of the stage of one of its models (``pretrain``, ``sft``); None: the last that was evaluated.
        root: The store, where it is not the report's.
        every: Take all models, where none is named.

    Raises:
        InputError: the report is damaged or of another version, or has no evaluation of the model.
    """
    path = folder / reports.NAME
    with reading(path, "Run its command again."):
        report = json.loads(path.read_text(encoding="utf-8"))
        version = report.get("version", 1)
        if version != reports.VERSION:
            raise InputError(
                f"{argument}: {path} has version {version}, this core reads {reports.VERSION}. Run its command again."
            )
        models = list(dict.fromkeys(str(row["model"]) for row in report["eval"]))
        if not models:
            raise InputError(
                f"{argument}: the run has no evaluation. Run its command with a model and eval=<option>, or compare "
                "another run."
            )
        if model is not None and model not in models:
            raise InputError(f"{argument}: the run evaluated {', '.join(models)}, not {model!r}. Name one of them.")
        wanted = [model] if model is not None else models if every else models[-1:]
        run = _Run(argument, folder, report, root, models)
        if model is None and len(wanted) > 1:  # of one run the models alone tell them apart
            return [
                dataclasses.replace(side, argument=f"{argument}:{name}", names=(name, *side.names))
                for name in wanted
                for side in [run.side(name)]
            ]
        return [run.side(name) for name in wanted]


class _Run:
    def __init__(
        self, argument: str, folder: Path, report: Mapping[str, Any], root: Path | None, models: Sequence[str]
    ) -> None:
        self.argument, self.folder, self.report, self.root, self.models = argument, folder, report, root, models
        self.stages: list[Mapping[str, Any]] = report["stages"]
        self.inputs = {_key(node["artifact"]): node.get("inputs", {}) for node in report["lineage"]}
        self.by_key = {_key(stage["artifact"]): stage for stage in self.stages}

    def side(self, model: str) -> Side:
        evaluation = next((stage for stage in self.stages if self._evaluates(stage) == model), None)
        artifact = self._place(evaluation["artifact"]) if evaluation is not None else None
        manifest = _manifest(artifact)
        known = (manifest or {}).get("config") or {}
        rows = [row for row in self.report["eval"] if row["model"] == model]
        scores = sides_of.scores(rows, artifact if manifest is not None else None, known)
        made_by = list(self._made_by(model))
        names = {stage["name"] for stage in made_by}
        known_stages = [_manifest(self._place(stage["artifact"])) for stage in made_by]
        resolved = settings.of_manifests(made for made in known_stages if made is not None)
        if manifest is not None:
            resolved |= settings.of_manifests([manifest])
        suffix = f":{model}" if len(self.models) > 1 else ""
        trained = self.report.get("pretrain") or {}
        start = self.report.get("started_from") or {}
        methods = [self.report["posttrain"].get(name) or {} for name in self.report["posttrain"] if name in names]
        peaks = [stage["peak_memory_bytes"] for stage in made_by if stage.get("peak_memory_bytes")]
        notes = () if manifest is not None else ("its evaluation is not in the store: only its scores are compared.",)
        return Side(
            argument=self.argument,
            names=(f"{self.report['name']}{suffix}", f"{self.folder.name}{suffix}", f"{self.folder}{suffix}"),
            kind="run",
            headline=str(self.report["headline"]),
            scores=scores,
            config=settings.of_config(self.report["config"], names),
            resolved=resolved,
            curves={
                name: (_key(next(stage["artifact"] for stage in made_by if stage["name"] == name)), _whole(curves))
                for name, curves in self.report["curves"].items()
                if name in names
            },
            parameters=trained.get("stored_parameters") or start.get("stored_parameters"),
            tokens=sum(summary.get("tokens") or 0 for summary in (trained, *methods)) or None,
            seconds=sum(stage.get("seconds_when_made", stage["seconds"]) for stage in made_by),
            peak_memory_bytes=max(peaks, default=None),
            made=frozenset(
                [_key(evaluation["artifact"])] if evaluation is not None else [f"{self.folder.resolve()}:{model}"]
            ),
            notes=notes,
        )

    def _evaluates(self, stage: Mapping[str, Any]) -> str | None:
        """Return the name of the stage whose model a stage evaluates; None: it is no evaluation."""
        key = _key(stage["artifact"])
        if not key.startswith("eval/"):
            return None
        evaluated = self.by_key.get(_key(self.inputs.get(key, {}).get("model", "")))
        if evaluated is not None:
            return str(evaluated["name"])
        # Of what is no longer in the lineage the name is known: eval-sft evaluates sft.
        return str(stage["name"]).partition("-")[2] or self.models[0]

    def _made_by(self, model: str) -> Iterator[Mapping[str, Any]]:
        """Yield the stages that made a model: those up to its own, without evaluations."""
        for stage in self.stages:
            if not _key(stage["artifact"]).startswith("eval/"):
                yield stage
            if stage["name"] == model:
                return

    def _place(self, artifact: str) -> Path:
        if self.root is not None:
            return self.root / _key(artifact)
        made_in = Path(self.report["made"]["store"]) / _key(artifact)
        return made_in if made_in.is_dir() else Path(artifact)


def _whole(curves: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """Return curves as they are.

    Raises:
        LookupError, TypeError, ValueError: one lacks its name or a number.
    """
    for curve in curves:
        _ = curve["key"], curve["name"], curve["unit"], [(float(x), float(y)) for x, y in curve["points"] or ()]
    return curves


def _key(artifact: str) -> str:
    """Return folder and name of an artifact, which are the same in every store."""
    return "/".join(Path(artifact).parts[-2:])


def _manifest(artifact: Path | None) -> dict[str, Any] | None:
    """Return the manifest of an artifact, None where it has gone or is damaged: the report has what it needs."""
    try:
        return store.load_manifest(artifact) if artifact is not None else None
    except (ArtifactError, OSError):
        return None
