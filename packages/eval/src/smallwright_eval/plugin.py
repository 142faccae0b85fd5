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
        artifact_version=5,
    )


@hookimpl
def register_benchmarks(register: Register) -> None:
    for task in ("smallwright_lesson_completion", "smallwright_word_order", "smallwright_arithmetic_cloze"):
        register(task, f"smallwright_eval:tasks/{task}.jsonl")


@hookimpl
def register_published_scores(register: Register) -> None:
    for name in ("smollm2", "mobillama", "pangu_pi"):
        register(name, f"smallwright_eval:published/{name}.yaml")


@hookimpl
def register_model_commands(register: Register) -> None:
    config = "smallwright_eval.talk.config:"
    register("chat", "smallwright_eval.talk.chat:Chat", config=config + "ChatConfig")
    register("generate", "smallwright_eval.talk.generate:Generate", config=config + "GenerateConfig")
    register("serve", "smallwright_eval.talk.serve:Serve", config=config + "ServeConfig")
    register("bench", "smallwright_eval.talk.bench:Bench", config=config + "BenchConfig")
