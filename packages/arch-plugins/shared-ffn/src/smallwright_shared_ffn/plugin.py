"""What this package adds to smallwright: the architecture ``shared_ffn`` and its configuration."""

from core.hooks import Register, RegisterPackage, hookimpl

PLUGIN_API_VERSION = 1


@hookimpl
def register_configs(register: RegisterPackage) -> None:
    register("smallwright_shared_ffn.conf")


@hookimpl
def register_architectures(register: Register) -> None:
    register(
        "shared_ffn",
        "smallwright_shared_ffn.architecture:SharedFFN",
        config="smallwright_shared_ffn.config:SharedFFNConfig",
    )
