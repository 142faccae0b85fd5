"""Processes of engines that tests start, as forks of one that has imported the engine.

Importing an engine costs more than what a test has it do: TorchTitan 4 seconds of a core, vLLM 8, for each rank and
each stage. Here a server imports an engine once for all tests. A process that a test, a run or a launcher starts with
``python -m`` as ever asks the server for a fork of itself with the same arguments, environment, folder, import path and
open streams, waits for its end and ends with the same code. Where the one is killed, so is the other. The program that
runs is the same, from ``__main__`` on; only its imports are there already.

So is a process of ``python -c`` that finds the name of its engine in ``ENGINE_OF_CODE``.

``conftest.py`` turns this on; ``ENGINE_FORKS=`` before ``pytest`` starts every process anew. Processes with other
settings of an engine get another server. Those that must see an installation of their own are started as ever: tests
that leave the variables of Python out of their environment.
"""

import contextlib
import ctypes
import fcntl
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time

ENGINES = {
    "ranks": (
        "smallwright_pretrain.export",
        "smallwright_pretrain.titan",
        "smallwright_pretrain.weights",
        "transformers.models.auto.modeling_auto",
        "transformers.modeling_utils",
        "torch.distributed.checkpoint",
        "torch.distributed.elastic.multiprocessing",
    ),
    "vllm": (
        "vllm.entrypoints.llm",
        "vllm.v1.engine.llm_engine",
        "vllm.v1.worker.cpu_worker",
        "compressed_tensors",
        "lm_eval",
    ),
    "evaluation": ("lm_eval", "lm_eval.models.huggingface", "transformers.models.auto.modeling_auto"),
    "posttraining": ("trl", "trl.trainer.sft_trainer", "trl.trainer.dpo_trainer"),
}
"""What each server imports."""
MODULES = {
    "pytest": "ranks",
    "smallwright_pretrain.rank": "ranks",
    "smallwright_testing.rank": "ranks",
    "torch.distributed.run": "ranks",
    "smallwright_pretrain.verify_vllm": "vllm",
}
STAGES = {
    "smallwright_eval.stage:LMEval": "evaluation",
    "smallwright_my_measure.stage:MyMeasure": "ranks",
    "smallwright_my_method.stage:MyMethod": "ranks",
    "smallwright_posttrain.dpo:Dpo": "posttraining",
    "smallwright_posttrain.sft:Sft": "posttraining",
}
SETTINGS = ("CUDA", "DATASETS", "HF_", "MKL", "NUMEXPR", "OPENBLAS", "TOKENIZERS", "TORCH", "TRITON", "VLLM")
"""Beginnings of variables that engines read while they are imported."""
NO_SETTINGS = ("TORCHELASTIC", "TORCHINDUCTOR_CACHE_DIR", "TORCH_NCCL", "VLLM_CPU_KVCACHE_SPACE")
"""Those that torch or a launcher sets by itself, or that are read later."""
SERVER = os.path.join(os.path.dirname(__file__), "engine_server.py")
PYTHON = ("executable", "prefix", "exec_prefix")
"""What tells a virtual environment from another of the same Python."""
START_SECONDS = 900


def engine_of(arguments: list[str]) -> str | None:
    """Return the engine of Python with ``arguments``; None: nothing is gained by a fork."""
    flag, program, *rest = arguments
    if flag == "-c":
        return os.environ.pop("ENGINE_OF_CODE", None)  # of this process, not of those that it starts
    if program == "core.worker" and rest:
        with open(rest[0]) as file:
            stage = json.load(file)["stage"]
        engine = STAGES.get(stage["class"])
        return "vllm" if engine == "evaluation" and stage["values"]["engine"] == "vllm" else engine
    return MODULES.get(program)


def take_over(arguments: list[str]) -> None:
    """Have a fork do the work of this process, and end with its code; return where this process must do it."""
    start = next((place for place, word in enumerate(arguments[:2]) if word in ("-c", "-m")), len(arguments))
    arguments = arguments[start:]
    engine = engine_of(arguments) if len(arguments) > 1 else None
    if engine is None:
        return
    parent = os.getppid()
    # Each of these processes ends with its parent; so does its fork, whose server sees the connection end.
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    connection = _connected(engine)
    if connection is None:
        return
    request = {
        "arguments": arguments,
        "folder": os.getcwd(),
        "environment": dict(os.environ),
        "path": sys.path,
        "python": {name: getattr(sys, name) for name in PYTHON},
        "parent": parent,
    }
    data = json.dumps(request).encode()
    socket.send_fds(connection, [len(data).to_bytes(8, "big")], [0, 1, 2])
    connection.sendall(data)
    answer = connection.recv(8)
    code = int.from_bytes(answer, "big", signed=True) if answer else -signal.SIGKILL
    if code < 0:
        with contextlib.suppress(OSError):  # SIGKILL cannot be set
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


def _connected(engine: str) -> socket.socket | None:
    """Return a connection to the server of this engine for this process's settings, which may have to be started."""
    settings = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(SETTINGS) and not name.startswith(NO_SETTINGS)
    }
    given = json.dumps([engine, sys.base_prefix, settings], sort_keys=True)
    place = os.path.join(os.environ["ENGINE_FORKS"], f"{engine}-{hashlib.sha256(given.encode()).hexdigest()[:8]}")
    if connection := _connect(place):
        return connection
    with open(f"{place}.lock", "w") as lock, open(f"{place}.log", "ab") as log:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if connection := _connect(place):
            return connection
        if os.path.exists(f"{place}.failed"):
            return None
        server = subprocess.Popen(
            [sys.executable, SERVER, engine, place],
            # Threads do not outlive a fork: the server starts none.
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            start_new_session=True,
        )
        end = time.monotonic() + START_SECONDS
        while server.poll() is None and time.monotonic() < end:
            if connection := _connect(place):
                return connection
            time.sleep(0.05)
        open(f"{place}.failed", "w").close()  # no process after this one waits for it again
    return None


def _connect(place: str) -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(place)
    except OSError:
        connection.close()
        return None
    return connection
