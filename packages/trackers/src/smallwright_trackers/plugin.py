"""Hooks of the trackers plugin."""

from core.hooks import Register, RegisterPackage, hookimpl

PLUGIN_API_VERSION = 1


@hookimpl
def register_configs(register: RegisterPackage) -> None:
    register("smallwright_trackers.conf")


@hookimpl
def register_trackers(register: Register) -> None:
    register("tensorboard", "smallwright_trackers.tensorboard:TensorBoard")
    config = "smallwright_trackers.config:"
    register("wandb", "smallwright_trackers.wandb:WeightsAndBiases", config=config + "WandbConfig")
    register("mlflow", "smallwright_trackers.mlflow:MLflow", config=config + "MLflowConfig")
