"""Hooks of the extraction plugin."""

from core.hooks import hookimpl

PLUGIN_API_VERSION = 1


@hookimpl
def register_steps(register):
    register(
        "extract_text", "smallwright_extract.step:ExtractText", config="smallwright_extract.config:ExtractTextConfig"
    )
