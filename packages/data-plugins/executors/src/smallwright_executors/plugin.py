"""Hooks of the executors plugin."""

from core.hooks import Register, RegisterPackage, hookimpl

PLUGIN_API_VERSION = 1


@hookimpl
def register_configs(register: RegisterPackage) -> None:
    register("smallwright_executors.conf")


@hookimpl
def register_executors(register: Register) -> None:
    config = "smallwright_executors.config:"
    register("ray", "smallwright_executors.ray_executor:RayExecutor", config=config + "RayConfig")
    register("slurm", "smallwright_executors.slurm_executor:SlurmExecutor", config=config + "SlurmConfig")
