"""Typed configuration: build a plugin's frozen dataclass from its own sub-tree, with errors that name the fix."""

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any

from core.errors import ConfigError, nearest


def setting(default: Any = dataclasses.MISSING, *, identity: bool = True, files: bool = False) -> Any:
    """Declare a configuration field.

    Args:
        default: Default value; without one the setting is required.
        identity: False for settings that change how work is done and not what comes out (workers, logging): they
            are left out of an artifact's identity.
        files: True for settings that name files (paths, ``package:path`` resources, registered benchmarks): the
            content of the files counts too, not only their names.
    """
    if isinstance(default, (list, dict, set)):
        raise TypeError("a frozen configuration takes tuples; use a tuple default")
    return dataclasses.field(default=default, metadata={"identity": identity, "files": files})


def build(cls: type, values: Mapping[str, Any] | None, where: str) -> Any:
    """Build the configuration dataclass ``cls`` from ``values``.

    A class attribute ``SIZES: dict[str, dict]`` gives named sets of defaults, chosen by the key ``size``; a value of
    None then means "from the size", or without a size "the class's default". Lists become tuples. ``__post_init__``
    may raise ConfigError or ValueError.

    Args:
        where: Dotted place in the configuration, for messages: ``arch`` or ``data.steps.minhash``.

    Raises:
        ConfigError: an unknown key, a missing key, a wrong type, an unknown size, or what ``__post_init__`` refuses.
    """
    given = dict(values or {})
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}
    for key in given:
        if key not in fields:
            raise ConfigError(f"{where}.{key}: unknown key.{nearest(key, fields)} Known keys: {', '.join(fields)}.")
    sizes: Mapping[str, Mapping[str, Any]] | None = getattr(cls, "SIZES", None)
    if sizes is not None:
        size = given.get("size")
        if size is not None and not isinstance(size, str):
            raise _wrong(size, str, f"{where}.size")
        if size is not None and size not in sizes:
            guess = nearest(str(size), sizes)
            raise ConfigError(f"{where}.size={size}: unknown size.{guess} Sizes: {', '.join(sizes)}.")
        chosen = {key: value for key, value in given.items() if value is not None}
        given = {**(sizes[size] if size is not None else {}), **chosen}
    hints = typing.get_type_hints(cls)
    converted = {key: _convert(value, hints[key], f"{where}.{key}") for key, value in given.items()}
    for name, field in fields.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and name not in converted:
            raise ConfigError(
                f"{where}.{name}: not set. Give it on the command line: {where}.{name}=<{show_type(hints[name])}>."
            )
    try:
        return cls(**converted)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}" if not str(error).startswith(where) else str(error)) from None
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from error


def identity(config: Any) -> Any:
    """Return ``config`` as plain data, without fields that do not change the result."""
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        return {
            field.name: identity(getattr(config, field.name))
            for field in dataclasses.fields(config)
            if field.metadata.get("identity", True)
        }
    if isinstance(config, Mapping):
        return {str(key): identity(value) for key, value in config.items()}
    if isinstance(config, (list, tuple)):
        return [identity(value) for value in config]
    return config


def _convert(value: Any, hint: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if origin in (typing.Union, types.UnionType):
        if value is None:
            if type(None) in arguments:
                return None
            raise _wrong(value, hint, where)
        for option in (option for option in arguments if option is not type(None)):
            try:
                return _convert(value, option, where)
            except ConfigError:
                continue
        raise _wrong(value, hint, where)
    if origin is typing.Literal:
        if value in arguments:
            return value
        guess = nearest(str(value), [str(a) for a in arguments])
        raise ConfigError(f"{where}={value}: must be one of {', '.join(map(str, arguments))}.{guess}")
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise _wrong(value, hint, where)
        return tuple(
            _convert(item, arguments[0] if arguments else Any, f"{where}[{i}]") for i, item in enumerate(value)
        )
    if origin in (dict, Mapping) or hint in (dict, Mapping):
        if not isinstance(value, Mapping):
            raise _wrong(value, hint, where)
        item_hint = arguments[1] if len(arguments) == 2 else Any
        return {str(key): _convert(item, item_hint, f"{where}.{key}") for key, item in value.items()}
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, Mapping):
            raise _wrong(value, hint, where)
        return build(typing.cast(type, hint), value, where)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool) and hint is not bool:
        raise _wrong(value, hint, where)
    if not isinstance(value, hint):
        raise _wrong(value, hint, where)
    return value


def _wrong(value: Any, hint: Any, where: str) -> ConfigError:
    example = ""
    if isinstance(value, (str, int, float)) and not isinstance(value, bool):
        kinds = {typing.get_origin(option) or option for option in _options(hint)}
        if tuple in kinds:
            example = f" Write [{value}]."
        elif kinds & {dict, Mapping}:
            example = f" Write {{key: {value}}}."
    got = {type(None): "null", dict: "mapping", tuple: "list"}.get(type(value), type(value).__name__)
    return ConfigError(f"{where}={value!r}: expected {show_type(hint)}, got {got}.{example}")


def _options(hint: Any) -> tuple[Any, ...]:
    """The types of a union; any other type alone."""
    return typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)


def show_type(hint: Any) -> str:
    """Return a type as users write its values: ``mapping {key: str} | null``."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return " | ".join(dict.fromkeys(map(show_type, arguments)))
    if origin is typing.Literal:
        return " | ".join("null" if value is None else str(value) for value in arguments)
    if origin is tuple or hint is tuple:
        return f"list [{show_type(arguments[0])}, ...]" if arguments else "list"
    if origin in (dict, Mapping) or hint in (dict, Mapping):
        return f"mapping {{key: {show_type(arguments[1])}}}" if arguments else "mapping {key: value}"
    if dataclasses.is_dataclass(hint):
        return f"settings ({', '.join(f.name for f in dataclasses.fields(hint))})"
    plain = {Any: "value", type(None): "null"}
    return plain.get(hint) or str(getattr(hint, "__name__", hint))
