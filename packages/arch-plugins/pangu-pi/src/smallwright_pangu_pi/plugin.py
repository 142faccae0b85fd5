"""What this package adds to smallwright: the architecture ``pangu_pi`` and its configuration."""

from core.hooks import hookimpl

PLUGIN_API_VERSION = 1


@hookimpl
def register_configs(register):
    register("smallwright_pangu_pi.conf")


@hookimpl
def register_architectures(register):
    register(
        "pangu_pi", "smallwright_pangu_pi.architecture:PanguPi", config="smallwright_pangu_pi.config:PanguPiConfig"
    )
