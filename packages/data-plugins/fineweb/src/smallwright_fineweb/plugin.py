"""Hooks of the FineWeb plugin: recipes, no code."""

from core.hooks import hookimpl

PLUGIN_API_VERSION = 1


@hookimpl
def register_configs(register):
    register("smallwright_fineweb.conf")
