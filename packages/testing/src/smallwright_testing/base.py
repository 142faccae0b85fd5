"""What holds for a plugin of any kind: it is registered, it is light, and its settings are checked."""

import dataclasses
import json
import subprocess
import sys
import typing
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import pytest
from core import discovery, typed
from core.errors import ConfigError
from core.kinds import BY_NAME
from core.registry import Entry

from smallwright_testing import contract

HEAVY = ("torch", "torchtitan", "transformers", "vllm", "trl", "lm_eval", "datasets", "datatrove", "pyarrow", "pandas")
"""Libraries that planning a run must not import: its commands answer within a second."""

LIGHT = """
import json, sys
from core import discovery
from core.typed import build
kind, plugin, settings, plugin_files, where, heavy = json.loads(sys.argv[1])
entry = discovery.load(plugin_files).get(kind, plugin)
config_class = entry.load_config()
config = build(config_class, settings, where) if config_class else settings
if kind == "architectures":
    architecture = entry.load()(config)
    architecture.parameters(), architecture.executed_parameters(), architecture.flops_per_token(128)
elif kind != "steps":
    entry.load()
print("loaded:", *sorted({name.partition(".")[0] for name in sys.modules} & set(heavy)))
"""


class Conformance:
    """Base of the test classes. A subclass whose name begins with ``Test`` is collected.

    It can be used itself for kinds that have no class of their own, with their ``kind`` and ``where``.
    """

    kind: ClassVar[str]
    """Kind of the registry, such as ``steps``."""
    where: ClassVar[str]
    """Place of the settings in a configuration, for messages."""
    plugin: ClassVar[str]
    """The name as registered."""
    settings: ClassVar[Mapping[str, Any]] = {}
    """Settings that differ from the defaults."""
    wrong_settings: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Settings that must be refused, by the key that the message must name."""
    own_names: ClassVar[frozenset[str]] = frozenset()
    """Names of the plugin's classes that only look like one of the contract's."""
    plugin_files: ClassVar[tuple[str, ...]] = ()
    """Local files as given with ``--plugin``; absolute paths, or relative to where pytest is started."""

    @classmethod
    def entry(cls) -> Entry:
        """Return what the plugin registered."""
        return discovery.load(cls.plugin_files).get(cls.kind, cls.plugin)

    @classmethod
    def given(cls) -> dict[str, Any]:
        """Return all settings of this test class."""
        return dict(cls.settings)

    @classmethod
    def config(cls, **values: Any) -> Any:
        """Return the built configuration, ``values`` last; the plain settings where a plugin has no dataclass."""
        config_class = cls.entry().load_config()
        given = {**cls.given(), **values}
        return typed.build(config_class, given, cls.where) if config_class is not None else given

    def test_it_is_registered_with_settings_that_are_frozen(self) -> None:
        config_class = self.entry().load_config()
        if config_class is None:
            pytest.skip(f"{self.plugin} takes no settings")
        assert dataclasses.is_dataclass(config_class)
        parameters = config_class.__dataclass_params__  # type: ignore[union-attr]
        assert parameters.frozen, f"@dataclass(frozen=True) is missing on {config_class}"
        plain = typed.identity(self.config())
        assert json.loads(json.dumps(plain)) == plain, "the identity of an artifact is made of JSON values"

    @classmethod
    def bases(cls) -> tuple[type, ...]:
        """Return the classes of which the registered one must subclass one; empty where its kind has none."""
        base = BY_NAME[cls.kind].base
        return () if base is None else (base,)

    @classmethod
    def classes(cls) -> list[tuple[type, tuple[type, ...]]]:
        """Return the registered class and that of its settings, each with the bases that it may have."""
        found: list[tuple[type, tuple[type, ...]]] = []
        bases, config_base = cls.bases(), BY_NAME[cls.kind].config_base
        if bases:
            target = cls.entry().load()  # a function is possible, too
            found.append((target if isinstance(target, type) else type(target(cls.config())), bases))
        config_class = cls.entry().load_config()
        if config_base is not None and config_class is not None:
            found.append((config_class, (config_base,)))
        return found

    def test_it_subclasses_the_base_of_its_kind(self) -> None:
        classes = self.classes()
        if not classes:
            pytest.skip(f"{self.kind} have no base class")
        wrong = [line for found, bases in classes if (line := contract.lacks(found, *bases))]
        assert not wrong, "; ".join(wrong)

    def test_no_name_is_nearly_one_of_the_contract(self) -> None:
        wrong = []
        for found, bases in self.classes():
            base = next((base for base in bases if issubclass(found, base)), bases[0])
            wrong += [*contract.misspelt(found, base, self.own_names), *contract.no_methods(found, base)]
        assert not wrong, "; ".join(wrong)

    def test_planning_imports_nothing_heavy(self) -> None:
        arguments = [self.kind, self.plugin, self.given(), list(self.plugin_files), self.where, HEAVY]
        command = [sys.executable, "-c", LIGHT, json.dumps(arguments)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert ended.returncode == 0, ended.stderr[-2000:]
        assert ended.stdout.splitlines()[-1].split() == ["loaded:"]

    def test_an_unknown_setting_is_refused_by_name(self) -> None:
        if self.entry().load_config() is None:
            pytest.skip(f"{self.plugin} takes no settings")
        with pytest.raises(ConfigError, match=r"no_such_setting: unknown key.*Known keys") as caught:
            self.config(no_such_setting=1)
        _is_one_line(caught.value, ["no_such_setting"])

    def test_a_wrong_type_is_refused_by_name(self) -> None:
        config_class = self.entry().load_config()
        hints = typing.get_type_hints(config_class) if config_class is not None else {}
        fields = dataclasses.fields(config_class) if config_class is not None else ()
        names = [field.name for field in fields if field.init and hints[field.name] is not Any]
        if not names:
            pytest.skip(f"{self.plugin} takes no settings of a known type")
        name = names[0]
        with pytest.raises(ConfigError, match=name) as caught:
            self.config(**{name: object()})
        _is_one_line(caught.value, [name])

    def test_wrong_settings_are_refused_by_name(self) -> None:
        for name, values in self.refused().items():
            with pytest.raises(ConfigError) as caught:
                self.config(**values)
            _is_one_line(caught.value, [name])

    @classmethod
    def refused(cls) -> Mapping[str, Mapping[str, Any]]:
        """Return settings that must be refused, by the key that the message must name."""
        return cls.wrong_settings


def _is_one_line(error: Exception, words: Iterable[str]) -> None:
    message = str(error)
    assert "\n" not in message
    for word in words:
        assert word in message
