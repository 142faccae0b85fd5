"""Hooks of the labels plugin."""

from core.hooks import Register, RegisterPackage, hookimpl

PLUGIN_API_VERSION = 1


@hookimpl
def register_configs(register: RegisterPackage) -> None:
    register("smallwright_labels.conf")


@hookimpl
def register_steps(register: Register) -> None:
    config = "smallwright_labels.config:"
    register("score_rules", "smallwright_labels.rules:ScoreRules", config=config + "ScoreRulesConfig")
    register("score_llm", "smallwright_labels.llm:ScoreLlm", config=config + "ScoreLlmConfig", artifact_version=2)
