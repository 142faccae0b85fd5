"""``docs/plugin_contract.md``: every hook has a section, and what the section says is what the packages do."""

import ast
import functools
import inspect
import json
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from core import discovery, hooks, interfaces, pages
from core.compare import published
from core.errors import MissingPluginError
from core.kinds import BY_NAME as KINDS
from smallwright_testing import (
    ArchitectureConformance,
    EvaluatorConformance,
    LauncherConformance,
    MixturePolicyConformance,
    ModelCommandConformance,
    PosttrainConformance,
    ScheduleConformance,
    StepConformance,
    TrackerConformance,
)

REPOSITORY = Path(__file__).parents[2]
PAGE = REPOSITORY / "docs" / "plugin_contract.md"
HOOKS = {
    name: function
    for name, function in vars(hooks).items()
    if inspect.isfunction(function) and hasattr(function, "smallwright_spec")
}
KIT = (
    ArchitectureConformance,
    EvaluatorConformance,
    LauncherConformance,
    MixturePolicyConformance,
    ModelCommandConformance,
    PosttrainConformance,
    ScheduleConformance,
    StepConformance,
    TrackerConformance,
)
HEADER = "from core.hooks import Register, RegisterPackage, hookimpl\n\nPLUGIN_API_VERSION = 1\n\n\n"


def sections():
    """Heading and text of each section of a hook."""
    parts = re.split(r"^### (.+)$", PAGE.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def section(hook):
    (found,) = [text for heading, text in sections().items() if heading.partition("(")[0] == hook]
    return re.split(r"^## ", found, flags=re.MULTILINE)[0]


def example(hook):
    (block,) = re.findall(r"```python\n(.*?)```", section(hook), flags=re.DOTALL)
    return block


@pytest.fixture(scope="module")
def registry():
    return discovery.load()


@pytest.fixture
def documented(registry, tmp_path, monkeypatch):
    """A function that returns the target of a section's example, after a look at what is registered under its name."""

    def load(hook, kind, name):
        calls = []
        space = dict(vars(hooks))
        exec(example(hook), space)
        space[hook](lambda *arguments, **settings: calls.append((arguments, settings)))
        ((said, target), settings) = calls[0]
        entry = registry.get(kind, name)
        assert (said, target, settings.get("config")) == (entry.name, entry.target, entry.config)
        assert example(hook).startswith(f"# {entry.distribution}\n")
        return entry

    return load


def test_every_hook_has_a_section_with_its_arguments():
    headings = {f"{name}({', '.join(inspect.signature(hook).parameters)})" for name, hook in HOOKS.items()}
    assert set(sections()) == headings
    assert {name.removeprefix("register_") for name in HOOKS if name.startswith("register_")} == {*KINDS, "configs"}


@functools.cache
def bodies_of_tests():
    """Return the source of every function of the repository's tests, by its name."""
    return {
        node.name: ast.unparse(node)
        for folder in ("packages", "tests")
        for path in (REPOSITORY / folder).glob("**/tests/**/test_*.py" if folder == "packages" else "**/test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef)
    }


@pytest.mark.slow
@pytest.mark.parametrize("hook", HOOKS)
def test_every_section_names_a_test_that_is_about_the_hook(hook):
    named = re.findall(r"^Test: `(test_\w+)`", section(hook), flags=re.MULTILINE)
    assert named
    bodies = bodies_of_tests()
    for name in named:
        assert name in bodies, f"{hook}: there is no {name}"
        assert hook in bodies[name].replace(f"def {name}(", ""), f"{name} does not mention {hook}"


def test_links_and_names_of_the_page_exist():
    text = PAGE.read_text()
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert (PAGE.parent / target).exists(), target
    for module, name in re.findall(r"`(core(?:\.\w+)*)\.([A-Z]\w+)`", text):
        assert hasattr(__import__(module, fromlist=[name]), name), f"{module}.{name}"
    for name in re.findall(r"kit: `smallwright_testing\.(\w+)`", text):
        assert name in {kit.__name__ for kit in KIT}


def test_artifacts_of_every_role_are_in_the_table():
    for role in ("crawl", "corpus", "tokenizer", "tokens", "model", "report"):
        assert re.search(rf"^{role} ", interfaces.__doc__, flags=re.MULTILINE), role


def test_register_configs(registry):
    calls = []
    space = dict(vars(hooks))
    exec(example("register_configs"), space)
    space["register_configs"](calls.append)
    assert registry.config_packages[calls[0]] == "smallwright-arch-gqa"


def test_register_sources(documented):
    assert callable(documented("register_sources", "sources", "demo_crawl").load().run)


def test_register_steps(documented):
    from core.data.steps import CorpusStep, Step

    target = documented("register_steps", "steps", "minhash").load()
    assert issubclass(target, (Step, CorpusStep))


def test_register_executors(documented):
    from core.data.executor import Executor

    entry = documented("register_executors", "executors", "local")
    assert issubclass(entry.load(), Executor)
    assert list(inspect.signature(entry.load()).parameters) == ["config", "plugin_files"]


def test_register_corpora(documented):
    assert callable(documented("register_corpora", "corpora", "recipe").load().run)


def test_register_benchmarks(documented):
    entry = documented("register_benchmarks", "benchmarks", "smallwright_word_order")
    items = [json.loads(line) for line in entry.resource().read_text().splitlines()]
    assert items
    assert entry.config is None


def test_register_published_scores(documented):
    entry = documented("register_published_scores", "published_scores", "smollm2")
    scores = published.read(entry.resource())
    assert {"SmolLM2-135M", "SmolLM2-1.7B-Instruct"} <= {score.model for score in scores}
    assert entry.config is None


def test_register_tokenizers(documented):
    entry = documented("register_tokenizers", "tokenizers", "bpe")
    stage = entry.load()(entry.load_config()(vocab_size=512))
    assert stage.vocab_size() == 512
    assert callable(stage.run)


def test_register_packers(documented):
    assert callable(documented("register_packers", "packers", "packed").load().run)


def test_register_architectures(documented):
    entry = documented("register_architectures", "architectures", "gqa")
    assert issubclass(entry.load(), interfaces.Architecture)
    assert not inspect.isabstract(entry.load())
    assert "vocab_size" in entry.load_config().__dataclass_fields__


def test_register_initializers(documented):
    entry = documented("register_initializers", "initializers", "inherited_init")
    assert {"source", "source_size"} <= set(entry.load_config().__dataclass_fields__)
    assert callable(entry.load().check)
    assert callable(entry.load().check_source)
    assert callable(entry.load().run)


def test_register_trainers(documented):
    entry = documented("register_trainers", "trainers", "torchtitan")
    assert callable(entry.load().run)
    assert list(inspect.signature(entry.load().plan).parameters) == ["self", "architecture"]


def test_register_posttrainers(documented):
    assert callable(documented("register_posttrainers", "posttrainers", "sft").load().run)


def test_register_launchers(documented):
    assert issubclass(documented("register_launchers", "launchers", "local").load(), interfaces.Launcher)


def test_register_trackers(documented):
    assert issubclass(documented("register_trackers", "trackers", "tensorboard").load(), interfaces.Tracker)


def test_register_model_commands(documented):
    assert issubclass(documented("register_model_commands", "model_commands", "chat").load(), interfaces.ModelCommand)


def test_register_mixture_policies(documented):
    assert issubclass(
        documented("register_mixture_policies", "mixture_policies", "sheared").load(), interfaces.MixturePolicy
    )


def test_register_schedules(documented):
    assert issubclass(documented("register_schedules", "schedules", "multi_step").load(), interfaces.Schedule)


def test_register_evaluators(documented):
    assert callable(documented("register_evaluators", "evaluators", "lm_eval").load().run)


CORPUS = '''
class Nothing:
    """A corpus of nothing; it fails when asked to."""

    def __init__(self, config):
        self.config = config

    def run(self, job):
        if (job.output.parents[2] / "fail").exists():
            raise KeyError("a mistake")
        (job.output / "metrics.jsonl").write_text('{"step": 1, "loss": 2.5}\\n{"step": 2, "loss": 1.5}\\n')
        return {}


@hookimpl
def register_corpora(register):
    register("nothing", "watcher:Nothing")
'''


@pytest.fixture
def observed(tmp_path, monkeypatch):
    """A function that runs a corpus of nothing with the examples of some sections, and returns what they wrote."""
    monkeypatch.setenv("SMALLWRIGHT_PLUGINS", "")

    def run(*observers, name="run"):
        text = HEADER + "\n\n".join(map(example, observers)) + textwrap.dedent(CORPUS)
        (tmp_path / "watcher.py").write_text(text)
        arguments = ["--plugin", "./watcher.py", "+data=nothing", f"run_dir={name}"]
        command = [sys.executable, "-m", "core.run", *arguments]
        ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
        return ended.returncode, (tmp_path / name / "observed.txt").read_text()

    return run


@pytest.mark.slow
def test_run_started(observed):
    assert observed("run_started") == (0, "started nothing\n")


@pytest.mark.slow
def test_stage_started(observed, tmp_path):
    (tmp_path / "fail").touch()
    assert observed("stage_started", name="failing") == (1, "data begins\n")
    (tmp_path / "fail").unlink()
    assert observed("stage_started") == (0, "data begins again\n")


@pytest.mark.slow
def test_metrics_logged(observed):
    told = "data step 1: 2.5\ndata step 2: 1.5\n"
    assert observed("stage_started", "metrics_logged", "stage_finished") == (0, f"data begins\n{told}data ran\n")


@pytest.mark.slow
def test_stage_finished(observed, tmp_path):
    (tmp_path / "fail").touch()
    assert observed("stage_finished", name="failing") == (1, "data failed\n")
    (tmp_path / "fail").unlink()
    assert observed("stage_finished") == (0, "data ran\n")
    assert observed("stage_finished", name="again") == (0, "data reused\n")


@pytest.mark.slow
def test_run_finished(observed, tmp_path):
    (tmp_path / "fail").touch()
    assert observed("run_finished", name="failing") == (1, "finished 1 stages\n")
    (tmp_path / "fail").unlink()
    assert observed("run_started", "stage_finished", "run_finished") == (
        0,
        "started nothing\ndata ran\nfinished 1 stages\n",
    )


def test_make_page(tmp_path, monkeypatch):
    monkeypatch.setenv("SMALLWRIGHT_PLUGINS", "")
    (tmp_path / "pages_of_mine.py").write_text(HEADER + example("make_page"))
    registry = discovery.load([tmp_path / "pages_of_mine.py"])
    path = tmp_path / "page.txt"
    assert pages.make(registry, "inspect", {"corpora": [{"name": "a"}, {"name": "b"}]}, path) == path
    assert path.read_text() == "a\nb"
    with pytest.raises(MissingPluginError, match=r"kind 'sweep'.*pip install smallwright-report"):
        pages.make(registry, "sweep", {}, path)  # make_page answered None
