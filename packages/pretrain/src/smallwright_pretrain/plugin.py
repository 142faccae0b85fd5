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
        artifact_version=4,
    )


@hookimpl
def register_schedules(register: Register) -> None:
    module = "smallwright_pretrain.multi_step:"
    register("multi_step", module + "MultiStep", config=module + "MultiStepConfig")


@hookimpl
def register_mixture_policies(register: Register) -> None:
    policies, config = "smallwright_pretrain.policies:", "smallwright_pretrain.policies_config:"
    register("sheared", policies + "Sheared", config=config + "ShearedConfig")
    register("doremi", policies + "DoReMi", config=config + "DoReMiConfig")
    register("odm", policies + "ODM", config=config + "ODMConfig")
    register("rules", policies + "Rules", config=config + "RulesConfig")
    register("rho", "smallwright_pretrain.policies_rho:RHO", config=config + "RHOConfig")
    register("decisions", policies + "Decisions", config=config + "DecisionsConfig")
