"""A server that forks: ``python engine_server.py <engine> <socket>``, started by :mod:`engine_forks`.

It ends when the folder of its socket is gone, or the process of tests that made the folder.
"""

import atexit
import contextlib
import gc
import importlib
import marshal
import multiprocessing
import os
import runpy
import select
import signal
import socket
import sys
import threading
import types
from pathlib import Path
from typing import NoReturn

from engine_forks import ENGINES, FORWARDED

LOOK_SECONDS = 2.0


def main(engine: str, place: Path) -> None:
    """Import the engine, then answer requests."""
    gc.disable()
    if engine == "ranks":
        from smallwright_pretrain.cpu import use_device

        use_device("cpu")
    for module in ENGINES[engine]:
        with contextlib.suppress(ModuleNotFoundError):  # of a package that is not installed
            importlib.import_module(module)
    if engine == "vllm":
        # What a server of vLLM starts, its engine and that one's worker, would each import vLLM again.
        multiprocessing.context._concrete_contexts["spawn"] = multiprocessing.get_context("fork")
    gc.freeze()
    gc.enable()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(place))
    listener.listen(64)
    _serve(listener, place.parent)


def _serve(listener: socket.socket, folder: Path) -> None:
    tests = int(folder.name.rpartition("-")[2])
    forks: dict[int, tuple[socket.socket, int]] = {}
    """By the descriptor that becomes readable when the fork ends: the one who waits for it, and its process id."""
    while folder.exists() and _lives(tests):
        waiting = {connection.fileno(): ended for ended, (connection, _) in forks.items()}
        ready, _, _ = select.select([listener, *forks, *waiting], [], [], LOOK_SECONDS)
        for one in ready:
            if one is listener:
                connection, _ = listener.accept()
                if child := _fork(connection, listener, forks):
                    forks[os.pidfd_open(child)] = connection, child
            elif one in forks:
                connection, child = forks.pop(one)
                code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
                try:
                    connection.sendall(code.to_bytes(8, signed=True))
                except OSError:  # the one who waited was killed
                    pass
                connection.close()
                os.close(one)
            elif waiting[one] in forks:  # nothing is sent here: the one who waits has ended
                connection, child = forks[waiting[one]]
                os.kill(child, signal.SIGKILL)
    for _, child in forks.values():
        os.kill(child, signal.SIGKILL)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def _fork(connection: socket.socket, listener: socket.socket, forks: dict[int, tuple[socket.socket, int]]) -> int:
    """Read a request and return the id of the process that does it; 0 where the one who asked is gone."""
    start, descriptors, _, _ = socket.recv_fds(connection, 8, 3)
    length, data = int.from_bytes(start), b""
    while len(data) < length and (more := connection.recv(length - len(data))):
        data += more
    if len(descriptors) < 3 or len(data) < length:
        connection.close()
        return 0
    child = os.fork()
    if child == 0:
        listener.close()
        for ended, (other, _) in forks.items():
            os.close(ended)
            other.close()
        connection.close()
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
            os.close(descriptor)
        _become(marshal.loads(data))
    with contextlib.suppress(OSError):  # the one who asked was killed
        connection.sendall(child.to_bytes(8))
    for descriptor in descriptors:
        os.close(descriptor)
    return child


def _become(request: dict) -> NoReturn:
    """Run the module or the code as Python does, in the place of the process that asked."""
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.path[:] = ["" if request["arguments"][0] == "-c" else request["folder"], *request["path"]]
    for name, value in request["python"].items():
        setattr(sys, name, value)
    if spawn := sys.modules.get("multiprocessing.spawn"):
        spawn.set_executable(sys.executable)
    if hub := sys.modules.get("huggingface_hub.constants"):
        importlib.reload(hub)
    importlib.invalidate_caches()
    forked, getppid = os.getpid(), os.getppid
    os.getppid = lambda: request["parent"] if os.getpid() == forked else getppid()
    sys.stdout.reconfigure(line_buffering=os.isatty(1) or bool(os.environ.get("PYTHONUNBUFFERED")))
    for number in FORWARDED:
        own = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        signal.signal(number, signal.SIG_IGN if number in request["ignored"] else own)
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed()
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", len(os.sched_getaffinity(0)))))
    flag, program, *arguments = request["arguments"]
    sys.argv = [flag, *arguments]
    sys.orig_argv = [sys.executable, *request["arguments"]]
    sys.modules["__main__"] = main_module = types.ModuleType("__main__")
    sys.modules.pop(program, None)  # it runs as __main__, as if nothing had imported it
    try:
        if flag == "-c":
            exec(compile(program, "<string>", "exec"), main_module.__dict__)
        else:
            runpy._run_module_as_main(program)
        code = 0
    except SystemExit as ended:
        if not isinstance(ended.code, int | None):
            raise
        code = (ended.code or 0) & 0xFF
    # As Python ends, but for what is held: to take that apart would first copy the server's memory, page for page.
    threading._shutdown()
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        sys.exit(code)  # Python says so in its own way
    os._exit(code)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
