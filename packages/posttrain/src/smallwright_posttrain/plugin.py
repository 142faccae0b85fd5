"""What this package adds to smallwright: the post-training methods ``sft`` and ``dpo``."""

from core.hooks import Register, RegisterPackage, hookimpl

PLUGIN_API_VERSION = 1


@hookimpl
def register_configs(register: RegisterPackage) -> None:
    register("smallwright_posttrain.conf")


@hookimpl
def register_posttrainers(register: Register) -> None:
    register(
        "sft", "smallwright_posttrain.sft:Sft", config="smallwright_posttrain.config:SftConfig", artifact_version=2
    )
    register(
        "dpo", "smallwright_posttrain.dpo:Dpo", config="smallwright_posttrain.config:DpoConfig", artifact_version=2
    )
