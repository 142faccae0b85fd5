"""Hooks of the classifiers plugin."""

from core.hooks import Register, RegisterPackage, hookimpl

PLUGIN_API_VERSION = 1


@hookimpl
def register_configs(register: RegisterPackage) -> None:
    register("smallwright_classifiers.conf")


@hookimpl
def register_steps(register: Register) -> None:
    step, config = "smallwright_classifiers.steps:", "smallwright_classifiers.config:"
    register("classifier", step + "Classifier", config=config + "ClassifierConfig", artifact_version=2)
    register("classifier_fasttext", step + "FastTextClassifier", config=config + "FastTextClassifierConfig")
    register("classifier_encoder", step + "EncoderClassifier", config=config + "EncoderClassifierConfig")
