"""Python files given with ``--plugin``, imported under their own stem: ``"my_arch:MyArch"`` finds them."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType


class NameTaken(ImportError):
    """A module of the file's name is installed."""


def import_file(path: Path) -> ModuleType:
    """Import a file; a file that was imported already is not run again.

    Raises:
        NameTaken: another module has its name.
    """
    path = path.resolve()
    if path.stem in sys.modules and getattr(sys.modules[path.stem], "__file__", None) == str(path):
        return sys.modules[path.stem]
    installed = importlib.util.find_spec(path.stem)
    if installed is not None and installed.origin != str(path):
        raise NameTaken(f"a module named {path.stem!r} is installed already: rename the file.")
    spec = importlib.util.spec_from_file_location(path.stem, path)
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
