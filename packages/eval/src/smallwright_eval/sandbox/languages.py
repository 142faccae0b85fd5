"""The languages that programs can be in, by the names of MultiPL-E, and how each runs in the sandbox."""

import dataclasses
import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

TITLES = {"py": "Python", "sh": "Bash", "pl": "Perl", "js": "JavaScript", "cpp": "C++", "rs": "Rust", "java": "Java"}
Found = tuple[str, Sequence[tuple[str, str]]]
"""A shell command that runs the program, from its scratch folder; and what it reads, as (path here, path in there)."""


@dataclasses.dataclass(frozen=True)
class Language:
    """How a program of one language is run."""

    name: str
    file: str
    """What the program's file is called; it lies in ``/code``."""
    hello: str
    """A program that prints ``hello``."""
    find: Callable[[], Found | None]
    """The command, or None where the machine has none."""
    needs: str
    """What to install where it has none."""
    imports: str = ""
    """What every program of MultiPL-E begins with; it must be there before any is asked for."""
    seconds: float = 0.0
    """CPU time beyond the limit, for a compiler or a runtime that starts slowly."""
    processes: int = 0
    """Processes and threads beyond the limit."""
    open_files: int = 0
    """Open files beyond the limit: a compiler may open all libraries at once."""
    memory_mib: int = 0
    """MiB beyond the limit that a compiler or a runtime takes for itself."""
    address_space: bool = True
    """Whether the memory limit can hold for the address space: not where a runtime reserves what it never touches."""


def python() -> Found:
    """The interpreter that runs this, without its installed packages and with a fixed hash of strings."""
    executable = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    prefix = Path(sys.base_prefix).resolve()
    if prefix.is_relative_to("/usr"):
        return f"exec {executable} -sSPB /code/program.py", ()
    if not executable.is_relative_to(prefix):
        executable = prefix / "bin" / f"python3.{sys.version_info.minor}"
    # Bound elsewhere: below a home of root it would be out of reach of nobody.
    return f"exec /python/{executable.relative_to(prefix)} -sSPB /code/program.py", ((str(prefix), "/python"),)


def _of(command: str, *names: str) -> Callable[[], Found | None]:
    def find() -> Found | None:
        paths = {}
        for name in names:
            path = shutil.which(name)
            # Links in /etc do not exist in the sandbox.
            real = os.path.realpath(path) if path else ""
            if not real.startswith("/usr/"):
                return None
            paths[name.replace("+", "p")] = real
        return command.format(**paths), ()

    return find


def _java() -> Found | None:
    compiler, virtual = shutil.which("javac"), shutil.which("java")
    if not compiler or not virtual or not os.path.realpath(virtual).startswith("/usr/"):
        return None
    quick = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1"
    flags = f"-Xmx512m -Xss16m {quick} -ea -cp '.:/usr/share/java/*'"
    compile_ = f"-J-Xmx512m {' '.join(f'-J{word}' for word in quick.split())} -cp '/usr/share/java/*' -d ."
    command = (
        f"{os.path.realpath(compiler)} {compile_} /code/Main.java && exec {os.path.realpath(virtual)} {flags} Problem"
    )
    # Debian keeps a runtime's settings in /etc.
    return command, [(str(path), str(path)) for path in sorted(Path("/etc").glob("java-*"))]


@functools.cache
def _rust() -> Found | None:
    compiler, linker = shutil.which("rustc"), shutil.which("gcc") or shutil.which("cc")
    if compiler is None or linker is None:
        return None
    try:  # rustup's rustc is a stub that looks for the real one in a home
        said = subprocess.run([compiler, "--print", "sysroot"], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    root = said.stdout.strip()
    if said.returncode or not Path(root, "bin", "rustc").is_file():
        return None
    link = os.path.realpath(linker)
    if root.startswith("/usr"):
        return f"{root}/bin/rustc -C linker={link} -o program /code/program.rs && exec ./program", ()
    return f"/rust/bin/rustc -C linker={link} -o program /code/program.rs && exec ./program", ((root, "/rust"),)


_JAVA_HELLO = 'class Problem { public static void main(String[] a) { System.out.println("hello"); } }'
LANGUAGES: dict[str, Language] = {
    language.name: language
    for language in (
        Language("py", "program.py", 'print("hello")', python, "Python"),
        Language("sh", "program.sh", "echo hello", _of("exec {bash} /code/program.sh", "bash"), "bash", processes=16),
        Language(
            "pl",
            "program.pl",
            'print "hello\\n";',
            _of("exec {perl} /code/program.pl", "perl"),
            "perl with Test::Deep (libtest-deep-perl)",
            imports="use Test::Deep;\n",
        ),
        Language(
            "js",
            "program.js",
            'console.log("hello")',
            _of("exec {node} --max-old-space-size=512 /code/program.js", "node"),
            "node",
            seconds=2,
            processes=32,
            address_space=False,
        ),
        Language(
            "cpp",
            "program.cpp",
            '#include <cstdio>\nint main() { puts("hello"); }',
            _of("{gpp} -std=c++17 -o program /code/program.cpp && exec ./program", "g++"),
            "g++",
            seconds=15,
        ),
        Language(
            "rs",
            "program.rs",
            'fn main() { println!("hello"); }',
            _rust,
            "rustc and gcc",
            seconds=15,
            processes=32,
            memory_mib=1024,
            address_space=False,
        ),
        Language(
            "java",
            "Main.java",
            _JAVA_HELLO,
            _java,
            "a JDK with javatuples (org.javatuples:javatuples:1.2 of Maven, as a jar in /usr/share/java)",
            imports="import org.javatuples.*;\n",
            seconds=15,
            processes=64,
            open_files=384,
            memory_mib=512,
            address_space=False,
        ),
    )
}
