"""Completion of commands in bash and zsh, by argcomplete: options, groups, their options, and keys of settings.

    eval "$(activate-global-python-argcomplete --dest=-)"     # in ~/.bashrc, with argcomplete installed

argcomplete finds the commands by the mark PYTHON_ARGCOMPLETE_OK at the beginning of their modules and starts the
command itself, whose parser answers (:mod:`core.cli`) instead of doing its work.
"""

import argparse
import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from core import compose, discovery, show_config, store
from core.choices import root_settings
from core.errors import UserError
from core.kinds import APPENDED_GROUPS, COMMAND_GROUPS
from core.named_model import MODELS
from core.registry import Registry


def settings(prefix: str, parsed_args: argparse.Namespace, **_: Any) -> list[str]:
    """Return what a word of a run's command line can become.

    Args:
        prefix: The word so far.
        parsed_args: The words before it, as ``overrides``, and ``plugin``.
    """
    try:
        registry = discovery.load(parsed_args.plugin or ())
        index = compose.option_index(registry)
    except UserError:
        return []
    words = [*_options(index, prefix)]
    if "=" not in prefix and prefix and not prefix.startswith("+"):
        before = [word for word in parsed_args.overrides or () if word != prefix]
        words += _keys(before, registry)
    return sorted({word for word in words if word.startswith(prefix)})


def _options(index: Mapping[str, Mapping[str, str]], prefix: str) -> Iterator[str]:
    """Yield each group and, where a group and ``=`` are written, its options."""
    for group, names in index.items():
        if group in COMMAND_GROUPS:
            continue
        start = f"{'+' if group in APPENDED_GROUPS else ''}{group.replace('/', '.')}="
        written = start if prefix.startswith("+") else start.removeprefix("+")  # a sweep may leave + out
        if prefix.startswith(written):
            earlier = prefix[: prefix.rfind(",") + 1] or written  # of several values the last one is being written
            yield from (f"{earlier}{name}" for name in names)
        else:
            yield start
    yield from (f"{key}=" for key in root_settings())


def _keys(before: Sequence[str], registry: Registry) -> Iterator[str]:
    """Yield every key of the settings of the run that the words before choose; none where they are no whole run."""
    with contextlib.suppress(UserError):
        shown = yaml.safe_load(show_config.render(compose.compose(before, registry), registry))
        yield from _leaves(shown, "")


def _leaves(node: Mapping[str, Any], place: str) -> Iterator[str]:
    for key, value in node.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{place}{key}.")
        else:
            yield f"{place}{key}="


def models(prefix: str, **_: Any) -> list[str]:
    """Return the runs and the finished models of ``./store`` whose path begins with a word."""
    places = [path.parent for path in Path().glob("runs/*/report.json")]
    places += [path.parent for folder in MODELS for path in Path().glob(f"store/{folder}/*/{store.MANIFEST}")]
    return sorted(str(place) for place in places if str(place).startswith(prefix))


def settings_of(kind: str, name: str, prefix: str, parsed_args: argparse.Namespace, **_: Any) -> list[str]:
    """Return the keys of the settings of a registered name, for a command that composes no run."""
    try:
        config = discovery.load(parsed_args.plugin or ()).get(kind, name).load_config()
    except UserError:
        return []
    return [f"{key}=" for key in getattr(config, "__dataclass_fields__", ()) if key.startswith(prefix)]
