"""Run the conformance kit on registered plugins, without a test file, and say what each of them holds.

python -m smallwright_testing gqa
python -m smallwright_testing shared_ffn 'ffn_groups={middle: 1-3}' --markdown report.md
python -m smallwright_testing mine --plugin ./mine.py size=null hidden_size=64 --quick
"""

import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from core import cli, discovery
from core.errors import ConfigError, UserError, nearest

import smallwright_testing
from smallwright_testing import Conformance

KITS: tuple[type[Conformance], ...] = tuple(
    kit for name in smallwright_testing.__all__ if hasattr(kit := getattr(smallwright_testing, name), "kind")
)
"""The kit's classes that are of one kind."""
KINDS = sorted({kit.kind for kit in KITS})
PYTEST_INI = """[pytest]
addopts = -q --no-header -p no:cacheprovider --import-mode=importlib
markers = slow: trains or serves a model
filterwarnings = ignore
"""


class Report:
    """A pytest plugin that remembers what became of each test."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str, float]] = []
        """Sentence, outcome and seconds."""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the outcome of the test itself, or of what it needed when that failed or skipped it."""
        if report.when != "call" and report.outcome == "passed":
            return
        outcome: str = report.outcome
        if outcome == "skipped" and isinstance(report.longrepr, tuple):
            outcome = f"skipped: {report.longrepr[2].removeprefix('Skipped: ')}"
        name = report.nodeid.rsplit("::", 1)[-1].removeprefix("test_")
        sentence, bracket, values = name.partition("[")
        self.rows.append((sentence.replace("_", " ") + bracket.replace("[", " [") + values, outcome, report.duration))

    def markdown(self, title: str) -> str:
        """Return the outcomes as a table."""
        rows = "".join(f"| {sentence} | {outcome} | {seconds:.1f} |\n" for sentence, outcome, seconds in self.rows)
        return f"## {title}\n\n| what holds | outcome | seconds |\n|---|---|---|\n{rows}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 1 when a plugin does not hold something."""
    return cli.carry_out(lambda: _main(arguments))


def _main(arguments: Sequence[str] | None) -> int:
    parser = cli.command_parser("smallwright_testing", __doc__)
    parser.add_argument("name", help=f"what is registered under {', '.join(KINDS)}")
    parser.add_argument("settings", nargs="*", metavar="key=value", help="settings that differ from the kit's")
    parser.add_argument("--plugin", default=[], **cli.PLUGIN_OPTION)
    parser.add_argument("--quick", action="store_true", help="without vLLM, two ranks and training stages")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="append the report to a file")
    options = cli.parse(parser, arguments)
    kit = _kit(options.name, options.plugin)
    settings = _settings(options.settings)
    _refuse_wrong_settings(kit, options.name, settings, options.plugin)
    report = Report()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "test_conformance.py"
        file.write_text(_test_file(kit, options.name, settings, options.plugin))
        (Path(folder) / "pytest.ini").write_text(PYTEST_INI)
        chosen = ["-m", "not slow"] if options.quick else []
        pytest.main([str(file), "-c", f"{folder}/pytest.ini", "--rootdir", folder, *chosen], plugins=[report])
    title = " ".join([options.name, *options.settings])
    if options.markdown is not None:
        with options.markdown.open("a", encoding="utf-8") as out:
            out.write(report.markdown(title) + "\n")
    for sentence, outcome, seconds in report.rows:
        print(f"{outcome:8} {seconds:6.1f} s  {sentence}")
    failed = sum(outcome == "failed" for _, outcome, _ in report.rows)
    print(f"{title}: {len(report.rows)} looked at, {failed} failed")
    return 1 if failed or not report.rows else 0


def _kit(name: str, plugin_files: Sequence[str]) -> type[Conformance]:
    """Return the kit's class for what is registered; of two of one kind that whose base it has, the narrower first."""
    entries = [entry for entry in discovery.load(plugin_files).entries() if entry.kind in KINDS]
    for entry in entries:
        if entry.name == name:
            kits = [kit for kit in KITS if kit.kind == entry.kind]
            target = entry.load() if len(kits) > 1 else None
            fitting = [kit for kit in kits if isinstance(target, type) and issubclass(target, kit.bases())]
            return max(fitting or kits[:1], key=lambda kit: len(kit.bases()[0].__mro__) if kit.bases() else 0)
    names = [entry.name for entry in entries]
    raise ConfigError(f"{name}: no registered plugin that the kit knows.{nearest(name, names)} python -m core.plugins.")


def _settings(overrides: Sequence[str]) -> dict[str, Any]:
    from omegaconf import OmegaConf

    settings: dict[str, Any] = {}
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals:
            raise ConfigError(f"{override}: give a setting as key=value.")
        # YAML, as on every command line.
        settings[key] = OmegaConf.to_container(OmegaConf.create(f"value: {value}"))["value"]  # type: ignore[call-overload, index]
    return settings


def _refuse_wrong_settings(
    base: type[Conformance], name: str, settings: Mapping[str, Any], plugin_files: Sequence[str]
) -> None:
    """Build what the tests will build, so that a wrong setting is one line and not a failure of every test.

    Raises:
        UserError: what the plugin's configuration, or the plugin itself, refuses.
    """
    own = dict(settings)
    size = {"size": own.pop("size")} if base.kind == "architectures" and "size" in own else {}
    given = {"plugin": name, "plugin_files": tuple(plugin_files), "settings": own, **size}
    kit: Any = type("Kit", (base,), given)
    try:
        config = kit.config()
        if base.kind == "architectures":  # one may refuse what its configuration allows
            kit.entry().load()(config)
    except UserError:
        raise
    except Exception:  # a mistake in the plugin, which the tests will show
        return


def _test_file(kit: type[Conformance], name: str, settings: dict[str, Any], plugin_files: Sequence[str]) -> str:
    files = tuple(str(Path(file).resolve()) for file in plugin_files)
    size = f"    size = {settings.pop('size')!r}\n" if kit.kind == "architectures" and "size" in settings else ""
    return (
        f"from smallwright_testing import {kit.__name__} as Kit\n\n\n"
        f"class TestPlugin(Kit):\n    plugin = {name!r}\n    settings = {settings!r}\n{size}"
        f"    plugin_files = {files!r}\n"
    )


if __name__ == "__main__":
    sys.exit(main())
