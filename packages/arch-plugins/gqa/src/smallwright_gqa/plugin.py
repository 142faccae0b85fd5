"""What this package adds to smallwright: the architecture ``gqa`` and its configuration."""

from core.hooks import Register, RegisterPackage, hookimpl

PLUGIN_API_VERSION = 1


@hookimpl
def register_configs(register: RegisterPackage) -> None:
    register("smallwright_gqa.conf")


@hookimpl
def register_architectures(register: Register) -> None:
    register("gqa", "smallwright_gqa.architecture:GQA", config="smallwright_gqa.config:GQAConfig")
