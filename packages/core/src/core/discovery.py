"""Find installed plugins, one by one, so that a broken one is reported and the others work.

Environment variables: ``SMALLWRIGHT_PLUGINS=a,b`` loads only those (by entry-point name; core itself always),
``SMALLWRIGHT_DISABLE_PLUGINS=a,b`` leaves those out before they are imported, ``SMALLWRIGHT_TRACE_HOOKS=1`` prints
every hook call with its results, ``SMALLWRIGHT_STRICT=1`` makes a broken plugin fatal, and
``SMALLWRIGHT_PLUGIN_SECONDS=120`` gives a plugin more time to load than 20 seconds.
"""

import contextlib
import functools
import hashlib
import importlib.metadata
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

from core import PLUGIN_API_VERSION, hooks
from core.errors import ConfigError
from core.kinds import KINDS
from core.local_files import NameTaken, import_file
from core.process import exit_call, nobody_leaves
from core.registry import LOCAL_VERSION, Entry, PluginRecord, Registry
from core.witness import LOOKS, Announce, watched

GROUP = "smallwright"
OWN = "core.builtin"
"""Core's own hooks, which are always loaded."""


def load(plugin_files: Iterable[str | Path] = ()) -> Registry:
    """Load every enabled plugin and return what they registered.

    Args:
        plugin_files: Local Python files that hold hook implementations (``--plugin``).

    Raises:
        ConfigError: a plugin file is missing or broken, or (strict mode) any plugin is, or two register a name.
    """
    seconds = _seconds()  # refuses a wrong value before it is a plugin's failure
    registry = Registry()
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hooks)
    registry.hooks, registry.manager = manager.hook, manager
    if os.environ.get("SMALLWRIGHT_TRACE_HOOKS"):
        manager.trace.root.setwriter(lambda text: print(text, end="", file=sys.stderr))
        manager.enable_tracing()
    with watched(seconds) as loading:
        _load_installed(registry, manager, loading)
        _load_files(registry, manager, loading, plugin_files)
    if os.environ.get("SMALLWRIGHT_STRICT"):
        for record in registry.plugins:
            if record.status == "failed":
                raise ConfigError(f"plugin {record.distribution} {record.version} failed to load: {record.reason}")
        for _, message in registry.clashes():
            raise ConfigError(message)
    return registry


def _load_installed(registry: Registry, manager: pluggy.PluginManager, loading: Announce) -> None:
    allowed = _names("SMALLWRIGHT_PLUGINS")
    denied = _names("SMALLWRIGHT_DISABLE_PLUGINS") or set()
    points = sorted(
        importlib.metadata.entry_points(group=GROUP), key=lambda point: (point.value != OWN, point.name, point.value)
    )
    owners: dict[str, list[str]] = {}
    found: list[dict[str, str]] = []
    for point in points:
        # Parsed once: name and version of a distribution each parse all of it.
        metadata = point.dist.metadata if point.dist else {"Name": point.value, "Version": "?"}
        found.append({"name": point.name, "distribution": metadata["Name"], "version": metadata["Version"]})
        owners.setdefault(point.name, []).append(f"{metadata['Name']} {metadata['Version']}" if point.dist else "?")
    for point, owner in zip(points, found, strict=True):
        described = {**owner, "module": point.value}
        if point.value == OWN:
            _load_one(registry, manager, loading, point.load, described)
        elif (allowed is not None and point.name not in allowed) or point.name in denied:
            registry.plugins.append(PluginRecord(status="disabled", reason="by environment variable", **described))
        elif len(owners[point.name]) > 1:  # loading one of them could be the wrong choice
            reason = f"{point.name} is the name of several plugins: {' and '.join(owners[point.name])}. Uninstall one."
            registry.plugins.append(PluginRecord(status="failed", reason=reason, **described))
        else:
            _load_one(registry, manager, loading, point.load, described)


def _load_files(
    registry: Registry, manager: pluggy.PluginManager, loading: Announce, plugin_files: Iterable[str | Path]
) -> None:
    for path in {Path(file).resolve(): Path(file) for file in plugin_files}.values():
        if path.is_dir():
            raise ConfigError(f"--plugin {path}: is a folder. Give a .py file; a package is installed with pip.")
        if not path.is_file():
            raise ConfigError(f"--plugin {path}: no such file.")
        if path.suffix != ".py":
            raise ConfigError(f"--plugin {path}: not a Python file: give a .py.")
        # The content is the version, so that an edited file makes another artifact.
        version = f"{LOCAL_VERSION} {hashlib.sha256(path.read_bytes()).hexdigest()[:8]}"
        described = {"name": path.stem, "distribution": path.name, "version": version, "module": str(path)}
        _load_one(registry, manager, loading, functools.partial(_import_local, path), {**described, "local": True})
        if registry.plugins[-1].status == "failed":
            raise ConfigError(f"--plugin {path}: {registry.plugins[-1].reason}")


def _load_one(
    registry: Registry,
    manager: pluggy.PluginManager,
    loading: Announce,
    load_module: Callable[[], Any],
    described: dict[str, Any],
) -> None:
    api_version = None
    module = None
    plugin = f"plugin {described['distribution']} {described['version']}"
    fix = f"SMALLWRIGHT_DISABLE_PLUGINS={described['name']} leaves it out"
    if described.get("local"):
        fix = "Leave out its --plugin"
    loading(
        f"the process ended while {plugin} was loaded: by a crash or an exit in C code, or it was killed. {fix}; "
        "PYTHONFAULTHANDLER=1 shows where it crashes.",
        f"{plugin} is not loaded after {LOOKS * _seconds():g} seconds and does not let itself be interrupted: the "
        f"command is ended. {fix}.",
    )
    try:
        _check_name(registry, described)
        with _time_limit(described["name"]), nobody_leaves():
            module = load_module()
            api_version = getattr(module, "PLUGIN_API_VERSION", None)
            _check_api_version(api_version)
            manager.register(module, name=described["name"])
            manager.check_pending()
            _collect(registry, manager, module, described)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a skip of pytest's and some errors of torch's are no Exception
        if module is not None and manager.is_registered(module):
            manager.unregister(module)
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else ""
        reason = first_line if isinstance(error, _RefusedPlugin | _TooSlow) else f"{type(error).__name__}: {first_line}"
        if isinstance(error, SystemExit):
            reason = f"calls {exit_call(error)} while it is loaded"
        record = PluginRecord(
            status="failed", reason=reason, traceback=traceback.format_exc(), api_version=api_version, **described
        )
    else:
        record = PluginRecord(status="ok", api_version=api_version, **described)
    registry.plugins.append(record)


class _RefusedPlugin(Exception):
    """A plugin that core does not take; the message is for the user."""


class _TooSlow(BaseException):
    """A plugin that is not loaded in time; no ``except Exception`` of its own hides it."""


@contextlib.contextmanager
def _time_limit(plugin: str) -> Iterator[None]:
    """Interrupt a plugin that takes too long to load, such as one that waits for the network or runs for ever.

    Only the main thread can be interrupted, and only where the system has timers.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return
    seconds = _seconds()

    def interrupt(*_: object) -> None:
        raise _TooSlow(
            f"is not loaded after {seconds:g} seconds. SMALLWRIGHT_DISABLE_PLUGINS={plugin} leaves it out, "
            f"SMALLWRIGHT_PLUGIN_SECONDS={2 * seconds:g} waits longer"
        )

    started, before = time.monotonic(), signal.signal(signal.SIGALRM, interrupt)
    delay, interval = signal.setitimer(signal.ITIMER_REAL, seconds, 1)  # and again, where a bare except went on
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if delay:  # somebody else's alarm
            signal.setitimer(signal.ITIMER_REAL, max(delay - (time.monotonic() - started), 1e-3), interval)


def _seconds() -> float:
    text = os.environ.get("SMALLWRIGHT_PLUGIN_SECONDS") or "20"
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 86_400:
        raise ConfigError(f"SMALLWRIGHT_PLUGIN_SECONDS={text}: give seconds above 0 and below 86400.")
    return seconds


def _check_name(registry: Registry, described: dict[str, Any]) -> None:
    """Refuse a local file under the name of a plugin that works."""
    for record in registry.plugins:
        if record.name == described["name"] and record.status == "ok":
            fix = "rename the file" + ("" if record.local else f", or uninstall {record.distribution}")
            raise _RefusedPlugin(f"{record.name} is the name of {record.distribution} {record.version} already: {fix}.")


def _check_api_version(stated: Any) -> None:
    if stated is None:
        raise _RefusedPlugin(f"states no PLUGIN_API_VERSION; this core has {PLUGIN_API_VERSION}")
    if stated != PLUGIN_API_VERSION:
        side = "upgrade smallwright-core" if stated > PLUGIN_API_VERSION else "upgrade the plugin"
        raise _RefusedPlugin(f"built for plugin API {stated}, this core has {PLUGIN_API_VERSION}: {side}")


def _collect(registry: Registry, manager: pluggy.PluginManager, module: ModuleType, described: dict[str, Any]) -> None:
    """Call the plugin's own register hooks, and keep nothing of a plugin that fails half-way."""
    found: list[Entry] = []
    packages: list[str] = []
    others = [plugin for plugin in manager.get_plugins() if plugin is not module]
    for kind in (kind.name for kind in KINDS):

        def register(
            name: str, target: str, config: str | None = None, *, artifact_version: int = 1, kind: str = kind
        ) -> None:
            for text in (name, target):
                if not isinstance(text, str):
                    raise TypeError(f"register_{kind} takes strings, got {text!r}: give 'module:attribute'")
            if any((entry.kind, entry.name) == (kind, name) for entry in found):
                raise ValueError(f"register_{kind} is called twice with the name {name!r}")
            found.append(
                Entry(
                    kind=kind,
                    name=name,
                    target=target,
                    config=config,
                    plugin=described["name"],
                    distribution=described["distribution"],
                    version=described["version"],
                    artifact_version=artifact_version,
                )
            )

        manager.subset_hook_caller(f"register_{kind}", others)(register=register)
    manager.subset_hook_caller("register_configs", others)(register=packages.append)
    for entry in found:
        registry.add(entry)
    for package in packages:
        registry.config_packages[package] = described["distribution"]


def _import_local(path: Path) -> ModuleType:
    try:
        return import_file(path)
    except NameTaken as error:
        raise _RefusedPlugin(str(error)) from error


def _names(variable: str) -> set[str] | None:
    value = os.environ.get(variable)
    return None if value is None else {name.strip() for name in value.split(",") if name.strip()}
