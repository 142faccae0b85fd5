"""Hooks of the pretraining plugin."""

from core.hooks import Register, RegisterPackage, hookimpl

PLUGIN_API_VERSION = 1


@hookimpl
def register_configs(register: RegisterPackage) -> None:
    register("smallwright_pretrain.conf")


@hookimpl
def register_trainers(register: Register) -> None:
    register(
        "torchtitan",
        "smallwright_pretrain.stage:TorchTitanPretrain",
        config="smallwright_pretrain.config:TorchTitanConfig",
        artifact_version=3,
    )
