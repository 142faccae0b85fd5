"""Hooks of the evaluation plugin."""

from core.hooks import Register, RegisterPackage, hookimpl

PLUGIN_API_VERSION = 1


@hookimpl
def register_configs(register: RegisterPackage) -> None:
    register("smallwright_eval.conf")


@hookimpl
def register_evaluators(register: Register) -> None:
    register(
        "lm_eval",
        "smallwright_eval.stage:LMEval",
        config="smallwright_eval.config:LMEvalConfig",
        artifact_version=4,
    )


@hookimpl
def register_benchmarks(register: Register) -> None:
    for task in ("smallwright_lesson_completion", "smallwright_word_order", "smallwright_arithmetic_cloze"):
        register(task, f"smallwright_eval:tasks/{task}.jsonl")


@hookimpl
def register_published_scores(register: Register) -> None:
    for name in ("smollm2", "mobillama", "pangu_pi"):
        register(name, f"smallwright_eval:published/{name}.yaml")
