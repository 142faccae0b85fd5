"""What this package adds to smallwright: pages of runs and sweeps, their index, and the page of ``core.inspect``."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.hooks import hookimpl

if TYPE_CHECKING:
    from core.run import Run

PLUGIN_API_VERSION = 1


@hookimpl
def run_finished(run: "Run") -> None:
    from smallwright_report import index, run_page

    page = run_page.of_folder(run.directory, run.id)
    if page is not None:
        run.pages.append(page)
        if run.config.get("run_dir") is None or run.directory.parent.name == index.RUNS:
            index.write(run.directory.parent)


@hookimpl
def make_page(kind: str, data: Any, path: Path) -> Path | None:
    from smallwright_report import bench_page, compare_page, index, inspect_page, page, run_page, study_page, sweep_page

    makers = {"run": run_page.render, "inspect": inspect_page.render}
    makers["sweep"] = sweep_page.render
    makers["compare"] = compare_page.render
    makers["study"] = study_page.render
    makers["bench"] = bench_page.render
    if kind not in makers:
        return None
    page.write(path, makers[kind](data))
    if kind in ("sweep", "study", "compare") and path.parent.parent.name == index.RUNS:
        index.write(path.parent.parent)
    return path
