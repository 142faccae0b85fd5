"""Run programs in the sandbox, end those that pass a limit, and say what came of each."""

import contextlib
import dataclasses
import functools
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

from core.errors import ConfigError

from smallwright_eval.sandbox import command, seccomp
from smallwright_eval.sandbox.languages import LANGUAGES
from smallwright_eval.sandbox.settings import CodeConfig

KIB, MIB = 1 << 10, 1 << 20
LOOK_EVERY = 0.05
"""Seconds between two looks at how much memory all processes of a program take together, and how many files it made."""
FILES_OF_A_MIB = 1024
"""Files for each MiB of the scratch folder: the kernel keeps nearly a KiB for each, also for an empty one, which its
size does not count."""
WALL = 3.0
"""Wall time as a multiple of the limit on CPU time."""
LONGEST_PROGRAM = 1 << 20
_OVER_CPU_TIME = 128 + signal.SIGXCPU
_PAGE = os.sysconf("SC_PAGE_SIZE")

Ending = Literal["ended", "time", "memory", "output", "files", "long"]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of a program."""

    ending: Ending
    """How it ended: by itself, or because it passed a limit; ``long``: its text was too long to be run."""
    code: int
    """Exit code; 128 + the signal where one ended it."""
    output: str
    """What it wrote, up to the limit; standard output and standard error as they came."""
    seconds: float


class Sandbox:
    """Runs programs side by side, each with a user of its own.

    Args:
        limits: What each may use.
    """

    def __init__(self, limits: CodeConfig) -> None:
        self.limits = limits
        self.workers = limits.workers or len(os.sched_getaffinity(0))
        self.bwrap = shutil.which("bwrap") or ""
        self.filter = seccomp.program() or b""

    def run_all(self, programs: Sequence[str], language: str = "py") -> list[Outcome]:
        """Run programs, ``limits.workers`` at a time, and return what came of each, in their order."""
        with ThreadPoolExecutor(self.workers) as pool:
            return list(pool.map(lambda program: self.run(program, language), programs))

    def run(self, program: str, language: str = "py") -> Outcome:
        """Run one program and return what came of it. Nothing of it is left when this returns.

        Raises:
            ConfigError: the language or the sandbox is not there.
        """
        spoken = LANGUAGES[language]
        found = spoken.find()
        if found is None or not self.bwrap or not self.filter:
            raise ConfigError(f"no sandbox for {language} programs: see smallwright_eval.sandbox.probe")
        text = program.encode("utf-8", errors="replace")
        if len(text) > LONGEST_PROGRAM:
            return Outcome("long", -1, "", 0.0)
        shell, binds = found
        with command.own_user() as user, _handed(text) as code, _handed(self.filter) as filters:
            arguments = command.build(
                self.limits,
                spoken,
                shell,
                binds,
                bwrap=self.bwrap,
                user=user,
                code=code,
                seccomp=filters,
            )
            process = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(code, filters),
                cwd="/",
                env={},
                start_new_session=True,
            )
            seconds = WALL * (self.limits.seconds + spoken.seconds)
            memory = (self.limits.memory_mib + spoken.memory_mib) * MIB
            files = self.limits.disk_mib * FILES_OF_A_MIB
            return _watched(process, seconds, memory, self.limits.output_kib * KIB, files)


@contextlib.contextmanager
def _handed(text: bytes) -> Iterator[int]:
    """A descriptor from which a child reads ``text``."""
    with tempfile.TemporaryFile() as file:
        file.write(text)
        file.seek(0)
        yield file.fileno()


def _watched(process: "subprocess.Popen[bytes]", seconds: float, memory: int, output: int, files: int) -> Outcome:
    """Wait for a program to end, or end it.

    Args:
        seconds: Wall time.
        memory: Bytes that all its processes may take together.
        output: Bytes that it may write; no more are held here.
        files: Files, folders and links that it may make.
    """
    started = time.monotonic()
    assert process.stdout is not None
    descriptor = process.stdout.fileno()
    written, open_, ending = bytearray(), True, ""
    looked = started
    try:
        # A program can close its output and go on, so that the end of the output is not yet its end.
        while not ending and (open_ or process.poll() is None):
            now = time.monotonic()
            if now - started >= seconds:
                ending = "time"
            elif now - looked >= LOOK_EVERY:
                looked = now
                taken = _resident(process.pid) + _in_sockets(process.pid)
                ending = "memory" if taken > memory else "files" if _files(process.pid) > files else ""
            if open_ and _readable(descriptor, LOOK_EVERY):
                chunk = os.read(descriptor, 1 << 16)
                open_ = bool(chunk)
                written += chunk
                if len(written) > output:
                    ending = ending or "output"
            elif not open_:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(LOOK_EVERY)
    finally:
        if process.poll() is None:
            _end(process)
        process.stdout.close()
    if process.returncode == _OVER_CPU_TIME:
        ending = ending or "time"
    return Outcome(
        ending or "ended",  # type: ignore[arg-type]
        process.returncode,
        bytes(written[:output]).decode("utf-8", errors="replace"),
        time.monotonic() - started,
    )


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a program, and wait until none of its processes is left."""
    first = []  # the first process of its own namespace: with it all others end
    for child in _children(process.pid):
        with contextlib.suppress(OSError):
            first.append(os.pidfd_open(child))
    process.kill()
    process.wait()
    for descriptor in first:
        _readable(descriptor, 10)
        os.close(descriptor)


def _readable(descriptor: int, seconds: float) -> bool:
    """Wait until there is something to read; ``select`` would refuse descriptors from 1024 on."""
    waiting = select.poll()
    waiting.register(descriptor, select.POLLIN)
    return bool(waiting.poll(seconds * 1000))


def _children(pid: int) -> list[int]:
    found = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                found += [int(child) for child in (task / "children").read_text().split()]
    return found


def _files(pid: int) -> int:
    """Return how many files are in the folders that a program can write to, also such without a name."""
    total = 0
    for child in _children(pid)[:1]:  # its folders are those of all others
        with contextlib.suppress(OSError):
            root = f"/proc/{child}/root"
            if os.stat(root).st_dev == os.stat("/").st_dev:
                continue  # it is not in there yet, and sees the folders of this machine
            for folder in ("scratch", "dev/shm"):
                found = os.statvfs(f"{root}/{folder}")
                total += found.f_files - found.f_ffree
    return total


def _in_sockets(pid: int) -> int:
    """Return the bytes that can lie in the sockets of a program unread, which the kernel counts for no process."""
    with contextlib.suppress(OSError, IndexError):
        listed = Path(f"/proc/{_children(pid)[0]}/net/unix").read_bytes()  # of its namespace, also such on their way
        return (listed.count(b"\n") - 1) * _socket_bytes()
    return 0


@functools.cache
def _socket_bytes() -> int:
    """Return what the kernel keeps for one: of a buffer that is not full it takes another message, as large as it."""
    try:
        return 2 * int(Path("/proc/sys/net/core/wmem_default").read_text())
    except (OSError, ValueError):
        return 2 * 208 * KIB


def _resident(pid: int) -> int:
    """Return the bytes of memory that a process and all below it take; pages that several share count for each."""
    total, waiting = 0, _children(pid)
    while waiting:
        one = waiting.pop()
        with contextlib.suppress(OSError, IndexError):
            total += int(Path(f"/proc/{one}/statm").read_text().split()[1]) * _PAGE
        waiting += _children(one)
    return total
