"""System calls that a program in the sandbox does not have, as the filter that bubblewrap installs.

Not there are: namespaces of its own (in one it could mount a file system without a limit), mounts, memory that no limit
counts (shared memory of System V or without a file, ``memfd``, watches of files, contexts of asynchronous input),
looking into other processes, keys, BPF, io_uring, and all sockets but those of ``AF_UNIX``: others reach further
(``AF_VSOCK`` the host of a virtual machine), or fill the memory of the kernel with what nobody reads. Those keep the
buffers that they begin with: 124 of them with larger ones held 996 MiB.
"""

import errno
import platform
import struct
from collections.abc import Mapping

_LOAD, _EQUAL, _ABOVE, _MASK, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT, _SECOND_ARGUMENT, _THIRD_ARGUMENT, _FOURTH_ARGUMENT = 0, 4, 16, 24, 32, 40
"""Offsets in ``struct seccomp_data``; of the arguments, the lower half on little-endian machines."""
_X32 = 0x40000000
_NEW_USER = 0x10000000
_AF_UNIX = 1
_SOL_SOCKET, _SO_SNDBUF = 1, 7
_SHARED_WITHOUT_FILE = 0x21
"""``MAP_SHARED | MAP_ANONYMOUS``: such memory stays when a process gives its pages back, and then counts for none."""

ARCHITECTURES: Mapping[str, int] = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_COMMON = (*range(424, 434), 435, 442, 447)
"""From 424 on both have the same numbers: ``pidfd_send_signal``, ``io_uring_*``, the new mounts, ``memfd_secret``; and
``clone3``, whose flags a filter cannot read: C libraries then take ``clone``."""
DENIED: Mapping[str, tuple[int, int]] = {
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "ptrace": (101, 117),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "memfd_create": (319, 279),
    "shmget": (29, 194),
    "shmat": (30, 196),
    "msgget": (68, 186),
    "semget": (64, 190),
    "mq_open": (240, 180),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kexec_load": (246, 104),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "open_by_handle_at": (304, 265),
    "syslog": (103, 116),
    "acct": (163, 89),
    "io_setup": (206, 0),
    "inotify_init": (253, 26),  # 64-bit ARM has only inotify_init1
    "inotify_init1": (294, 26),
    "fanotify_init": (300, 262),
}
"""Numbers on x86-64 and on 64-bit ARM."""
_CLONE: Mapping[str, int] = {"x86_64": 56, "aarch64": 220}
_SOCKET: Mapping[str, int] = {"x86_64": 41, "aarch64": 198}
_MMAP: Mapping[str, int] = {"x86_64": 9, "aarch64": 222}
_SETSOCKOPT: Mapping[str, int] = {"x86_64": 54, "aarch64": 208}
_CLONE3 = 435


def program(machine: str | None = None) -> bytes | None:
    """Return the filter in the form of ``bwrap --seccomp``; None where this machine's numbers are not known.

    Args:
        machine: As ``platform.machine()`` names it; by default this one.
    """
    machine = machine or platform.machine()
    if machine not in ARCHITECTURES:
        return None
    place = list(ARCHITECTURES).index(machine)
    denied = [*(numbers[place] for numbers in DENIED.values()), *(number for number in _COMMON if number != _CLONE3)]
    lines = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, ARCHITECTURES[machine]),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
    ]
    if machine == "x86_64":
        lines += [(_ABOVE, 0, 1, _X32), (_RETURN, 0, 0, _KILL)]
    for number in denied:
        lines += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ERROR | errno.EPERM)]
    lines += [(_EQUAL, 0, 1, _CLONE3), (_RETURN, 0, 0, _ERROR | errno.ENOSYS)]
    lines += [
        (_EQUAL, 0, 4, _CLONE[machine]),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_MASK, 0, 1, _NEW_USER),
        (_RETURN, 0, 0, _ERROR | errno.EPERM),
        (_RETURN, 0, 0, _ALLOW),
        (_EQUAL, 0, 4, _SOCKET[machine]),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_EQUAL, 1, 0, _AF_UNIX),
        (_RETURN, 0, 0, _ERROR | errno.EPERM),
        (_RETURN, 0, 0, _ALLOW),
        (_EQUAL, 0, 5, _MMAP[machine]),
        (_LOAD, 0, 0, _FOURTH_ARGUMENT),
        (_AND, 0, 0, _SHARED_WITHOUT_FILE),
        (_EQUAL, 0, 1, _SHARED_WITHOUT_FILE),
        (_RETURN, 0, 0, _ERROR | errno.EPERM),
        (_RETURN, 0, 0, _ALLOW),
        (_EQUAL, 0, 5, _SETSOCKOPT[machine]),
        (_LOAD, 0, 0, _SECOND_ARGUMENT),
        (_EQUAL, 0, 3, _SOL_SOCKET),
        (_LOAD, 0, 0, _THIRD_ARGUMENT),
        (_EQUAL, 0, 1, _SO_SNDBUF),
        (_RETURN, 0, 0, _ERROR | errno.EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return b"".join(struct.pack("HBBI", *line) for line in lines)
