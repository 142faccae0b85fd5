"""What an option of a config group is: its file, and the registered name that it chooses."""

import importlib.resources
import re
from importlib.resources.abc import Traversable
from pathlib import Path

from core import compose
from core.kinds import APPENDED_GROUPS, COMMAND_GROUPS, GROUPS
from core.registry import Registry

CHOICE = re.compile(r"^\s*(?:name|use|corpus):\s*(\w+)", re.MULTILINE)


def render(registry: Registry, name: str) -> list[str]:
    """Return, for each group with an option of that name, what a terminal shows of it; empty where there is none."""
    shown = []
    for group, options in compose.option_index(registry).items():
        if name not in options:
            continue
        text = next(
            (file.read_text(encoding="utf-8") for file in _files(registry, f"{group}/{name}.yaml")), ""
        ).rstrip()
        command = COMMAND_GROUPS.get(group)
        how = (
            f"python -m {command} {name}"
            if command
            else f"{'+' if group in APPENDED_GROUPS else ''}{group.replace('/', '.')}={name}"
        )
        lines = [f"{name} (option of {group}: {how}) of {options[name]}", "", *text.splitlines()]
        chosen = CHOICE.search(text)
        kind = GROUPS[group].name if group in GROUPS else "steps"
        if chosen is not None and chosen[1] in registry.names(kind):
            lines += ["", f"All its settings: python -m core.plugins show {chosen[1]}"]
        shown.append("\n".join(lines))
    return shown


def _files(registry: Registry, relative: str) -> list[Traversable | Path]:
    folders = [importlib.resources.files(package) for package in registry.config_packages]
    found = [folder / relative for folder in (*folders, Path(compose.LOCAL_CONFIG_FOLDER))]
    return [file for file in found if file.is_file()]
