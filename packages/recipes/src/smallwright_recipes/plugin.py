"""Hooks of the recipes: a folder of configs, no code."""

from core.hooks import RegisterPackage, hookimpl

PLUGIN_API_VERSION = 1


@hookimpl
def register_configs(register: RegisterPackage) -> None:
    register("smallwright_recipes.conf")
