"""Hooks of the scorers plugin."""

from core.hooks import hookimpl

PLUGIN_API_VERSION = 1


@hookimpl
def register_configs(register):
    register("smallwright_scorers.conf")


@hookimpl
def register_steps(register):
    config = "smallwright_scorers.config:"
    register("score_rules", "smallwright_scorers.rules:ScoreRules", config=config + "ScoreRulesConfig")
    register("score_llm", "smallwright_scorers.llm:ScoreLlm", config=config + "ScoreLlmConfig")
    register("classifier", "smallwright_scorers.classifier:Classifier", config=config + "ClassifierConfig")
