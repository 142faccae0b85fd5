"""What this package adds to smallwright: the architecture ``pangu_pi`` and its configuration."""

from core.hooks import Register, RegisterPackage, hookimpl

PLUGIN_API_VERSION = 1


@hookimpl
def register_configs(register: RegisterPackage) -> None:
    register("smallwright_pangu_pi.conf")


@hookimpl
def register_architectures(register: Register) -> None:
    register(
        "pangu_pi", "smallwright_pangu_pi.architecture:PanguPi", config="smallwright_pangu_pi.config:PanguPiConfig"
    )
