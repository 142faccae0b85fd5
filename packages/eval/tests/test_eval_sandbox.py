"""Programs that want to do harm do none, and what they may use is limited."""

import contextlib
import dataclasses
import os
import re
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from core.errors import ConfigError
from smallwright_eval.sandbox import command, probe, run, seccomp
from smallwright_eval.sandbox.languages import LANGUAGES
from smallwright_eval.sandbox.run import Sandbox
from smallwright_eval.sandbox.settings import CodeConfig

LIMITS = CodeConfig(seconds=1.0, memory_mib=192, processes=12, output_kib=16, disk_mib=8, workers=6)
PATIENT = dataclasses.replace(LIMITS, seconds=60.0)
"""For good programs, which take long only on a machine that has much else to do."""
SECRET = "canary-7f31"
HEAD = """
import ctypes, os, socket, sys, time
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    print(libc.syscall(number, *arguments), os.strerror(ctypes.get_errno()))
"""
FORK_BOMB = """
while 1:
    try:
        if os.fork() == 0: time.sleep(60)
    except OSError: time.sleep(.05)
"""
X86 = os.uname().machine == "x86_64"
# Name: program, and what must be in its output or how it must end. {port}, {udp}, {name}, {folder} are filled in.
HOSTILE = {
    "connect to this machine": ("socket.create_connection(('127.0.0.1', {port}), 1)", "Operation not permitted"),
    "connect outside": ("socket.create_connection(('1.1.1.1', 80), 1)", "Operation not permitted"),
    "hold memory of the kernel in sockets": ("socket.create_server(('127.0.0.1', 0))", "Operation not permitted"),
    "leave in sockets what nobody reads": (
        "for i in range(3): os.fork()\nkept = []\n"
        "try:\n"
        "  while 1:\n"
        "    kept += socket.socketpair()\n"
        "    for one in kept[-2:]:\n"
        "      one.setblocking(False)\n"
        "      try:\n"
        "        while 1: one.send(b'x' * 65536)\n"
        "      except BlockingIOError: pass\n"
        "except OSError: time.sleep(9)",
        "memory",
    ),
    "give sockets larger buffers": (
        "socket.socketpair()[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)",
        "Operation not permitted",
    ),
    "send a datagram": (
        "socket.socket(2, 2).sendto(b'x', ('127.0.0.1', {udp})); socket.socket(2, 2).sendto(b'x', ('8.8.8.8', 53))",
        "Operation not permitted",
    ),
    "resolve a name": ("socket.gethostbyname('example.com')", "gaierror"),
    "reach an abstract socket": ("socket.socket(1).connect('\\0{name}')", "Connection refused"),
    "reach the host of a virtual machine": ("socket.socket(40)", "Operation not permitted"),
    "packets as they are": ("socket.socket(17, 3)", "Operation not permitted"),
    "read a file": ("print(open('{folder}/secret').read())", "No such file"),
    "read through the first process": ("print(open('/proc/1/root/etc/shadow').read())", "PermissionError"),
    "read passwords": ("print(open('/etc/shadow').read())", "No such file"),
    "list homes": (
        "print(os.path.exists('/root'), os.path.exists('/home'), os.path.exists('/work'))",
        "False False False",
    ),
    "read variables": ("print(sorted(os.environ)); print(open('/proc/1/environ').read())", "PermissionError"),
    "list open files": ("print([fd for fd in range(3, 64) if os.path.exists('/proc/self/fd/%d' % fd)])", "[]"),
    "write to the system": ("open('/usr/bin/x', 'w')", "Read-only"),
    "write to the interpreter": ("open(sys.base_prefix + '/x', 'w')", "Read-only"),
    "write to the root": ("os.mkdir('/x')", "Read-only"),
    "change its code": ("open('/code/program.py', 'w')", "Read-only"),
    "write among the devices": ("open('/dev/x', 'w')", "Read-only"),
    "make a device": ("os.mknod('/scratch/sda', 0o60666, os.makedev(8, 0))", "Operation not permitted"),
    "write to the kernel": ("open('/proc/sys/kernel/core_pattern', 'w')", "OSError|Permission|Read-only"),
    "restart the machine": ("open('/proc/sysrq-trigger', 'w')", "OSError|Permission|Read-only|No such file"),
    "fill the disk": ("f = open('/scratch/a', 'wb')\nwhile 1: f.write(b'0' * (1 << 20)); f.flush()", "OSError"),
    "fill it with files": ("for i in range(999): open('/tmp/%d' % i, 'wb').write(b'0' * (4 << 20))", "No space left"),
    "make files without end": ("i = 0\nwhile 1: os.close(os.open('/tmp/%d' % i, 65)); i += 1", "files"),
    "make folders without end": (
        "i = 0\nwhile 1: os.mkdir('/dev/shm/%d' % i); os.symlink('x', '/dev/shm/l%d' % i); i += 1",
        "files",
    ),
    "fill shared memory": (
        "for i in range(99): open('/dev/shm/%d' % i, 'wb').write(b'0' * (4 << 20))",
        "No space left",
    ),
    "compute for ever": ("while 1: pass", "time"),
    "sleep for ever": ("time.sleep(999)", "time"),
    "ignore signals": ("import signal\nfor s in (1, 2, 15): signal.signal(s, signal.SIG_IGN)\ntime.sleep(999)", "time"),
    "go on without output": ("os.close(1); os.close(2)\nwhile 1: pass", "time"),
    "take all memory": ("a = []\nwhile 1: a.append(bytearray(1 << 24))", "MemoryError"),
    "take it in many processes": (
        "for i in range(3): os.fork()\na = bytearray(1 << 26)\ntime.sleep(9)",
        "memory",
    ),
    "share memory nobody counts": ("call({shmget}, 0, 1 << 30, 0o1600)", "-1 Operation not permitted"),
    "give back memory that stays": ("import mmap; mmap.mmap(-1, 1 << 20, flags=0x21)", "Operation not permitted"),
    "the same through a device": (
        "import mmap; mmap.mmap(os.open('/dev/zero', 2), 1 << 20, flags=1)",
        "No such device",
    ),
    "set timers without end": (
        "e, t = (ctypes.c_char * 64)(), ctypes.c_int()\ne[12] = 1\n"
        "while libc.timer_create(1, e, ctypes.byref(t)) == 0: pass\nprint(t.value < 999)",
        "True",
    ),
    "watch files": ("print(libc.inotify_init1(0))", "-1"),
    "asynchronous input of all": ("call({io_setup}, 1000, ctypes.byref(ctypes.c_ulong()))", "Operation not permitted"),
    "memory as a file": ("os.memfd_create('x')", "Operation not permitted"),
    "fork without end": (FORK_BOMB, "time"),
    "start threads without end": (
        "import threading\nfor i in range(999): threading.Thread(target=time.sleep, args=(9,), daemon=True).start()",
        "can't start new thread",
    ),
    "kill everything": ("os.kill(-1, 9)", ""),
    "kill the first process": ("os.kill(1, 9); os.kill(os.getppid(), 19)", "PermissionError|time"),
    "see other processes": ("print(max(int(p) for p in os.listdir('/proc') if p.isdigit()) < 20)", "True"),
    "write without end": ("while 1: print('x' * 100000)", "output"),
    "leave a process behind": (
        "if os.fork() == 0:\n  os.setsid()\n  if os.fork() == 0: time.sleep(300)\n  os._exit(0)\nprint('left')",
        "left",
    ),
    "become root": ("os.setuid(0)", "Operation not permitted"),
    "mount": ("print(libc.mount(b'none', b'/scratch', b'tmpfs', 0, None))", "-1"),
    "make namespaces": ("print(libc.unshare(0x10000000), libc.unshare(0x20000))", "-1 -1"),
    "clone into a namespace": ("call({clone}, 0x10000000 | 17, 0, 0, 0, 0)", "-1 Operation not permitted"),
    "enter a namespace": ("print(libc.setns(os.open('/proc/self/ns/net', 0), 0))", "-1"),
    "look into another process": ("print(libc.ptrace(16, 1, 0, 0))", "-1"),
    "change the root": ("os.chroot('/scratch')", "Operation not permitted"),
    "use io_uring": ("call(425, 8, 0)", "-1 Operation not permitted"),
    "keep keys": ("call({add_key}, b'user', b'x', b'y', 1, -3)", "-1 Operation not permitted"),
    "run before all others": ("os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))", "Operation not permitted"),
    "type at the terminal": ("import fcntl\nfcntl.ioctl(os.open('/dev/tty', 2), 0x5412, b'x')", "No such device"),
}
NUMBERS = (
    {"shmget": 29, "clone": 56, "add_key": 248, "io_setup": 206}
    if X86
    else {"shmget": 194, "clone": 220, "add_key": 217, "io_setup": 0}
)
OTHERS = {
    "sh": (":(){ :|:& };:; sleep 9", "time"),
    "pl": ('my @a; while (1) { push @a, "x" x 10000000 }', "Out of memory!"),
}


@pytest.fixture(scope="module")
def there():
    """Skip where this machine has no sandbox."""
    fault = probe.problem()
    if fault is not None:
        pytest.skip(fault)


@pytest.fixture(scope="module")
def outcomes(there, tmp_path_factory):
    """What came of every hostile program, while this process listens for them; what it heard; the programs' users."""
    folder = tmp_path_factory.mktemp("host")
    (folder / "secret").write_text(SECRET)
    name = f"smallwright-{os.getpid()}"
    os.environ["SMALLWRIGHT_SECRET"] = SECRET
    heard: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(2, 2) as udp, socket.socket(1) as unix:
        udp.bind(("127.0.0.1", 0))
        unix.bind("\0" + name)
        unix.listen()
        for listener in (tcp, udp, unix):
            listener.setblocking(False)
        filled = {
            "port": tcp.getsockname()[1],
            "udp": udp.getsockname()[1],
            "name": name,
            "folder": folder,
            **NUMBERS,
        }
        texts = [HEAD + _fill(program, filled) for program, _ in HOSTILE.values()]
        sandbox, users, own_user = Sandbox(LIMITS), set(), command.own_user

        @contextlib.contextmanager
        def noted():
            with own_user() as user:
                users.add(user)
                yield user

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(command, "own_user", noted)
            found = dict(zip(HOSTILE, sandbox.run_all(texts), strict=True))
            for language, (program, _) in OTHERS.items():
                found[language] = sandbox.run(program, language)
        for listener, ask in ((tcp, "accept"), (unix, "accept")):
            try:
                getattr(listener, ask)()
                heard.append("connection")
            except BlockingIOError:
                pass
        try:
            udp.recv(1)
            heard.append("datagram")
        except BlockingIOError:
            pass
    del os.environ["SMALLWRIGHT_SECRET"]
    return found, heard, folder, users


def _fill(program: str, values: dict) -> str:
    for key, value in values.items():
        program = program.replace("{" + key + "}", str(value))
    return program


@pytest.mark.slow
@pytest.mark.parametrize("name", [*HOSTILE, *OTHERS])
def test_hostile_programs_get_nothing(outcomes, name):
    outcome = outcomes[0][name]
    expected = (HOSTILE.get(name) or OTHERS[name])[1]
    assert SECRET not in outcome.output
    assert "root:" not in outcome.output
    assert outcome.seconds < 60
    assert len(outcome.output) <= LIMITS.output_kib * 1024
    assert any(word in (outcome.output, outcome.ending) or word in outcome.output for word in expected.split("|")), (
        outcome
    )


@pytest.mark.slow
def test_nothing_of_hostile_programs_is_left(outcomes):
    _, heard, folder, users = outcomes
    assert heard == []
    assert sorted(path.name for path in folder.iterdir()) == ["secret"]
    assert (folder / "secret").read_text() == SECRET
    ours = [str(os.getpid())]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
            parent = (process / "stat").read_text().rsplit(")", 1)[1].split()[1]
        except OSError:
            continue
        assert not (parent in ours and b"bwrap" in command), command
        assert b"/code/program" not in command or process.stat().st_uid not in users, command


def test_programs_of_all_evaluations_have_users_of_their_own():
    with contextlib.ExitStack() as held:
        taken = [held.enter_context(command.own_user()) for _ in range(300)]
        code = "from smallwright_eval.sandbox.command import own_user\nwith own_user() as user: print(user)"
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert len({*taken, int(other.stdout)}) == 301
        assert all(60000 <= user < 65000 for user in taken)


def test_users_that_are_all_taken_are_said_and_one_that_is_given_back_is_taken_again(monkeypatch):
    first = 1_000_000_000 + os.getpid()
    monkeypatch.setattr(command, "_FIRST_ID", first)
    monkeypatch.setattr(command, "_IDS", 2)
    with command.own_user() as one:
        with command.own_user() as two, pytest.raises(ConfigError, match="2 programs run on this machine now"):
            command.own_user().__enter__()
        with command.own_user() as again:
            assert (again, {one, two}) == (two, {first, first + 1})


def test_there_are_more_than_thirty_hostile_programs():
    assert len(HOSTILE) + len(OTHERS) > 30


def test_good_programs_run_side_by_side_and_say_what_they_print(there):
    found = Sandbox(PATIENT).run_all([f"print({i})" for i in range(6)])
    assert [(one.ending, one.code, one.output) for one in found] == [("ended", 0, f"{i}\n") for i in range(6)]


def test_a_program_gets_the_same_hashes_each_time_and_a_scratch_folder(there):
    text = "print(hash('x')); open('a', 'w').write('b'); print(open('/tmp/a').read())"
    first, second = Sandbox(PATIENT).run_all([text, text])
    assert first.output == second.output
    assert first.output.endswith("b\n")


def test_exit_codes_and_signals_are_told(there):
    found = Sandbox(PATIENT).run_all(["raise SystemExit(3)", "import os; os.abort()", "x = '\ud800'"])
    assert [one.code for one in found] == [3, 128 + 6, 0]


def test_what_good_programs_share_is_there(there):
    text = """
import asyncio, mmap, multiprocessing
value, lock = multiprocessing.Value('i', 3), multiprocessing.Lock()
process = multiprocessing.Process(target=lambda: print(value.value, flush=True))
process.start(); process.join()
print(asyncio.run(asyncio.sleep(0, 'slept')), len(mmap.mmap(-1, 4096, flags=0x22)))
"""
    assert Sandbox(PATIENT).run(text).output == "3\nslept 4096\n"


def test_a_program_that_is_too_long_is_not_run(there):
    assert Sandbox(PATIENT).run("#" * (run.LONGEST_PROGRAM + 1)).ending == "long"


@pytest.mark.slow
@pytest.mark.parametrize("language", [name for name in LANGUAGES if name != "py"])
def test_every_language_of_this_machine_runs(there, language):
    if LANGUAGES[language].find() is None:
        pytest.skip(f"there is no {LANGUAGES[language].needs}")
    outcome = Sandbox(CodeConfig()).run(LANGUAGES[language].hello, language)
    assert (outcome.code, outcome.output) == (0, "hello\n")


def test_a_language_without_what_its_tests_import_is_refused_with_its_words(there, monkeypatch):
    lacking = dataclasses.replace(LANGUAGES["sh"], imports="echo there is no such library; exit 1\n", needs="a shell")
    monkeypatch.setitem(LANGUAGES, "sh", lacking)
    assert re.search(r'said: "there is no such library". It needs a shell; without it', probe.problem.__wrapped__("sh"))


def test_a_language_that_is_not_known_is_refused():
    with pytest.raises(ConfigError, match=r"language 'jsx': unknown\. Did you mean 'js'\?"):
        probe.problem("jsx")


def test_without_bubblewrap_the_remedy_is_told(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert "apt-get install bubblewrap" in str(probe.problem.__wrapped__())


def test_the_words_of_bubblewrap_are_told(monkeypatch, tmp_path):
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho bwrap: No permissions to create new namespace\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert "No permissions to create new namespace" in str(probe.problem.__wrapped__())


@pytest.mark.slow
def test_an_unprivileged_user_has_a_sandbox_too(there):
    """Root has another form than others, so that both are tried where this is root."""
    if os.geteuid() != 0:
        pytest.skip("all other tests here are of an unprivileged user")
    code = """
import os
from smallwright_eval.sandbox.run import Sandbox
from smallwright_eval.sandbox.settings import CodeConfig
import encodings.idna, concurrent.futures.thread
os.setgroups([]); os.setgid(61999); os.setuid(61999)
for seconds, program in (
    (10.0, "echo ab > x; cat /tmp/x"), (10.0, "ls /root; cat /etc/shadow; id -u"), (1.0, ":(){ :|:& };:; sleep 9")
):
    print(Sandbox(CodeConfig(seconds=seconds, processes=8)).run(program, "sh"))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    first, second, third = done.stdout.strip().split("\n")
    assert "code=0, output='ab\\n'" in first
    assert second.count("No such file") == 2
    assert "65534" in second
    assert "ending='time'" in third or "Resource temporarily unavailable" in third


def test_the_filter_knows_both_architectures_and_no_other():
    assert len(seccomp.program("x86_64") or b"") % 8 == 0
    assert (seccomp.program("aarch64") or b"")[8:16] != (seccomp.program("x86_64") or b"")[8:16]
    assert seccomp.program("riscv64") is None


def test_more_threads_than_workers_share_the_sandbox(there):
    """Also a caller with threads of its own gets every answer."""
    sandbox, found = Sandbox(PATIENT), []
    threads = [
        threading.Thread(target=lambda: found.append(sandbox.run("print(1)").output), daemon=True) for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=300)
    assert found == ["1\n"] * 5
