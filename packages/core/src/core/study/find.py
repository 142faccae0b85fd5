"""The studies that are there, and one of them as a command line asks for it."""

import dataclasses
import importlib.resources
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from core import catalog, compose, names, typed
from core.choices import key_of, root_settings
from core.errors import ConfigError, InputError, MissingPluginError, UserError, nearest
from core.kinds import COMMAND_GROUPS, GROUPS, RUN_GROUPS
from core.registry import Registry
from core.study.config import StudyConfig

GROUP = "study"
ENDINGS = (".yaml", ".yml")
FIELDS = tuple(field.name for field in dataclasses.fields(StudyConfig))


def split(arguments: Sequence[str]) -> tuple[str | None, list[str], list[str]]:
    """Return the name in a command line, the settings of the study, and the overrides that all arms get."""
    name, own, shared = None, list[str](), list[str]()
    for argument in arguments:
        if name is None and "=" not in argument and not argument.startswith(("+", "~")):
            name = argument
        else:
            (own if _first(argument) in FIELDS else shared).append(argument)
    return name, own, shared


def load(name: str, own: Sequence[str], registry: Registry) -> tuple[str, StudyConfig]:
    """Return the name for people and the settings of a study.

    Args:
        name: Of an option of the group, or the path of a YAML.
        own: ``key=value`` of the study's settings, which win over the file.
        registry: What is installed.

    Raises:
        core.errors.UserError: no such study, or a wrong setting in it.
    """
    file: Path | Traversable = Path(name)
    if name.endswith(ENDINGS):
        if not Path(name).is_file():
            raise InputError(f"{name}: there is no such file. Give the path of a study's YAML, or the name of a study.")
        label = names.check(Path(name).stem, "the name of a study")
    else:
        file, label = _option(name, registry), name
    values = _read(file, name)
    for argument in own:
        _set(values, argument)
    try:
        return label, typed.build(StudyConfig, values, "")
    except ConfigError as error:
        raise ConfigError(f"study {name}: {error}") from error


def listed(registry: Registry) -> Iterator[tuple[str, str]]:
    """Yield the name and the claim of each study; of one that cannot be read, what is wrong with it."""
    for name in sorted(compose.option_index(registry).get(GROUP, ())):
        try:
            yield name, load(name, (), registry)[1].claim
        except UserError as error:
            yield name, f"cannot be read: {error}"


def check_shared(overrides: Sequence[str]) -> None:
    """Refuse an override that is a misspelt setting of the study, which no run has either.

    Raises:
        ConfigError: naming the nearest one.
    """
    for override in overrides:
        key = key_of(override)
        if _first(override) in {*root_settings(), *GROUPS, *RUN_GROUPS, *COMMAND_GROUPS}:
            continue
        if guess := nearest(key, FIELDS):
            raise ConfigError(f"{override}: unknown key.{guess} Settings of a study: {', '.join(FIELDS)}.")


def _first(argument: str) -> str:
    return key_of(argument).replace("@", ".").replace("/", ".").partition(".")[0]


def _option(name: str, registry: Registry) -> Path | Traversable:
    clash = compose.option_clashes(registry).get((GROUP, name))
    if clash is not None:
        raise ConfigError(clash[1])
    known = compose.option_index(registry).get(GROUP, {})
    if name not in known:
        there = ", ".join(sorted(known)) or "none"
        hint = catalog.install_hint(GROUP, name)
        raise MissingPluginError(f"{name}: no such study.{nearest(name, known)} There are: {there}.{hint}")
    folders = [*map(importlib.resources.files, registry.config_packages), Path(compose.LOCAL_CONFIG_FOLDER)]
    return next(file for folder in folders if (file := folder / GROUP / f"{name}.yaml").is_file())


def _read(file: Path | Traversable, name: str) -> dict[str, Any]:
    try:
        values = OmegaConf.to_container(OmegaConf.create(file.read_text(encoding="utf-8")))
    except AssertionError:  # a text or a number alone
        values = None
    except RecursionError as error:
        raise InputError(f"study {name}: no YAML that can be read: it has itself as a part. Write it out.") from error
    except (YAMLError, OmegaConfBaseException, UnicodeDecodeError) as error:
        raise InputError(f"study {name}: no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise InputError(f"study {name}: expected settings, key: value, of which there are: {', '.join(FIELDS)}.")
    return {str(key): value for key, value in values.items()}


def _set(values: dict[str, Any], argument: str) -> None:
    """Set ``key=value``, or ``key.name=value`` of a mapping, whose names may have dots."""
    key, assigned, text = argument.lstrip("+").partition("=")
    try:
        read = OmegaConf.to_container(OmegaConf.create(f"value: {text}"))
        assert isinstance(read, dict)
        value = read["value"]
    except (YAMLError, OmegaConfBaseException) as error:
        raise ConfigError(f"{argument}: cannot read the value as YAML.") from error
    if not assigned or argument.startswith("~"):
        raise ConfigError(f"{argument}: write {key.lstrip('~')}=<value>.")
    first, dot, rest = key.partition(".")
    if not dot:
        values[first] = value
        return
    inner = values.setdefault(first, {})
    if not isinstance(inner, Mapping):
        raise ConfigError(f"{argument}: {first} has no settings. Write {first}=<value>.")
    values[first] = {**inner, rest: value}
