"""What plugins registered: names and import strings, resolved only when chosen."""

import dataclasses
import importlib
import importlib.resources
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core import bases, kinds, typed
from core.catalog import install_hint
from core.errors import ConfigError, MissingPluginError, UserError, nearest
from core.process import exit_call, nobody_leaves

LOCAL_VERSION = "local file"
"""How the version of a file given with ``--plugin`` begins."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """One registered name."""

    kind: str
    name: str
    target: str
    config: str | None
    plugin: str
    """Name of the plugin: its entry point, or the stem of a local file."""
    distribution: str
    version: str
    artifact_version: int = 1

    @property
    def origin(self) -> str:
        """Who offers it, for people."""
        return f"{self.distribution} {self.version}"

    def identity(self) -> dict[str, Any]:
        """What of it is part of the identity of an artifact. A package's version never is."""
        local = self.version.startswith(LOCAL_VERSION)
        version = self.version if local else self.artifact_version
        return {"implementation": self.name, "plugin": self.distribution, "artifact_version": version}

    def build(self, config: Any) -> Any:
        """Construct the target; cheap by contract."""
        made = bases.complete(self.load()(config), kinds.BY_NAME[self.kind].base, self.origin)
        if not hasattr(made, "config"):  # core.travel needs it to tell another process of the object
            made.config = config
        return made

    def settings(self, values: Mapping[str, Any], where: str) -> Any:
        """Build the settings of the target from plain values; None where it has none.

        Args:
            where: Dotted place in the configuration, for messages.

        Raises:
            ConfigError: a wrong setting, or any where the target takes none.
        """
        config_class = self.load_config()
        if config_class is None:
            if values:
                raise ConfigError(f"{where}: {self.name} takes no settings, got {', '.join(values)}.")
            return None
        try:
            with nobody_leaves():
                built = typed.build(config_class, values, where)
        except SystemExit as error:
            raise ConfigError(f"{where}: {self.origin} calls {exit_call(error)} for these settings.") from error
        return bases.complete(built, kinds.BY_NAME[self.kind].config_base, self.origin)

    def load(self) -> Any:
        """Import the target.

        Raises:
            MissingPluginError: the target cannot be imported; the message holds the first cause.
        """
        return self._import(self.target)

    def load_config(self) -> type | None:
        """Import the configuration dataclass; None when the target takes no configuration."""
        return self._import(self.config) if self.config else None

    def resource(self) -> Path:
        """Path of a ``"package:relative/path"`` target."""
        package, _, relative = self.target.partition(":")
        return Path(str(importlib.resources.files(package))) / relative

    def _import(self, reference: str) -> Any:
        module_name, _, attribute = reference.partition(":")
        try:
            with nobody_leaves():
                module = importlib.import_module(module_name)
        except UserError:
            raise
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # whatever a plugin's module does when it is imported
            said = str(error) if isinstance(error, ImportError) else f"{type(error).__name__}: {error}"
            if isinstance(error, SystemExit):
                said = f"it calls {exit_call(error)}"
            raise MissingPluginError(
                f"{self.kind} {self.name!r} of {self.origin} cannot be imported ({reference}): {said}"
            ) from error
        if not hasattr(module, attribute):
            raise MissingPluginError(f"{self.kind} {self.name!r} of {self.origin}: no {attribute!r} in {module_name}")
        return getattr(module, attribute)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PluginRecord:
    """One installed plugin, working or not."""

    name: str
    distribution: str
    version: str
    status: str
    """``ok``, ``disabled`` or ``failed``."""
    reason: str = ""
    traceback: str = ""
    api_version: int | None = None
    module: str = ""
    local: bool = False
    """Whether it is a file given with ``--plugin``."""


class Registry:
    """All names of all working plugins, by kind."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], list[Entry]] = {}
        """By kind and name; of several entries none is ever chosen."""
        self.config_packages: dict[str, str] = {}
        """Config package to distribution."""
        self.plugins: list[PluginRecord] = []
        self.hooks: Any = None
        """The pluggy hook caller."""
        self.manager: Any = None
        """The pluggy manager of the plugins that work."""

    def add(self, entry: Entry) -> None:
        """Add a name. When several plugins offer the same name, ``get`` refuses it."""
        self._entries.setdefault((entry.kind, entry.name), []).append(entry)

    def versions(self) -> dict[str, str]:
        """Versions of the working plugins, by distribution."""
        return {record.distribution: record.version for record in self.plugins if record.status == "ok"}

    def origin(self, plugin: str | None) -> str:
        """Distribution and version of a plugin by its name, for people."""
        found = next((record for record in self.plugins if record.name == plugin), None)
        return f"{found.distribution} {found.version}" if found is not None else str(plugin)

    def observes(self, plugin: str) -> list[str]:
        """Hooks of a run that a plugin observes."""
        module = self.manager.get_plugin(plugin) if self.manager is not None else None
        callers = (self.manager.get_hookcallers(module) or ()) if module is not None else ()
        return sorted(caller.name for caller in callers if caller.name.startswith(("run_", "stage_", "metrics_")))

    def clashes(self) -> list[tuple[list[Entry], str]]:
        """Return the entries of each name that several plugins offer, and the line that names them and the fix."""
        return [(found, _clash(found)) for _, found in sorted(self._entries.items()) if len(found) > 1]

    def names(self, kind: str) -> list[str]:
        """Registered names of a kind, sorted; also those that several plugins offer."""
        return sorted(name for entry_kind, name in self._entries if entry_kind == kind)

    def entries(self) -> list[Entry]:
        """All entries, sorted by kind and name; several of a name that several plugins offer."""
        return [entry for _, found in sorted(self._entries.items()) for entry in found]

    def get(self, kind: str, name: str) -> Entry:
        """Return the entry of a name.

        Raises:
            MissingPluginError: with what is installed, the nearest name and how to install it.
            ConfigError: several plugins offer it.
        """
        found = self._entries.get((kind, name))
        if found is None:
            raise MissingPluginError(self.missing_message(kind, name, self.names(kind)))
        if len(found) > 1:
            raise ConfigError(_clash(found))
        return found[0]

    def missing_message(self, kind: str, name: str, known: list[str]) -> str:
        """Say that nothing offers ``name``, what is there, and what to do."""
        installed = f" Installed: {', '.join(known)}." if known else " None is installed."
        broken = [record for record in self.plugins if record.status == "failed"]
        failures = ", ".join(f"{record.distribution} ({record.reason})" for record in broken)
        trouble = f" Plugins that failed to load: {failures}." if broken else ""
        hint = install_hint(kind, name)
        # A name of a package of ours is not misspelt.
        guess = "" if "pip install" in hint else nearest(name, known)
        return f"no installed plugin offers {kind} {name!r}.{guess}{installed}{trouble}{hint}"


def _clash(found: list[Entry]) -> str:
    origins = " and ".join(entry.origin for entry in found)
    number = "two" if len(found) == 2 else str(len(found))
    last = found[-1]
    if last.version.startswith(LOCAL_VERSION):
        names = ",".join(entry.plugin for entry in found if not entry.version.startswith(LOCAL_VERSION))
        disable = f", or set SMALLWRIGHT_DISABLE_PLUGINS={names}" if names else ""
        fix = f"Choose another name in {last.distribution}{disable}."
    else:
        fix = f"Uninstall one, or set SMALLWRIGHT_DISABLE_PLUGINS={','.join(entry.plugin for entry in found[1:])}."
    return f"{last.kind} {last.name!r} is registered by {number} plugins: {origins}. {fix}"
