"""Hooks of the tokenizer plugin."""

from core.hooks import Register, RegisterPackage, hookimpl

PLUGIN_API_VERSION = 1


@hookimpl
def register_configs(register: RegisterPackage) -> None:
    register("smallwright_tokenizer.conf")


@hookimpl
def register_tokenizers(register: Register) -> None:
    config = "smallwright_tokenizer.config:BpeConfig"
    register("bpe", "smallwright_tokenizer.stage:Bpe", config=config, artifact_version=2)


@hookimpl
def register_packers(register: Register) -> None:
    config = "smallwright_tokenizer.config:PackedConfig"
    ready = "smallwright_tokenizer.config:DataTroveConfig"
    register("datatrove", "smallwright_tokenizer.stage:DataTroveTokens", config=ready, artifact_version=1)
    config_of_ready = "smallwright_tokenizer.config:ReadyConfig"
    register("ready", "smallwright_tokenizer.stage:ReadyTokens", config=config_of_ready)
    register("packed", "smallwright_tokenizer.stage:Packed", config=config, artifact_version=3)
