"""For the tests of all packages: the order of files, what starts an engine, the device of TorchTitan, and faults.

Tests of several packages share a process: TorchTitan must learn that the device is a CPU before any imports it.
"""

import functools
import gc
import importlib.util
import inspect
import marshal
import os
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

LONGEST = (
    "test_main_job.py",
    "test_nano_recipes.py",
    "test_first_plugin.py",
    "test_studies.py",
    "test_executors_ray.py",
    "test_example_plugin.py",
    "test_labels_vllm_server.py",
    "test_eval_talk_serve.py",
    "test_core_new_plugin_runs.py",
    "test_pretrain_runs.py",
    "test_classifiers_conformance.py",
    "test_gqa_conformance.py",
    "test_testing_finds_mistakes.py",
    "test_decoder_experts_training.py",
    "test_eval_engines.py",
    "test_recipes.py",
    "test_bad_input.py",
)
"""Files that begin first: one of them at the end would run alone while the other processes have nothing left to do."""

LIBRARIES = r"torch|torchtitan|transformers|vllm|trl|lm_eval|smallwright_(?:decoder|pretrain)"
ENGINE = re.compile(rf"^(?:\w+ = )?(?:pytest\.importorskip\(\"|from |import )(?:{LIBRARIES})\b", re.MULTILINE)
"""An engine imported, or required. What stands at the start of a line concerns all tests of a file."""
KITS = re.compile(r"\((?:Architecture|Posttrain|Evaluator|ModelCommand)Conformance\)")
"""Test classes whose tests are engines' work."""


FAULTS = Path(__file__).parent / "packages/core/tests/faults.py"


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of tests see: what takes seconds to make is made there once, behind a lock."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture
def peak_memory() -> Callable[[Callable[[], object]], int]:
    """A function that gives the most memory, in bytes, that Python's objects take at once while a function works.

    It works in a fork: threads that other tests left in this process allocate too, and a fork has none of them. What is
    imported and cached at a first call counts; a test that does not mean it makes that call before.
    """

    def measure(work: Callable[[], object]) -> int:
        reading, writing = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        child = os.fork()
        if child == 0:
            try:
                tracemalloc.start()
                work()
                os.write(writing, str(tracemalloc.get_traced_memory()[1]).encode())
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(0)
        os.close(writing)
        with open(reading, encoding="ascii") as told:
            peak = told.read()
        os.waitpid(child, 0)
        assert peak, "the work failed; its traceback is in the captured stderr"
        return int(peak)

    return measure


@pytest.fixture
def wait_for_ends() -> Callable[[Path], None]:
    """A function that waits until no process works in a folder: a fork ends a moment after the one that asked for it.

    Without ``/proc`` there are no forks either.
    """

    def wait(folder: Path) -> None:
        end = time.monotonic() + 300
        while any(_works_in(folder, process) for process in Path("/proc").glob("[0-9]*")):
            assert time.monotonic() < end, f"a process still works in {folder}"
            time.sleep(0.02)

    return wait


def _works_in(folder: Path, process: Path) -> bool:
    try:
        return (process / "cwd").readlink().is_relative_to(folder)
    except OSError:  # it has ended, or is not ours
        return False


@pytest.fixture
def faults() -> Any:
    """The module ``faults``: ends work, or fills the disk, at each change that the work makes to files.

    Tests of several packages use it, and no folder of tests is a place for imports.
    """
    spec = importlib.util.spec_from_file_location("faults", FAULTS)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def each_fault(faults: Any) -> Any:
    """The function of that name in :func:`faults`."""
    return faults.each_fault


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A job in the background of a shell ignores Ctrl-C, and so would all that tests start and interrupt.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", "engine: imports torch, vLLM, TRL or another engine; given by conftest.py")
    config.addinivalue_line("markers", "kit: of the conformance kit, the same for every plugin; given by conftest.py")
    engines = not _without_engines(config) and importlib.util.find_spec("smallwright_pretrain") is not None
    _fork_engines(config, engines)
    if engines:
        from smallwright_pretrain.cpu import use_device

        use_device("cpu")


def _fork_engines(config: pytest.Config, engines: bool) -> None:
    """Have processes that tests start be forks of one that has imported their engine; see ``tests/forks``.

    Not with a GPU, which forks cannot share.
    """
    if "ENGINE_FORKS" in os.environ or sys.platform != "linux" or Path("/dev/nvidiactl").exists():
        return
    folder = tempfile.mkdtemp(prefix="engine-forks-", suffix=f"-{os.getpid()}")
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    paths = [str(Path(__file__).parent / "tests" / "forks"), os.environ.get("PYTHONPATH")]
    (Path(folder) / "environment").write_bytes(marshal.dumps(dict(os.environ)))
    if engines and config.getoption("dist", "no") != "no":
        os.environ["ENGINE_OF_CODE"] = "ranks"  # of the processes of tests, which xdist starts
    os.environ.update(ENGINE_FORKS=folder, PYTHONPATH=os.pathsep.join(filter(None, paths)))


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out files of engines, and folders with such fixtures, where none is wanted: importing takes seconds."""
    file = collection_path / "conftest.py" if collection_path.is_dir() else collection_path
    if _without_engines(config) and file.suffix == ".py" and file.exists():
        text = file.read_text()
        if ENGINE.search(text) or KITS.search(text):
            return True
    return None


def _without_engines(config: pytest.Config) -> bool:
    return "not engine" in config.option.markexpr


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "engine" in config.option.markexpr:
        for item in items:
            if _starts_engine(item):
                item.add_marker("engine")
    for item in items:
        if item.path.name.endswith("_conformance.py"):
            item.add_marker("kit")
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))


def pytest_collection_finish() -> None:
    """Keep what was imported out of the garbage collections that engines ask for again and again."""
    gc.collect()
    gc.freeze()


def _starts_engine(item: Any) -> bool:
    """Whether a test, its class or a fixture that it uses imports an engine."""
    fixtures = item._fixtureinfo.name2fixturedefs
    used = [definition.func for name in item.fixturenames for definition in fixtures.get(name, ())]
    own = [item.cls or item.function]
    return any(_imports_engine(inspect.unwrap(part)) for part in (*own, *used))


@functools.cache
def _imports_engine(part: Any) -> bool:
    try:
        return ENGINE.search(re.sub(r"(?m)^\s+", "", inspect.getsource(part))) is not None
    except (OSError, TypeError):
        return False
