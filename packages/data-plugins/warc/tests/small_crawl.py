"""A small demonstration crawl, for tests that read many records."""

from pathlib import Path

import pytest
from core import typed
from core.discovery import load
from core.errors import UserError
from core.interfaces import Job


def write_crawl(folder: Path, files: int = 2) -> list[Path]:
    """Write some 50 pages with the damage that crawls have into ``folder/files``, and return the archives in order."""
    try:
        source = load().get("sources", "demo_crawl")
    except UserError:
        pytest.skip("the crawl that is read here comes from smallwright-data-demo-crawl")
    settings = {"scale": 0.05, "files": files, "contaminate_with": (), "oversized_bytes": 1 << 21}
    config = typed.build(source.load_config(), settings, "data.source")
    source.load()(config).run(Job(name="crawl", output=folder, inputs={}, seed=3))
    return sorted((folder / "files").iterdir())
