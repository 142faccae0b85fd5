"""What tasks need beside a model: packages, a sandbox, a judge. Asked for while planning.

The YAML of a task names them: ``metadata: {needs: [sandbox]}``.
"""

import importlib.util
from collections.abc import Mapping
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
