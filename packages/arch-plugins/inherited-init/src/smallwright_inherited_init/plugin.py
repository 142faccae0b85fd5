"""What this package adds to smallwright: the initializer ``inherited_init`` and the option ``arch=inherited_init``."""

from core.hooks import Register, RegisterPackage, hookimpl

PLUGIN_API_VERSION = 1


@hookimpl
def register_configs(register: RegisterPackage) -> None:
    register("smallwright_inherited_init.conf")


@hookimpl
def register_initializers(register: Register) -> None:
    register(
        "inherited_init",
        "smallwright_inherited_init.stage:InheritedInit",
        config="smallwright_inherited_init.config:InheritedInitConfig",
        artifact_version=2,
    )
