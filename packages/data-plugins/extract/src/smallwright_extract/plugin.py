"""Hooks of the extraction plugin."""

from core.hooks import Register, hookimpl

PLUGIN_API_VERSION = 1


@hookimpl
def register_steps(register: Register) -> None:
    register(
        "extract_text",
        "smallwright_extract.step:ExtractText",
        config="smallwright_extract.config:ExtractTextConfig",
        artifact_version=4,
    )
