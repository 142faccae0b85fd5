"""The settings of a run beside those of its parts."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from core import names
from core.typed import setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig:
    """The top-level settings of a run, beside the plugins' groups."""

    store: str = setting("./store", identity=False)
    """Folder of artifacts, reused between runs."""
    run_dir: str | None = setting(None, identity=False)
    """Folder of the report and the logs; None: ./runs/<date>-<name>."""
    name: str | None = setting(None, min_length=1, identity=False)
    """Name of the run; None: made from the choices."""
    observers: Mapping[str, Any] | None = setting(None, identity=False)
    """Settings of plugins that observe the run, each under the plugin's name; None: their defaults."""
    model: str | None = setting(None, min_length=1)
    """Model that the run starts from: an artifact's folder, one of Hugging Face's format, or a hub id, with @<revision>
    for one of its commits. Alone it is evaluated; with +posttrain aligned; with +data trained on."""
    corpus: str | None = setting(None, min_length=1)
    """Corpus that exists, in place of +data: an artifact of the stage data, or a folder of Parquet or JSONL files whose
    documents are in the field ``text``."""
    seed: int = setting(0, ge=0, le=2**32 - 1)
    """What every random choice of the run is drawn from."""

    def __post_init__(self) -> None:
        if not self.store.strip():
            raise ValueError("store is empty: give a folder, store=<dir>, or leave it out for ./store.")
        if self.name is not None:
            names.check(self.name, "name")
