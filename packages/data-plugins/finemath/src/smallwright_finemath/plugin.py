"""Hooks of the FineMath plugin: a recipe, no code."""

from core.hooks import hookimpl

PLUGIN_API_VERSION = 1


@hookimpl
def register_configs(register):
    register("smallwright_finemath.conf")
