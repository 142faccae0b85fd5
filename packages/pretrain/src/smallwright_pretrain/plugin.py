"""Hooks of the pretraining plugin."""

from core.hooks import hookimpl

PLUGIN_API_VERSION = 1


@hookimpl
def register_configs(register):
    register("smallwright_pretrain.conf")


@hookimpl
def register_trainers(register):
    register(
        "torchtitan",
        "smallwright_pretrain.stage:TorchTitanPretrain",
        config="smallwright_pretrain.config:TorchTitanConfig",
    )
