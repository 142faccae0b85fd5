"""Find installed plugins, one by one, so that a broken one is reported and the others work.

Environment variables: ``SMALLWRIGHT_PLUGINS=a,b`` loads only those (by entry-point name; core itself always),
``SMALLWRIGHT_DISABLE_PLUGINS=a,b`` leaves those out before they are imported, ``SMALLWRIGHT_TRACE_HOOKS=1`` prints
every hook call with its results, ``SMALLWRIGHT_STRICT=1`` makes a broken plugin fatal.
"""

import functools
import hashlib
import importlib.metadata
import importlib.util
import os
import sys
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

from core import PLUGIN_API_VERSION, hooks
from core.errors import ConfigError
from core.registry import KINDS, Entry, PluginRecord, Registry

GROUP = "smallwright"


def load(plugin_files: Iterable[str | Path] = ()) -> Registry:
    """Load every enabled plugin and return what they registered.

    Args:
        plugin_files: Local Python files that hold hook implementations (``--plugin``).

    Raises:
        ConfigError: a name is registered twice, a plugin file is missing or broken, or (strict mode) any plugin is.
    """
    registry = Registry()
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hooks)
    registry.hooks = manager.hook
    if os.environ.get("SMALLWRIGHT_TRACE_HOOKS"):
        manager.trace.root.setwriter(lambda text: print(text, end="", file=sys.stderr))
        manager.enable_tracing()
    allowed = _names("SMALLWRIGHT_PLUGINS")
    denied = _names("SMALLWRIGHT_DISABLE_PLUGINS") or set()
    points = sorted(importlib.metadata.entry_points(group=GROUP), key=lambda point: (point.name != "core", point.name))
    for point in points:
        distribution = point.dist.name if point.dist else point.value
        version = point.dist.version if point.dist else "?"
        described = {"name": point.name, "distribution": distribution, "version": version, "module": point.value}
        if point.name != "core" and ((allowed is not None and point.name not in allowed) or point.name in denied):
            registry.plugins.append(PluginRecord(status="disabled", reason="by environment variable", **described))
            continue
        _load_one(registry, manager, point.load, described)
    for file in plugin_files:
        path = Path(file)
        if not path.is_file():
            raise ConfigError(f"--plugin {path}: no such file.")
        # The content is the version: what an edited file makes is another artifact.
        version = f"local file {hashlib.sha256(path.read_bytes()).hexdigest()[:8]}"
        described = {"name": path.stem, "distribution": path.name, "version": version, "module": str(path)}
        _load_one(registry, manager, functools.partial(_load_file, path), {**described, "local": True})
        if registry.plugins[-1].status == "failed":
            raise ConfigError(f"--plugin {path}: {registry.plugins[-1].reason}")
    if os.environ.get("SMALLWRIGHT_STRICT"):
        for record in registry.plugins:
            if record.status == "failed":
                raise ConfigError(f"plugin {record.distribution} {record.version} failed to load: {record.reason}")
    return registry


def _load_one(
    registry: Registry, manager: pluggy.PluginManager, load_module: Callable[[], Any], described: dict[str, Any]
) -> None:
    api_version = None
    module = None
    try:
        module = load_module()
        api_version = getattr(module, "PLUGIN_API_VERSION", None)
        _check_api_version(api_version)
        manager.register(module, name=described["name"])
        manager.check_pending()
        _collect(registry, manager, module, described)
    except ConfigError:
        raise
    except Exception as error:
        if module is not None and manager.is_registered(module):
            manager.unregister(module)
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else ""
        reason = f"{type(error).__name__}: {first_line}" if not isinstance(error, _VersionMismatch) else first_line
        record = PluginRecord(
            status="failed", reason=reason, traceback=traceback.format_exc(), api_version=api_version, **described
        )
    else:
        record = PluginRecord(status="ok", api_version=api_version, **described)
    registry.plugins.append(record)


class _VersionMismatch(Exception):
    pass


def _check_api_version(stated: Any) -> None:
    if stated is None:
        raise _VersionMismatch(f"states no PLUGIN_API_VERSION; this core has {PLUGIN_API_VERSION}")
    if stated != PLUGIN_API_VERSION:
        side = "upgrade smallwright-core" if stated > PLUGIN_API_VERSION else "upgrade the plugin"
        raise _VersionMismatch(f"built for plugin API {stated}, this core has {PLUGIN_API_VERSION}: {side}")


def _collect(registry: Registry, manager: pluggy.PluginManager, module: ModuleType, described: dict[str, Any]) -> None:
    """Call the plugin's own register hooks, and keep nothing of a plugin that fails half-way."""
    found: list[Entry] = []
    packages: list[str] = []
    others = [plugin for plugin in manager.get_plugins() if plugin is not module]
    for kind in KINDS:

        def register(name: str, target: str, config: str | None = None, kind: str = kind) -> None:
            for text in (name, target):
                if not isinstance(text, str):
                    raise TypeError(f"register_{kind} takes strings, got {text!r}: give 'module:attribute'")
            found.append(
                Entry(
                    kind=kind,
                    name=name,
                    target=target,
                    config=config,
                    plugin=described["name"],
                    distribution=described["distribution"],
                    version=described["version"],
                )
            )

        manager.subset_hook_caller(f"register_{kind}", others)(register=register)
    manager.subset_hook_caller("register_configs", others)(register=packages.append)
    for entry in found:
        registry.add(entry)
    for package in packages:
        registry.config_packages[package] = described["distribution"]


def _load_file(path: Path) -> ModuleType:
    """Import a local file under its own stem, so that ``"my_arch:MyArch"`` targets find it."""
    if path.stem in sys.modules and getattr(sys.modules[path.stem], "__file__", None) == str(path.resolve()):
        return sys.modules[path.stem]
    installed = importlib.util.find_spec(path.stem)
    if installed is not None and installed.origin != str(path.resolve()):
        raise ImportError(f"a module named {path.stem!r} is installed already: rename the file")
    spec = importlib.util.spec_from_file_location(path.stem, path.resolve())
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[path.stem]
        raise
    return module


def _names(variable: str) -> set[str] | None:
    value = os.environ.get(variable)
    return None if value is None else {name.strip() for name in value.split(",") if name.strip()}
