"""Data files of a dataset: of the Hugging Face hub, or of a local folder laid out like one."""

import contextlib
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from core import hub
from core.errors import InputError, MissingPluginError, nearest
from core.writing import files_in

from smallwright_files.endings import ROWS, kind_of

SECONDS = 20.0
"""How long the hub may take to answer."""


def list_files(dataset: str, name: str | None, split: str, revision: str | None) -> tuple[str, ...]:
    """Return the data files of a split, in order: ``hf://datasets/<id>@<commit>/<path>``, or local paths.

    Raises:
        InputError: there is no such dataset, configuration, split or revision; its files are of a kind that cannot be
            streamed.
        NotAtHand: the hub cannot be reached.
    """
    try:
        import datasets
    except ImportError as error:
        raise MissingPluginError(
            f"data.steps.read.dataset={dataset}: needs the library 'datasets'. Install it: "
            "pip install 'smallwright-data-files[hub]'"
        ) from error
    local = Path(dataset).expanduser()
    commit = None if local.is_dir() else _commit(dataset, revision)
    try:
        datasets.disable_progress_bars()
        with _plain_folder(local) if commit is None else contextlib.nullcontext(dataset) as place:
            builder = datasets.load_dataset_builder(place, name, revision=commit)
            data_files = {str(key): list(map(str, files)) for key, files in (builder.config.data_files or {}).items()}
        if commit is None:
            root = str(local.resolve())
            data_files = {key: [root + file[len(place) :] for file in files] for key, files in data_files.items()}
    except Exception as error:  # the library reads what others published, and documents no exceptions
        raise InputError(f"data.steps.read.dataset={dataset}: {_explain(error, name)}") from error
    if split not in data_files:
        known = list(data_files)
        raise InputError(
            f"data.steps.read.split={split}: {dataset} has no such split.{nearest(split, known)} "
            f"Its splits: {', '.join(known) or 'none with files'}."
        )
    files = tuple(dict.fromkeys(data_files[split]))
    unknown = Counter(kind_of(file) or "no ending" for file in files if kind_of(file) not in ROWS)
    if unknown:
        raise InputError(
            f"data.steps.read.dataset={dataset}: its files are of a kind that cannot be read by rows "
            f"({', '.join(sorted(unknown))}); read_hub reads JSONL, Parquet, CSV and Arrow."
        )
    return files


@contextlib.contextmanager
def _plain_folder(local: Path) -> Iterator[str]:
    """Give the folder's path; where it has signs that ``datasets`` takes for a pattern, one of links to its files."""
    resolved = local.resolve()
    if not set("*?[]") & set(str(resolved)):
        yield str(resolved)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary).resolve() / resolved.name.translate(str.maketrans("*?[]", "____"))
        for path in files_in(resolved):
            link = folder / path.relative_to(resolved)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path)
        yield str(folder)


def _commit(dataset: str, revision: str | None) -> str:
    """Return the commit that a revision names now. It takes one request, so a missing network shows at once."""
    where = f"data.steps.read.dataset={dataset}"
    if dataset.startswith((".", "/", "~")) or dataset.count("/") > 1:
        raise InputError(f"{where}: no such folder, and no hub id (owner/name).")
    said = where if revision is None else f"{where} data.steps.read.revision={revision}"
    missing, then = "a data set of the hub is streamed", " Give a local folder instead, or try again."
    with hub.asking(said, dataset, "dataset", revision, missing=missing, then=then):
        return str(hub.client(where).HfApi().dataset_info(dataset, revision=revision, timeout=SECONDS).sha)


def _explain(error: Exception, name: str | None) -> str:
    text = " ".join(str(error).split())[:300] or type(error).__name__
    if "BuilderConfig" in text and "not found" in text:
        return f"no configuration {name!r}.{text.partition('not found.')[2]}"
    if "script" in text.lower():
        return "it has code of its own, which is not run. It may have a Parquet branch: revision=refs/convert/parquet"
    if "No (supported) data files" in text or "doesn't contain any data files" in text:
        return "no data files in it that can be read by rows; read_hub reads JSONL, Parquet, CSV and Arrow."
    return text
