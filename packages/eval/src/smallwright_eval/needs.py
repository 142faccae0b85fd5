"""What tasks need beside a model: packages, a sandbox, a judge. Asked for while planning.

The YAML of a task names them: ``metadata: {needs: [sandbox]}``.
"""

import importlib.util
from collections.abc import Mapping, Sequence
from typing import Any

from core.errors import ConfigError, MissingPluginError

from smallwright_eval.config import LMEvalConfig
from smallwright_eval.judge import client
from smallwright_eval.sandbox import probe

PACKAGES: Mapping[str, tuple[str, ...]] = {
    "math_verify": ("math_verify", "latex2sympy2_extended", "antlr4", "sympy"),
    "ifeval": ("langdetect", "immutabledict", "nltk", "punkt"),
    "rouge": ("rouge_score",),
    "judge": ("httpx",),
}
"""Modules by what a task says that it needs."""


def check(described: Mapping[str, Any], config: LMEvalConfig, where: str) -> None:
    """Refuse a task that needs what is not here.

    Args:
        described: What its YAML says.
        where: Of the settings, for messages: ``eval``.

    Raises:
        ConfigError: no sandbox for its programs, no judge, or a package that is not installed.
    """
    metadata = described.get("metadata") or {}
    task = f"{where}.tasks: {described.get('task')}"
    for need in metadata.get("needs") or ():
        if need == "sandbox":
            probe.check(str(metadata.get("language", "py")), task)
        if need == "judge" and config.judge.url is None:
            raise ConfigError(
                f"{task} is rated by another model, and {where}.judge.url names none. Give a server and its model: "
                f"{where}.judge.url=http://<host>:<port>/v1 {where}.judge.model=<name>; its key in the environment."
            )
        if need == "judge":
            client.key_of(config.judge)
        missing = [name for name in PACKAGES.get(need, ()) if importlib.util.find_spec(name) is None]
        if missing:
            raise MissingPluginError(
                f"{task} needs the package {missing[0]}, which is not installed. "
                'Install: pip install "smallwright-eval[generative]"'
            )


def check_lengths(asked: Mapping[str, Sequence[Mapping[str, Any]]], longest: int | None, where: str) -> None:
    """Refuse tasks whose shortest prompts are longer than the model reads, all of them in one message.

    Args:
        asked: What the YAML of the tasks says, by the name in ``tasks``; ``metadata: {lengths: [...]}`` has tokens.
        longest: Tokens that the model reads; None: it does not say.
        where: Of the settings, for messages: ``eval``.

    Raises:
        ConfigError: with the tasks that are left.
    """
    shortest = {
        (name, str(task["task"])): min(lengths)
        for name, tasks in asked.items()
        for task in tasks
        if (lengths := (task.get("metadata") or {}).get("lengths")) and all(isinstance(one, int) for one in lengths)
    }
    too_long = {key: tokens for key, tokens in shortest.items() if longest is not None and tokens > longest}
    if not too_long:
        return
    tasks = ", ".join(f"{task} ({tokens:,})" for (_, task), tokens in too_long.items())
    left = [name for name in asked if name not in {name for name, _ in too_long}]
    rest = f"Leave them out: {where}.tasks=[{','.join(left)}]." if left else "Take other tasks or another model."
    raise ConfigError(
        f"{where}.tasks: the model reads {longest:,} tokens, less than the shortest prompts of {tasks} have. {rest}"
    )
