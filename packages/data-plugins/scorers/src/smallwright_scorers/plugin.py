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
    classifier, config = "smallwright_scorers.classifier:", "smallwright_scorers.classifier_config:"
    register("classifier", classifier + "Classifier", config=config + "ClassifierConfig")
    register("classifier_fasttext", classifier + "FastTextClassifier", config=config + "FastTextClassifierConfig")
    register("classifier_encoder", classifier + "EncoderClassifier", config=config + "EncoderClassifierConfig")
