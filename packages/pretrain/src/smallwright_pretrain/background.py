"""A command that runs beside the training. No torch."""

import os
import subprocess
import threading
from collections.abc import Sequence


class Background:
    """Runs the command that writes revisions, one at a time, beside the training."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = list(command)
        self._thread: threading.Thread | None = None
        self._again = threading.Event()

    def start(self) -> None:
        """Have what is missing written, now or when the command that runs has ended."""
        self._again.set()
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()

    def join(self) -> None:
        """Wait until what was asked for is written."""
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        # One rank among several has variables of torchrun, and a GPU that the process must not take memory of.
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
        while self._again.is_set():
            self._again.clear()
            subprocess.run(self._command, env=environment, check=False)  # it dies with this process by itself
