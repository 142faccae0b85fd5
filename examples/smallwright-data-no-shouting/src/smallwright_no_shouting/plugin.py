"""What this package adds to smallwright: the data step ``no_shouting``."""

from core.hooks import Register, hookimpl

PLUGIN_API_VERSION = 1


@hookimpl
def register_steps(register: Register) -> None:
    register(
        "no_shouting",
        "smallwright_no_shouting.steps:NoShouting",
        config="smallwright_no_shouting.config:NoShoutingConfig",
    )
