"""Calls of checkers on text that a model wrote, in a process that can be ended.

SymPy can compute for hours over ``9^{9^{9^9}}``, in C code that no signal interrupts, and fill the memory; a regular
expression can backtrack for as long. Such a call is ended here after its time, counts as no agreement, and the next one
gets a new process.
"""

import atexit
import json
import os
import select
import subprocess
import sys
import threading
import time
from typing import Any

SECONDS = 5.0
"""Wall time of one call. The slowest of 2,451 gold answers of MATH takes less than a tenth of it."""
STARTING_SECONDS = 120.0
"""The first call of a process imports its checker."""
MEMORY = 4 << 30
"""Bytes of address space of the process."""
LONGEST_TEXT = 100_000
"""Characters of an answer that are looked at; the rest is no answer to anything that is asked here."""


class OutOfBounds(Exception):
    """A call took too long or too much memory; what it was asked about is undecided."""


class Checker:
    """One process that answers calls one after another; it starts with the first.

    Args:
        module: Imported there; its functions take and give what JSON can hold.
        seconds: Of one call.
        memory: Bytes of address space.
    """

    def __init__(self, module: str, seconds: float = SECONDS, memory: int = MEMORY) -> None:
        self.module, self.seconds, self.memory = module, seconds, memory
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._buffer = b""
        atexit.register(self.close)

    def call(self, function: str, *arguments: Any) -> Any:
        """Return what ``function`` of the module gives for the arguments.

        Raises:
            OutOfBounds: it took too long, or the process died over it, for want of memory as a rule.
            RuntimeError: the function raised, or its module cannot be imported: a mistake here or in its library.
        """
        with self._lock:
            if self._process is None:
                self._start()
                self._ask({"function": None}, STARTING_SECONDS)
            answer = self._ask({"function": function, "arguments": arguments}, self.seconds)
        if "error" in answer:
            raise RuntimeError(f"{self.module}.{function}: {answer['error']}")
        return answer["value"]

    def close(self) -> None:
        """End the process; a later call starts another."""
        process, self._process, self._buffer = self._process, None, b""
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()

    def _start(self) -> None:
        # Hashes of strings without a random seed: the same answer gets the same verdict in every run.
        environment = {**os.environ, "PYTHONHASHSEED": "0", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "smallwright_eval.verdicts.worker", self.module, str(self.memory)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)

    def _ask(self, question: dict[str, Any], seconds: float) -> dict[str, Any]:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(question).encode() + b"\n")
            process.stdin.flush()
            line = self._line(process.stdout.fileno(), seconds)
        except BrokenPipeError:
            line = None
        if line is None:
            self.close()
            raise OutOfBounds(f"{self.module}: no verdict within {seconds:g} s and {self.memory >> 20} MiB")
        return json.loads(line)

    def _line(self, descriptor: int, seconds: float) -> bytes | None:
        """Return the next line of the process, or None where it does not come in time or the process died."""
        end = time.monotonic() + seconds
        waiting = select.poll()  # select refuses descriptors from 1024 on
        waiting.register(descriptor, select.POLLIN)
        while b"\n" not in self._buffer:
            left = end - time.monotonic()
            if left <= 0 or not waiting.poll(left * 1000):
                return None
            chunk = os.read(descriptor, 1 << 16)
            if not chunk:
                return None
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line
