"""What a program in the sandbox sees: the command line of bubblewrap.

It sees ``/usr`` and its language, read-only; its own code in ``/code``; ``/scratch``, which is memory of a fixed size
and the only place that it can write to; processes of its own alone; no network, no variables, no terminal.
"""

import contextlib
import errno
import os
import secrets
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

from core.errors import ConfigError

from smallwright_eval.sandbox.languages import Language
from smallwright_eval.sandbox.settings import CodeConfig

MIB = 1 << 20
NOBODY = 65534
_FIRST_ID, _IDS = 60000, 5000
"""Users that no system gives to anybody: between those of ``useradd`` and nobody."""


@contextlib.contextmanager
def own_user() -> Iterator[int]:
    """A user that no other program of this machine's sandboxes has, until the program is done.

    The limit on processes counts those of a user, and must not count those of another program, of whatever evaluation.
    The name of a socket is taken until it is closed or its process is gone, so that nothing is left to tidy.

    Raises:
        ConfigError: all of them are taken.
    """
    first = secrets.randbelow(_IDS)  # evaluations of one seed would begin at one place
    for place in range(_IDS):
        user = _FIRST_ID + (first + place) % _IDS
        with socket.socket(socket.AF_UNIX) as held:
            try:
                held.bind(f"\0smallwright-sandbox-{user}")
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                continue
            yield user
            return
    raise ConfigError(f"eval.code: {_IDS:,} programs run on this machine now. Wait for one to end.")


def build(
    limits: CodeConfig,
    language: Language,
    shell: str,
    binds: Sequence[tuple[str, str]],
    *,
    bwrap: str,
    user: int,
    code: int,
    seccomp: int,
) -> list[str]:
    """Return the command that runs a program.

    Args:
        limits: What it may use.
        language: What it is written in.
        shell: The shell command that runs it (``Language.find``).
        binds: What that reads beside ``/usr``, as (path here, path in there).
        bwrap: Path of bubblewrap.
        user: Whose it is, where this process is root's: root is bound by no limit on processes.
        code: Descriptor with the program's text.
        seccomp: Descriptor with the filter of system calls.
    """
    root = os.geteuid() == 0
    tools: list[str] = []
    if root:
        # The mounts are root's work; then setpriv gives up all rights. Nobody else could set up no other user.
        rights = ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID", "--cap-add", "CAP_SETPCAP"]
        tools += ["/usr/bin/setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--no-new-privs"]
        tools += ["--inh-caps=-all", "--bounding-set=-all"]
    else:
        rights = ["--unshare-user", "--disable-userns", "--uid", str(NOBODY), "--gid", str(NOBODY), "--cap-drop", "ALL"]
    size = str(limits.disk_mib * MIB)
    seen = ["--ro-bind", "/usr", "/usr"]
    for name in ("bin", "sbin", "lib", "lib32", "lib64"):
        path = Path("/", name)
        if path.is_symlink():
            seen += ["--symlink", os.readlink(path), str(path)]
        elif path.is_dir():
            seen += ["--ro-bind", str(path), str(path)]
    for here, there in binds:
        # The folders above a bind are made for root alone where nothing else makes them.
        above = str(Path(there).parent)
        seen += ["--perms", "0755", "--dir", above] if above != "/" else []
        seen += ["--ro-bind", here, there]
    variables = {
        "PATH": "/usr/bin",
        "HOME": "/scratch",
        "TMPDIR": "/scratch",
        "LC_ALL": "C.UTF-8",
        "PYTHONHASHSEED": "0",
        "LD_LIBRARY_PATH": ":".join(f"{there}/lib" for _, there in binds if not there.startswith("/etc")),
    }
    return [
        bwrap,
        *("--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"),
        *rights,
        *("--die-with-parent", "--new-session", "--hostname", "sandbox"),
        *seen,
        *("--proc", "/proc", "--dev", "/dev", "--perms", "1777", "--size", str(8 * MIB), "--tmpfs", "/dev/shm"),
        # Mapped, it would be shared memory without a file (see seccomp).
        *("--dev-bind", "/dev/null", "/dev/zero"),
        # Without this the folder of devices is memory without a limit.
        *("--remount-ro", "/dev"),
        *("--perms", "0777", "--size", size, "--tmpfs", "/scratch", "--symlink", "scratch", "/tmp"),
        *("--perms", "0444", "--ro-bind-data", str(code), f"/code/{language.file}"),
        *("--chdir", "/scratch", "--remount-ro", "/", "--seccomp", str(seccomp), "--clearenv"),
        *(word for name, value in variables.items() if value for word in ("--setenv", name, value)),
        *tools,
        *_limits(limits, language),
        "/usr/bin/sh",
        "-c",
        shell,
    ]


def _limits(limits: CodeConfig, language: Language) -> list[str]:
    """Return the command that sets the limits of the kernel; it comes last, for some of them bind nobody before."""
    cpu = max(1, round(limits.seconds + language.seconds))
    bounds = {
        "fsize": limits.disk_mib * MIB,
        "core": 0,
        "nofile": 128 + language.open_files,
        "memlock": 1 << 16,
        "sigpending": 256,  # timers count as such
        "nproc": limits.processes + language.processes,
    }
    if language.address_space:
        bounds["as"] = (limits.memory_mib + language.memory_mib) * MIB
    # The signal of the lower limit says what ended the program; who ignores it is killed a second later.
    hard = [f"--{name}={value}:{value}" for name, value in bounds.items()]
    return ["/usr/bin/prlimit", f"--cpu={cpu}:{cpu + 1}", *hard, "--"]
