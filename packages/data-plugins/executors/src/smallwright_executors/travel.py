"""DataTrove executors that can be unpickled where nothing is loaded yet."""

import os
import platform
from typing import Any

import dill
from core import discovery
from core.errors import InputError


class Travelling:
    """Mixed into a DataTrove executor that is pickled for another machine.

    Steps of a local plugin file (``--plugin``) are classes of a module that a worker cannot import: the file is loaded
    before the pipeline is unpickled. Relative paths mean the same there as here.
    """

    plugin_files: tuple[str, ...] = ()

    def __reduce__(self) -> tuple[Any, ...]:
        return _arrive, (type(self), os.getcwd(), self.plugin_files, dill.dumps(self.__dict__))

    def save_executor_as_json(self, indent: int = 4) -> None:
        """Write nothing: settings of steps can hold keys of servers, and mappings that JSON does not take."""


def _arrive(kind: type, folder: str, plugin_files: tuple[str, ...], state: bytes) -> Any:
    try:
        os.chdir(folder)
    except OSError as error:
        raise InputError(
            f"{folder}: the run's working directory is not to be had on {platform.node()} ({error.strerror}). Start "
            "the run in a directory that all machines share."
        ) from error
    discovery.load(plugin_files)
    executor: Any = object.__new__(kind)
    executor.__dict__.update(dill.loads(state))
    return executor
