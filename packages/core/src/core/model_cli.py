"""How the commands that work with a model read their line and find who does the work."""

import atexit
import contextlib
import functools
import os
import sys
import typing
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from core import cli, discovery, engines, named_model, typed
from core.errors import ConfigError
from core.model_command import ModelCommand

KIND = "model_commands"


def main(name: str, doc: str | None, arguments: Sequence[str] | None, options: Mapping[str, str] | None = None) -> int:
    """Run a command and return its exit code.

    Args:
        name: Of the command, ``chat`` of ``core.chat``; the plugin that does the work registered it.
        doc: Docstring of the command.
        arguments: Of the command line; None: those of the process.
        options: Settings of text that are options too, ``--prompts FILE`` for ``prompts=FILE``, with their help.
    """
    return cli.carry_out(lambda: _main(name, doc, arguments, options or {}))


def _main(name: str, doc: str | None, arguments: Sequence[str] | None, options: Mapping[str, str]) -> int:
    parser = cli.command_parser(f"core.{name}", doc)
    model = parser.add_argument("model", help="an artifact or its folder, a run's folder, or a hub id")
    model.completer = _models  # type: ignore[attr-defined]
    settings = parser.add_argument("settings", nargs="*", default=[], metavar="key=value", help="settings")
    settings.completer = functools.partial(_settings, name)  # type: ignore[attr-defined]
    for key, meaning in options.items():
        parser.add_argument(f"--{key.replace('_', '-')}", dest=f"option_{key}", metavar=key.upper(), help=meaning)
    parser.add_argument("--by", default=name, metavar="NAME", help=f"who does it, where not the plugin's {name}")
    parser.add_argument("--plugin", default=[], **cli.PLUGIN_OPTION)
    parser.epilog = f"All settings with their meaning: python -m core.plugins show {name}"
    given = cli.parse(parser, arguments)
    registry = discovery.load(given.plugin)
    cli.warn_about_broken(registry)
    entry = registry.get(KIND, given.by)
    config = entry.load_config()
    values = parsed(given.settings, config)
    for key in options:
        if (value := getattr(given, f"option_{key}")) is not None:
            if key in values:
                raise ConfigError(f"{key}: given as an option and as a setting. Leave one out.")
            values[key] = value
    for key in typed.unset(config, values) if config is not None else ():
        if key in options:
            raise ConfigError(f"--{key.replace('_', '-')} {key.upper()}: not given: {options[key]}.")
    command: ModelCommand = entry.build(entry.settings(values, ""))
    plugin_files = tuple(os.path.abspath(file) for file in given.plugin)
    found = named_model.resolve(given.model, registry, plugin_files)
    command.check(found)
    engines.set_missing(command.environment())
    return command.run(found)


def _models(prefix: str, **more: Any) -> list[str]:
    from core import completion  # imports Hydra, which an answer need not wait for

    return completion.models(prefix, **more)


def _settings(name: str, prefix: str, **more: Any) -> list[str]:
    from core import completion

    return completion.settings_of(KIND, name, prefix, **more)


def parsed(settings: Sequence[str], config: type | None) -> dict[str, Any]:
    """Return the values of ``key=value`` words, in the grammar of a run's settings; ``key=a,b`` is a list.

    Args:
        settings: The words.
        config: Class of the settings: where one of them is a list, a single value is a list of one.

    Raises:
        ConfigError: a word has no ``=`` or no key, a key stands twice, or its value cannot be read.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser  # takes a fifth of a second
    from hydra.errors import HydraException
    from omegaconf import OmegaConf

    from core import overrides

    hints = typing.get_type_hints(config) if config is not None else {}
    found: dict[str, Any] = {}
    for word in settings:
        key, equals, value = word.partition("=")
        if not equals or not key.isidentifier():
            raise ConfigError(f"{word}: no setting. Write key=value, such as temperature=0.2.")
        if key in found:
            raise ConfigError(f"{key}: set twice. Leave one out.")
        if overrides.is_sweep(word):
            value = f"[{value}]"
        try:
            read = OverridesParser.create().parse_override(overrides.readable(f"{key}={value}")).value()
        except HydraException as error:
            raise ConfigError(f"{word}: cannot be read. Put quotes around it: '{key}=\"{value}\"'.") from error
        plain: Any = OmegaConf.to_container(OmegaConf.create({"value": read}))
        value = plain["value"]
        is_list = typing.get_origin(hints.get(key)) is tuple
        found[key] = [value] if is_list and not isinstance(value, list) else value
    return found


def changed(config: Any, words: Sequence[str]) -> Any:
    """Return settings with some changed by ``key=value`` words, typed and checked as those of the command line.

    Raises:
        ConfigError: as :func:`parsed` does, or a setting is wrong.
    """
    now = {key: getattr(config, key) for key in type(config).__dataclass_fields__}
    return typed.build(type(config), {**now, **parsed(words, type(config))}, "")


def leave(code: int) -> NoReturn:
    """End the process of a command, without what Python does at its end to the modules that were imported.

    Engines tell there, in fifty lines, of what they leave behind, and take seconds for it.
    """
    atexit._run_exitfuncs()
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)
