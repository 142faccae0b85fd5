"""``core.testing``, the former place of the conformance kit, leads to the new one."""

import subprocess
import sys

import pytest
from core.errors import UserError

INSTALL = "core.testing is now smallwright_testing. Install it: pip install smallwright-testing"


def call(*command):
    return subprocess.run([sys.executable, *command], capture_output=True, text=True, timeout=120)


@pytest.fixture
def forgotten(monkeypatch):
    """A function that makes a module look as if it were not installed."""

    def forget(name):
        for loaded in list(sys.modules):
            if loaded == "core.testing" or loaded.startswith(("core.testing.", "smallwright_testing")):
                monkeypatch.delitem(sys.modules, loaded)
        monkeypatch.setitem(sys.modules, name, None)

    return forget


def test_the_names_are_those_of_the_kit_and_the_new_place_is_told():
    kit = pytest.importorskip("smallwright_testing")
    sys.modules.pop("core.testing", None)
    with pytest.warns(DeprecationWarning, match="core.testing is now smallwright_testing: import from there"):
        from core import testing
    assert {name: getattr(testing, name) for name in kit.__all__} == {name: getattr(kit, name) for name in kit.__all__}
    from core.testing.documents import plain_documents
    from smallwright_testing import documents

    assert plain_documents is documents.plain_documents


@pytest.mark.parametrize("missing", ["smallwright_testing", "pytest"])
def test_without_the_kit_the_import_says_what_to_install(missing, forgotten):
    forgotten(missing)
    with pytest.raises(ImportError) as caught, pytest.warns(DeprecationWarning, match="smallwright_testing"):
        import core.testing  # noqa: F401
    assert isinstance(caught.value, UserError)
    assert str(caught.value) == INSTALL


@pytest.mark.slow
def test_the_command_runs_the_new_one_and_says_so():
    pytest.importorskip("smallwright_testing")
    ended = call("-m", "core.testing", "no_such")
    assert ended.returncode == 2
    told, error = ended.stderr.splitlines()
    assert told == "core.testing is now smallwright_testing: python -m smallwright_testing"
    assert error.startswith("error: no_such: no registered plugin")


@pytest.mark.parametrize("missing", ["smallwright_testing", "pytest"])
def test_without_the_kit_the_command_is_one_line(missing):
    run = "runpy.run_module('core.testing', run_name='__main__')"
    ended = call("-c", f"import runpy, sys; sys.modules[{missing!r}] = None; {run}")
    assert ended.returncode == 2
    assert ended.stderr == f"error: {INSTALL}\n"
