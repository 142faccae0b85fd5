"""Typed configuration: build a plugin's frozen dataclass from its own sub-tree, with errors that name the fix."""

import dataclasses
import re
import types
import typing
from collections.abc import Mapping
from typing import Any

from core.bounds import Bounds, check_finite
from core.errors import ConfigError, nearest


def setting(
    default: Any = dataclasses.MISSING,
    *,
    default_factory: Any = dataclasses.MISSING,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    min_length: int | None = None,
    identity: bool = True,
    files: bool | tuple[str, ...] = False,
) -> Any:
    """Declare a configuration field; :func:`build` refuses values outside of its bounds, naming the key.

    NaN, infinities and integers beyond 64 bits are refused for every field. Where a subclass declares a field again
    without bounds, those of its base hold.

    Args:
        default: Default value; without one the setting is required.
        default_factory: Makes the default where it is a mapping.
        ge: Least number; of a list or a mapping, of each number in it. Likewise the next three.
        gt: What a number must be above.
        le: Largest number.
        lt: What a number must be below.
        min_length: Least number of items of a list or a mapping, or of characters of a text; 1: it must not be empty.
        identity: False for settings that change how work is done and not what comes out (workers, logging): they
            are left out of an artifact's identity.
        files: True for settings that name files (paths, ``package:path`` resources, registered benchmarks): the
            content of the files counts too, not only their names. Names of files: of a folder, these alone count.
    """
    if isinstance(default, (list, dict, set)):
        raise TypeError("a frozen configuration takes tuples; use a tuple default")
    bounds = Bounds(ge=ge, gt=gt, le=le, lt=lt, min_length=min_length)
    metadata = {"identity": identity, "files": files, "bounds": bounds if bounds != Bounds() else None}
    return dataclasses.field(default=default, default_factory=default_factory, metadata=metadata)


def build(cls: type, values: Mapping[str, Any] | None, where: str) -> Any:
    """Build the configuration dataclass ``cls`` from ``values``.

    A class attribute ``SIZES: dict[str, dict]`` gives named sets of defaults, chosen by the key ``size``; a value of
    None then means "from the size", or without a size "the class's default". Lists become tuples. ``__post_init__``
    may raise ConfigError or ValueError.

    Args:
        where: Dotted place in the configuration, for messages: ``arch`` or ``data.steps.minhash``; empty for the top.

    Raises:
        ConfigError: an unknown key, a missing key, a wrong type, a number outside of its field's bounds, an unknown
            size, or what ``__post_init__`` refuses.
    """
    given = dict(values or {})
    hints = _hints(cls, where)
    fields = _fields(cls)
    for key in given:
        if key not in fields:
            raise ConfigError(
                f"{_below(where, key)}: unknown key.{nearest(key, fields)} Known keys: {', '.join(fields)}."
            )
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
    converted = {key: _checked(cls, key, value, hints[key], _below(where, key)) for key, value in given.items()}
    for name in unset(cls, given):
        key = _below(where, name)
        raise ConfigError(f"{key}: not set. Give it on the command line: {key}=<{show_type(hints[name])}>.")
    try:
        return cls(**converted)
    except ConfigError as error:
        raise ConfigError(_placed(str(error), where, fields)) from None
    except ValueError as error:
        raise ConfigError(_placed(str(error), where, fields)) from error
    except Exception as error:  # a plugin's own mistake
        raise _mistake(cls, where, error) from error


def _hints(cls: type, where: str) -> dict[str, Any]:
    """Return the types of the fields, or say whose settings have none."""
    try:
        _fields(cls)
        return typing.get_type_hints(cls)
    except Exception as error:
        raise _mistake(cls, where, error) from error


def _mistake(cls: type, where: str, error: Exception) -> ConfigError:
    name = f"{cls.__module__}.{getattr(cls, '__qualname__', cls)}"
    return ConfigError(f"{where}: {name} fails with {type(error).__name__}: {error}. Mend or upgrade its plugin.")


def bounds(cls: type, name: str) -> Bounds:
    """Return the bounds of a field: its own, or those of the nearest base that declares some."""
    for base in cls.__mro__:
        field = base.__dict__.get("__dataclass_fields__", {}).get(name)
        if field is not None and field.metadata.get("bounds") is not None:
            return field.metadata["bounds"]
    return Bounds()


def _below(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _checked(cls: type, name: str, value: Any, hint: Any, where: str) -> Any:
    converted = _convert(value, hint, where)
    bounds(cls, name).check(converted, where, ", or null" if type(None) in _options(hint) else "")
    return converted


def _placed(message: str, where: str, fields: Mapping[str, Any]) -> str:
    """Return what a configuration refused of itself, with its place: ``arch.head_dim=3: ...``."""
    if not where or message.startswith(where):
        return message
    word = re.match(r"(\w+)([=:.\[]| is | must | needs )", message)
    return f"{where}.{message}" if word is not None and word[1] in fields else f"{where}: {message}"


def unset(cls: type, values: Mapping[str, Any]) -> list[str]:
    """Return the fields without a default that neither ``values`` nor the size named there gives."""
    sizes: Mapping[str, Mapping[str, Any]] = getattr(cls, "SIZES", None) or {}
    size = values.get("size")
    given = {*values, *(sizes.get(size, ()) if isinstance(size, str) else ())}
    return [
        name
        for name, field in _fields(cls).items()
        if field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
        and (name not in given or (sizes and values.get(name, 0) is None and name not in sizes.get(str(size), ())))
    ]


def _fields(cls: type) -> dict[str, dataclasses.Field]:
    return {field.name: field for field in dataclasses.fields(cls) if field.init}


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
    check_finite(value, where)
    if hint is Any:
        return value
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        return _convert_to_one(value, hint, where)
    if origin is typing.Literal:
        if value in arguments:
            return value
        guess = nearest(str(value), [str(argument) for argument in arguments])
        raise ConfigError(f"{where}={value}: must be one of {', '.join(map(_show_word, arguments))}.{guess}")
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
        check_finite(int(value), where)
        return int(value)
    if isinstance(value, bool) and hint is not bool:
        raise _wrong(value, hint, where)
    if not isinstance(value, hint):
        raise _wrong(value, hint, where)
    return value


def _convert_to_one(value: Any, hint: Any, where: str) -> Any:
    """Convert to the first type of a union that takes the value."""
    refusals = []
    nullable = type(None) in typing.get_args(hint)
    for option in (option for option in typing.get_args(hint) if option is not type(None)):
        if nullable and typing.get_origin(option) is typing.Literal:
            option = typing.Literal[(*typing.get_args(option), None)]
        try:
            return _convert(value, option, where)
        except ConfigError as error:
            refusals.append(error)
    # A word that is none of those known, or an item of a list, is told of; else the value is of no type of the union.
    told = [error for error in refusals if not isinstance(error, _WrongType) or error.where != where]
    raise told[-1] if told else _wrong(value, hint, where)


class _WrongType(ConfigError):
    """A value of another type than the setting at ``where`` has."""

    def __init__(self, message: str, where: str = "") -> None:  # one argument, as all of its kind: others word it anew
        super().__init__(message)
        self.where = where


def _wrong(value: Any, hint: Any, where: str) -> ConfigError:
    example = ""
    if isinstance(value, (str, int, float)):
        kinds = {typing.get_origin(option) or option for option in _options(hint)}
        if tuple in kinds:
            example = f" Write [{value}]."
        elif kinds & {dict, Mapping}:
            example = f" Write {{key: {value}}}."
        elif bool in kinds:
            example = " Write true or false."
        elif str in kinds and not where.endswith("]"):
            text = str(value).lower() if isinstance(value, bool) else value
            example = f" In quotes it is text: '{where}=\"{text}\"'."
    got = {type(None): "null", dict: "mapping", tuple: "list"}.get(type(value), type(value).__name__)
    shown = _show_word(value).lower() if value is None or isinstance(value, bool) else repr(value)
    return _WrongType(f"{where}={shown}: expected {show_type(hint)}, got {got}.{example}", where)


def _options(hint: Any) -> tuple[Any, ...]:
    """The types of a union; any other type alone."""
    return typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)


def _show_word(value: Any) -> str:
    return "null" if value is None else str(value)


def show_type(hint: Any) -> str:
    """Return a type as users write its values: ``mapping {key: str} | null``."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return " | ".join(dict.fromkeys(map(show_type, arguments)))
    if origin is typing.Literal:
        return " | ".join(map(_show_word, arguments))
    if origin is tuple or hint is tuple:
        return f"list [{show_type(arguments[0])}, ...]" if arguments else "list"
    if origin in (dict, Mapping) or hint in (dict, Mapping):
        return f"mapping {{key: {show_type(arguments[1])}}}" if arguments else "mapping {key: value}"
    if dataclasses.is_dataclass(hint):
        return f"settings ({', '.join(f.name for f in dataclasses.fields(hint))})"
    plain = {Any: "value", type(None): "null"}
    return plain.get(hint) or str(getattr(hint, "__name__", hint))
