"""Tell the plugins that observe, and the trackers of a run, what it does. Whatever they do, the run goes on."""

import functools
import pkgutil
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from core import typed
from core.errors import ConfigError, MissingPluginError, nearest
from core.interfaces import Tracker
from core.registry import Registry

LOG = "logs/observers.log"
"""File in a run's folder for the tracebacks of observers."""


SETTINGS = "OBSERVER_SETTINGS"
"""Attribute of a plugin's module of hooks: ``"module:Dataclass"`` of its settings as an observer."""


def settings(given: Mapping[str, Any] | None, registry: Registry) -> dict[str, Any]:
    """Return the built settings of every plugin that observes and has some, by the plugin's name.

    Args:
        given: The key ``observers`` of the configuration: plugin to settings.

    Raises:
        ConfigError: settings of a plugin that does not observe or takes none, or wrong ones.
        MissingPluginError: the class of its settings cannot be imported.
    """
    known = {record.name: record for record in registry.plugins if registry.observes(record.name)}
    for name in given or {}:
        if name not in known:
            there = f"{nearest(name, known)} There: {', '.join(sorted(known)) or 'none'}."
            raise ConfigError(f"observers.{name}: no plugin of this name observes.{there}")
    built = {}
    for name in known:
        values = (given or {}).get(name)
        place = getattr(registry.manager.get_plugin(name), SETTINGS, None)
        if place is None:
            if values is not None:
                raise ConfigError(f"observers.{name}: {registry.origin(name)} takes no settings as an observer.")
            continue
        if not isinstance(values, Mapping | None):
            raise ConfigError(f"observers.{name}={values!r}: expected settings; write +observers.{name}.<key>=<value>.")
        try:
            config = pkgutil.resolve_name(place)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise MissingPluginError(f"{SETTINGS} of {registry.origin(name)} cannot be imported: {error}") from error
        built[name] = typed.build(config, values, f"observers.{name}")
    return built


def trackers(config: Mapping[str, Any], registry: Registry) -> dict[str, Tracker]:
    """Return the trackers that a run chooses, by name, after their own look that they can work here.

    Args:
        config: The composed configuration.

    Raises:
        core.errors.UserError: a wrong setting, or what stands in a tracker's way.
    """
    built = {}
    for name, node in (config.get("tracker") or {}).items():
        where, values = f"tracker.{name}", dict(node)
        entry = registry.get("trackers", str(values.pop("name", name)))
        built[str(name)] = tracker = entry.build(entry.settings(values, where))
        tracker.check(where)
    return built


def notify(registry: Registry, directory: Path, hook: str, **arguments: Any) -> None:
    """Call a hook of every plugin that has it, and of every tracker of the run, one after another.

    An exception in one, or ``sys.exit``, is a warning that names the plugin; its traceback goes to the run's folder. Of
    further ones of the same hook only the number is kept, for :func:`conclude`.

    Args:
        registry: What is installed.
        directory: The run's folder.
        hook: ``run_started``, ``stage_started``, ``metrics_logged``, ``stage_finished`` or ``run_finished``.
    """
    run = arguments.get("run")
    failures: dict[tuple[str, str], int] = getattr(run, "failures", {})
    # What several runs share is done for none of them, and has no report; but its curves are worth following.
    plugins = (
        []
        if getattr(run, "is_shared", False)
        else [implementation.plugin for implementation in getattr(registry.hooks, hook).get_hookimpls()]
    )
    for plugin in reversed(plugins):  # as pluggy has it: the plugin that was loaded last comes first
        others = [other for other in plugins if other is not plugin]
        who = registry.origin(registry.manager.get_name(plugin))
        call = functools.partial(registry.manager.subset_hook_caller(hook, others), **arguments)
        _guarded(call, who, hook, directory / LOG, failures)
    for name, tracker in getattr(run, "trackers", {}).items():
        call = functools.partial(getattr(tracker, hook), **arguments)
        _guarded(call, f"tracker.{name}", hook, directory / LOG, failures)


def conclude(failures: Mapping[tuple[str, str], int]) -> None:
    """Say how often an observer or a tracker failed, where the first warning was not the last one."""
    for (who, hook), count in failures.items():
        if count > 1:
            print(
                f"warning: {who} failed in {hook} {count:,} times; what it shows of this run is not whole.",
                file=sys.stderr,
            )


def _guarded(call: Callable[[], Any], who: str, hook: str, log: Path, failures: dict[tuple[str, str], int]) -> None:
    try:
        call()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        failures[who, hook] = failures.get((who, hook), 0) + 1
        if failures[who, hook] > 1:
            return
        said = str(error).strip().splitlines()
        reason = ": ".join([type(error).__name__, *said[:1]])
        print(f"warning: {who} failed in {hook}: {reason}. The run goes on; see {log}.", file=sys.stderr)
        _write(log, f"{who}, {hook}\n{traceback.format_exc()}\n")


def _write(log: Path, text: str) -> None:
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with open(log, "a", encoding="utf-8") as file:
            file.write(text)
    except OSError:  # the warning is out, and that is what matters
        pass
