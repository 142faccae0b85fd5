"""Core's own plugin: the recipe of steps, which is the common way to build a corpus."""

from core.hooks import hookimpl

PLUGIN_API_VERSION = 1


@hookimpl
def register_corpora(register):
    register("recipe", "core.data.runner:Recipe", config="core.data.recipe:RecipeConfig")
