"""Runs of a recipe for the tests of data steps, and what they left."""

import atexit
import dataclasses
import functools
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from core import store
from core.errors import InputError
from core.interfaces import Job

READER = Path(__file__).with_name("conformance_reader.py")
LABEL = "tested"
"""The step's key in the recipe."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a run left on disk."""

    folder: Path
    ledger: dict[str, Any]
    """The step's entry of the funnel: in, kept, rejected, failed."""
    kept: list[dict[str, Any]]
    """Rows of ``documents/``."""
    aside: list[dict[str, Any]]
    """Rows of ``rejected/`` that this step set aside."""

    def digests(self) -> dict[str, str]:
        """Return the digest of every file of the artifact, by its path."""
        folders = [self.folder / name for name in ("documents", "rejected", "reports")]
        files = [self.folder / "funnel.json", *(path for folder in folders for path in sorted(folder.rglob("*")))]
        return {str(path.relative_to(self.folder)): store.file_digest(path) for path in files if path.is_file()}

    def decisions(self) -> set[tuple[str, ...]]:
        """Return what was decided on each document, without the order and the file that it is in."""
        kept = {("kept", row["id"], row["text"]) for row in self.kept}
        return kept | {(row["outcome"], row["id"], row["reason"]) for row in self.aside}


def run_recipe(
    folder: Path,
    files: Iterable[Path],
    steps: Mapping[str, Mapping[str, Any]],
    plugin_files: tuple[str, ...],
    *,
    executor: Any = None,
    progress: Callable[..., None] = lambda *_, **__: None,
) -> Outcome:
    """Run ``steps``, the last of them the tested one, over ``files``, with this process or an ``executor``."""
    import pyarrow.parquet as pq
    from core.data.executor import LocalExecutor
    from core.data.recipe import LocalExecutorConfig, RecipeConfig
    from core.data.runner import Recipe

    folder.mkdir(parents=True, exist_ok=True)
    job = Job(
        name="data",
        output=folder,
        inputs={},
        seed=0,
        plugin_files=plugin_files,
        executor=executor or LocalExecutor(LocalExecutorConfig(workers=1), plugin_files),
        progress=progress,  # type: ignore[arg-type]
    )
    config = RecipeConfig(steps=dict(steps), paths=tuple(map(str, files)))
    try:
        funnel = Recipe(config).run(job)["funnel"]
    except InputError as error:
        if "no document is left" not in str(error):  # a step may drop everything: it must account for it
            raise
        funnel = json.loads((folder / "funnel.json").read_text())
    place = len(steps) - 1
    kept = [row for path in sorted((folder / "documents").glob("*.parquet")) for row in pq.read_table(path).to_pylist()]
    aside = [
        row
        for path in sorted((folder / "rejected").glob(f"{place:02d}-{LABEL}-*.parquet"))
        for row in pq.read_table(path).to_pylist()
    ]
    return Outcome(folder, funnel[place], kept, aside)


@functools.cache
def two_processes(plugin_files: tuple[str, ...]) -> Any:
    """Return an executor that all tests of this process share; its two processes hash strings in their own ways."""
    from core.data.executor import LocalExecutor
    from core.data.recipe import LocalExecutorConfig

    class Kept(LocalExecutor):
        """Keeps its processes when a stage ends, for the next test."""

        def __exit__(self, *_: object) -> None:
            return None

    executor = Kept(LocalExecutorConfig(workers=2), plugin_files)
    atexit.register(LocalExecutor.__exit__, executor)
    return executor
