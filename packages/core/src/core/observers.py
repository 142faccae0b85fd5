"""Tell the plugins that observe what a run does. Whatever they do, the run goes on."""

import sys
import traceback
from pathlib import Path
from typing import Any

from core.registry import Registry

LOG = "logs/observers.log"
"""File in a run's folder for the tracebacks of observers."""


def notify(registry: Registry, directory: Path, hook: str, **arguments: Any) -> None:
    """Call a hook of every plugin that has it, one after another.

    An exception in one, or ``sys.exit``, is a warning that names the plugin; its traceback goes to the run's folder.

    Args:
        registry: What is installed.
        directory: The run's folder.
        hook: ``run_started``, ``stage_finished`` or ``run_finished``.
    """
    plugins = [implementation.plugin for implementation in getattr(registry.hooks, hook).get_hookimpls()]
    for plugin in reversed(plugins):  # as pluggy has it: the plugin that was loaded last comes first
        others = [other for other in plugins if other is not plugin]
        try:
            registry.manager.subset_hook_caller(hook, others)(**arguments)
        except (Exception, SystemExit) as error:
            said = str(error).strip().splitlines()
            reason = ": ".join([type(error).__name__, *said[:1]])
            who = registry.origin(registry.manager.get_name(plugin))
            log = directory / LOG
            print(f"warning: {who} failed in {hook}: {reason}. The run goes on; see {log}.", file=sys.stderr)
            _write(log, f"{who}, {hook}\n{traceback.format_exc()}\n")


def _write(log: Path, text: str) -> None:
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with open(log, "a", encoding="utf-8") as file:
            file.write(text)
    except OSError:  # the warning is out, and that is what matters
        pass
