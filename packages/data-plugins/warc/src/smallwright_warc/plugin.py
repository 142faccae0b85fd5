"""Hooks of the WARC plugin."""

from core.hooks import Register, hookimpl

PLUGIN_API_VERSION = 1


@hookimpl
def register_steps(register: Register) -> None:
    config = "smallwright_warc.config:"
    register("read_warc", "smallwright_warc.read:ReadWarc", config=config + "ReadWarcConfig", artifact_version=3)
    register(
        "read_index", "smallwright_warc.read_index:ReadIndex", config=config + "ReadIndexConfig", artifact_version=3
    )
    register("refetch", "smallwright_warc.refetch:Refetch", config=config + "RefetchConfig", artifact_version=3)
    register("captures", "smallwright_warc.captures:Captures", config=config + "CapturesConfig")
