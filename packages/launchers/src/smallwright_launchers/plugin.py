"""Hooks of the launchers plugin."""

from core.hooks import Register, RegisterPackage, hookimpl

PLUGIN_API_VERSION = 1


@hookimpl
def register_configs(register: RegisterPackage) -> None:
    register("smallwright_launchers.conf")


@hookimpl
def register_launchers(register: Register) -> None:
    config = "smallwright_launchers.config:"
    register("local", "smallwright_launchers.local:LocalLauncher", config=config + "LocalConfig")
    register("allocation", "smallwright_launchers.allocation:AllocationLauncher", config=config + "AllocationConfig")
    register("slurm", "smallwright_launchers.slurm:SlurmLauncher", config=config + "SlurmConfig")
