"""Hooks of the FineWeb plugin: recipes, no code."""

from core.hooks import RegisterPackage, hookimpl

PLUGIN_API_VERSION = 1


@hookimpl
def register_configs(register: RegisterPackage) -> None:
    register("smallwright_fineweb.conf")
