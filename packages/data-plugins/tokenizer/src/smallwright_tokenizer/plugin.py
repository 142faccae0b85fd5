"""Hooks of the tokenizer plugin."""

from core.hooks import Register, RegisterPackage, hookimpl

PLUGIN_API_VERSION = 1


@hookimpl
def register_configs(register: RegisterPackage) -> None:
    register("smallwright_tokenizer.conf")


@hookimpl
def register_tokenizers(register: Register) -> None:
    register("bpe", "smallwright_tokenizer.stage:Bpe", config="smallwright_tokenizer.config:BpeConfig")


@hookimpl
def register_packers(register: Register) -> None:
    register("packed", "smallwright_tokenizer.stage:Packed", config="smallwright_tokenizer.config:PackedConfig")
