"""Hooks of the WARC plugin."""

from core.hooks import Register, hookimpl

PLUGIN_API_VERSION = 1


@hookimpl
def register_steps(register: Register) -> None:
    register("read_warc", "smallwright_warc.read:ReadWarc", config="smallwright_warc.config:ReadWarcConfig")
    register("read_index", "smallwright_warc.read_index:ReadIndex", config="smallwright_warc.config:ReadIndexConfig")
    register("refetch", "smallwright_warc.refetch:Refetch", config="smallwright_warc.config:RefetchConfig")
    register("captures", "smallwright_warc.captures:Captures", config="smallwright_warc.config:CapturesConfig")
