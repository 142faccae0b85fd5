"""Processes of engines and of commands that tests start, as forks of one that has imported what they import.

Importing an engine costs more than what a test has it do: TorchTitan 4 seconds of a core, vLLM 8, for each rank and
each stage; so do the imports of a command that curates a toy. Here a server imports an engine, or ``core`` and what
curates data, once for all tests. A process that a test, a run or a launcher starts with ``python -m`` as ever asks the
server for a fork of itself with the same arguments, environment, folder, import path and open streams, waits for its
end and ends with the same code. Where the one is killed, so is the other; a signal that asks it to end goes on to the
other. The program that runs is the same, from ``__main__`` on; only its imports are there already. What a server of
vLLM starts in turn, its engine and that one's worker, are forks of it.

So is a process of ``python -c`` that finds the name of its engine in ``ENGINE_OF_CODE``.

``conftest.py`` turns this on; ``ENGINE_FORKS=`` before ``pytest`` starts every process anew. Processes with other
settings of an engine get another server; those of ``core`` with such settings, or with others of Python, are started as
ever. Those that must see an installation of their own find ``ENGINE_NOT_OURS``, and get a server that has imported
nothing of smallwright. Forks of a server hash strings alike: what must not depend on that compares with a process
started anew.

Every process of a test imports this module: it imports little, and what takes milliseconds only where it is needed.
"""

import _signal
import _socket
import marshal
import os
import sys
import zlib
from _collections_abc import Mapping

ENGINES = {
    "ranks": (
        "smallwright_pretrain.export",
        "smallwright_pretrain.titan",
        "smallwright_pretrain.weights",
        "transformers.models.auto.modeling_auto",
        "transformers.modeling_utils",
        "torch.distributed.checkpoint",
        "torch.distributed.elastic.multiprocessing",
        # What only the processes of pytest import, each of them otherwise:
        "altair",
        "datatrove.pipeline.inference.run_inference",
        "lm_eval.evaluator",
        "lm_eval.models.huggingface",
        "pandas",
        "pyarrow.dataset",
        "pyarrow.parquet",
        "trl.trainer.dpo_trainer",
        "trl.trainer.sft_trainer",
    ),
    "vllm": (
        "vllm.entrypoints.llm",
        "vllm.entrypoints.openai.api_server",
        "vllm.v1.engine.llm_engine",
        "vllm.v1.worker.cpu_worker",
        "compressed_tensors",
        "lm_eval.evaluator",
        "lm_eval.models.huggingface",
        "lm_eval.models.vllm_causallms",
    ),
    "libraries": (
        "datatrove.utils.word_tokenizers",
        "pandas",
        "pyarrow.parquet",
        "torch._inductor.compile_fx",
        "torch.distributed.checkpoint",
        "torch.distributed.elastic.multiprocessing",
        "torch.utils.tensorboard",
        "torchdata.stateful_dataloader",
        "transformers.models.auto.modeling_auto",
        "transformers.modeling_utils",
    ),
    "posttraining": ("trl", "trl.trainer.sft_trainer", "trl.trainer.dpo_trainer"),
    "core": (
        "core.run",
        "core.plan",
        "core.study",
        "core.worker",
        "core.data.executor",
        "core.data.runner",
        "altair",
        "datatrove.utils.word_tokenizers",
        "fastwarc.warc",
        "lxml.etree",
        "pandas",
        "pyarrow.dataset",
        "pyarrow.parquet",
        "regex",
        "resiliparse.extract.html2text",
        "resiliparse.parse.lang",
    ),
}
"""What each server imports."""
COMMANDS = tuple(f"core.{name}" for name in ("lineage", "plan", "plugins", "run", "study"))
MODULES = {
    **dict.fromkeys(COMMANDS, "core"),
    "pytest": "ranks",
    "smallwright_pretrain.elastic": "ranks",
    "smallwright_pretrain.rank": "ranks",
    "smallwright_pretrain.revisions": "ranks",
    "smallwright_testing.rank": "ranks",
    "torch.distributed.run": "ranks",
    "smallwright_eval.talk.measure": "ranks",
    "smallwright_labels.vllm_main": "vllm",
    "smallwright_pretrain.verify_vllm": "vllm",
}
STAGES = {
    "smallwright_eval.stage:LMEval": "vllm",
    "smallwright_my_measure.stage:MyMeasure": "ranks",
    "smallwright_my_method.stage:MyMethod": "ranks",
    "smallwright_posttrain.dpo:Dpo": "posttraining",
    "smallwright_posttrain.sft:Sft": "posttraining",
}
SETTINGS = ("CUDA", "DATASETS", "HF_", "MKL", "NUMEXPR", "OPENBLAS", "TORCH", "TRITON", "VLLM")
"""Beginnings of variables that engines read while they are imported."""
NO_SETTINGS = ("TORCHELASTIC", "TORCHINDUCTOR_CACHE_DIR", "TORCH_NCCL", "VLLM_CPU_KVCACHE_SPACE")
NO_SETTINGS += ("VLLM_ENABLE_V1_MULTIPROCESSING", "TORCHINDUCTOR_COMPILE_THREADS", "TRITON_CACHE_AUTOTUNING")
"""Those that torch, vLLM or a launcher sets by itself, or that are read later."""
CORE_SETTINGS = ("HF_", "LANG", "LC_", "PYTHON", "_ARGCOMPLETE")
"""Beginnings of variables that Python and the hub's library read as they start."""
FOLLOWED = ("HF_DATASETS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY", "HF_HUB_OFFLINE")
"""Those that a fork follows, or that change no result where nothing is fetched."""
NO_CORE_SETTINGS = (*FOLLOWED, "PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "PYTHONUNBUFFERED")
ENVIRONMENT = "environment"
"""The file beside the servers' sockets with the environment of pytest."""
FORWARDED = (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP)
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
        import json

        with open(rest[0]) as file:
            return STAGES.get(json.load(file)["stage"]["class"], "core")
    return MODULES.get(program)


def settings_of(environment: Mapping[str, str], engine: str) -> dict[str, str]:
    """Return the variables that must be the same in a server of this engine and its forks."""
    some, none = (CORE_SETTINGS, NO_CORE_SETTINGS) if engine == "core" else (SETTINGS, NO_SETTINGS)
    if engine == "ranks":
        none += FOLLOWED
    return {name: value for name, value in environment.items() if name.startswith(some) and not name.startswith(none)}


def take_over(arguments: list[str]) -> None:
    """Have a fork do the work of this process, and end with its code; return where this process must do it."""
    start = next((place for place, word in enumerate(arguments[:2]) if word in ("-c", "-m")), len(arguments))
    arguments = arguments[start:]
    engine = engine_of(arguments) if len(arguments) > 1 else None
    if "ENGINE_NOT_OURS" in os.environ:
        engine = "libraries" if engine in ("core", "ranks") else None
    if engine is None:
        return
    parent = os.getppid()
    connection = _connected(engine)
    if connection is None:
        return
    if arguments[1] not in COMMANDS:  # it ends with its parent; so does its fork, whose server sees the connection end
        import ctypes

        ctypes.CDLL(None).prctl(1, _signal.SIGKILL)
    ignored = [number for number in FORWARDED if _signal.getsignal(number) == _signal.SIG_IGN]
    request = {
        "arguments": arguments,
        "folder": os.getcwd(),
        "environment": dict(os.environ),
        "path": sys.path,
        "python": {name: getattr(sys, name) for name in PYTHON},
        "parent": parent,
        "ignored": ignored,
    }
    data = marshal.dumps(request)
    streams = b"".join(number.to_bytes(4, sys.byteorder) for number in range(3))
    connection.sendmsg([len(data).to_bytes(8)], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, streams)])
    connection.sendall(data)
    if fork := int.from_bytes(connection.recv(8)):
        for number in {*FORWARDED} - {*ignored}:
            _signal.signal(number, lambda number, _: _forward(fork, number))
    answer = connection.recv(8)
    code = int.from_bytes(answer, signed=True) if answer else -_signal.SIGKILL
    if code < 0:
        try:
            _signal.signal(-code, _signal.SIG_DFL)
        except OSError:  # SIGKILL cannot be set
            pass
        os.kill(os.getpid(), -code)
    os._exit(code)


def _forward(fork: int, number: int) -> None:
    try:
        os.kill(fork, number)
    except ProcessLookupError:  # it has ended meanwhile
        pass


def _connected(engine: str) -> _socket.socket | None:
    """Return a connection to the server of this engine for this process's settings, which may have to be started."""
    folder, settings = os.environ["ENGINE_FORKS"], settings_of(os.environ, engine)
    if engine == "core":
        with open(os.path.join(folder, ENVIRONMENT), "rb") as file:
            if settings != settings_of(marshal.load(file), engine):
                return None  # few would use a server with these
    given = marshal.dumps([engine, sys.base_prefix, sorted(settings.items())], 2)
    place = os.path.join(folder, f"{engine}-{zlib.crc32(given):08x}")
    return _connect(place) or _started(engine, place)


def _started(engine: str, place: str) -> _socket.socket | None:
    """Start the server, or wait until another process has; return a connection, or nothing where it cannot start."""
    import fcntl
    import subprocess
    import time

    with open(f"{place}.lock", "w") as lock, open(f"{place}.log", "ab") as log:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if connection := _connect(place):
            return connection
        if os.path.exists(f"{place}.failed"):
            return None
        # Nothing is of the one process that happens to need it first. Threads do not outlive a fork: it starts none.
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "SMALLWRIGHT_"))}
        server = subprocess.Popen(
            [sys.executable, SERVER, engine, place],
            env={**kept, "OMP_NUM_THREADS": "1"},
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


def _connect(place: str) -> _socket.socket | None:
    connection = _socket.socket(_socket.AF_UNIX)
    try:
        connection.connect(place)
    except OSError:
        connection.close()
        return None
    return connection
