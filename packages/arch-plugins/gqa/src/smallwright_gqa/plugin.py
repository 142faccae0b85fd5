"""What this package adds to smallwright: the architecture ``gqa`` and its configuration."""

from core.hooks import hookimpl

PLUGIN_API_VERSION = 1


@hookimpl
def register_configs(register):
    register("smallwright_gqa.conf")


@hookimpl
def register_architectures(register):
    register("gqa", "smallwright_gqa.architecture:GQA", config="smallwright_gqa.config:GQAConfig")
