"""Core's own plugin: the recipe of steps, which is the common way to build a corpus, and its local executor."""

from core.hooks import hookimpl

PLUGIN_API_VERSION = 1


@hookimpl
def register_configs(register):
    register("core.conf")


@hookimpl
def register_executors(register):
    register("local", "core.data.executor:LocalExecutor", config="core.data.recipe:LocalExecutorConfig")


@hookimpl
def register_corpora(register):
    register("recipe", "core.data.runner:Recipe", config="core.data.recipe:RecipeConfig")
