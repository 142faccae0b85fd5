"""Core's own plugin: the recipe of steps, which is the common way to build a corpus, and its local executor."""

from core.hooks import Register, RegisterPackage, hookimpl

PLUGIN_API_VERSION = 1


@hookimpl
def register_configs(register: RegisterPackage) -> None:
    register("core.conf")


@hookimpl
def register_executors(register: Register) -> None:
    register("local", "core.data.executor:LocalExecutor", config="core.data.recipe:LocalExecutorConfig")


@hookimpl
def register_corpora(register: Register) -> None:
    register("recipe", "core.data.runner:Recipe", config="core.data.recipe:RecipeConfig")
