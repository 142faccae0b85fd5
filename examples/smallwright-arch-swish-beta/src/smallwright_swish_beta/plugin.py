"""What this package adds to smallwright: the architecture ``swish_beta``."""

from core.hooks import Register, RegisterPackage, hookimpl

PLUGIN_API_VERSION = 1


@hookimpl
def register_configs(register: RegisterPackage) -> None:
    register("smallwright_swish_beta.conf")


@hookimpl
def register_architectures(register: Register) -> None:
    register(
        "swish_beta",
        "smallwright_swish_beta.architecture:SwishBeta",
        config="smallwright_swish_beta.config:SwishBetaConfig",
    )
