"""Hooks of the files plugin."""

from core.hooks import Register, RegisterPackage, hookimpl

PLUGIN_API_VERSION = 1


@hookimpl
def register_configs(register: RegisterPackage) -> None:
    register("smallwright_files.conf")


@hookimpl
def register_steps(register: Register) -> None:
    config = "smallwright_files.config:"
    register("read_jsonl", "smallwright_files.read:ReadJsonl", config=config + "ReadJsonlConfig", artifact_version=3)
    register(
        "read_parquet", "smallwright_files.read:ReadParquet", config=config + "ReadParquetConfig", artifact_version=2
    )
    register("read_hub", "smallwright_files.read:ReadHub", config=config + "ReadHubConfig", artifact_version=3)
    register("read_text", "smallwright_files.text:ReadText", config=config + "ReadTextConfig", artifact_version=3)
    register("read_documents", "smallwright_files.artifacts:ReadDocuments", config=config + "ReadDocumentsConfig")
