"""What all commands share: how they read the command line, and how they end when something goes wrong."""

import argparse
import contextlib
import errno
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from core.errors import ConfigError, UserError, cannot_write
from core.registry import Registry

PLUGIN_OPTION: dict[str, Any] = {
    "action": "append",
    "metavar": "FILE",
    "help": "load hooks from a local Python file",
}
"""Arguments of ``add_argument("--plugin", ...)``, the same in every command that loads plugins."""


class _Parser(argparse.ArgumentParser):
    """A parser that answers a shell which asks for completions."""

    def parse_args(self, *arguments: Any, **more: Any) -> Any:
        _answer(self)
        return super().parse_args(*arguments, **more)


def _answer(parser: argparse.ArgumentParser) -> None:
    """End the process with completions where a shell asks for them instead of for work; see :mod:`core.completion`."""
    if "_ARGCOMPLETE" in os.environ:
        import argcomplete

        argcomplete.autocomplete(parser, always_complete_options=False)


def command_parser(command: str, description: str | None) -> argparse.ArgumentParser:
    """Return a parser whose help shows the examples of ``description`` as they are written.

    Args:
        command: Module of the command, such as ``core.run``.
        description: Docstring of the command.
    """
    return _Parser(
        prog=f"python -m {command}", description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def run_parser(
    command: str, description: str | None, completer: Callable[..., list[str]] | None = None
) -> argparse.ArgumentParser:
    """Return a parser of a command that composes a run: it takes settings, and local plugin files.

    Args:
        completer: What completes a setting in the shell: :func:`core.completion.settings`.
    """
    parser = command_parser(command, description)
    overrides = parser.add_argument("overrides", nargs="*", help="+group=option and key=value, as in Hydra")
    overrides.completer = completer  # type: ignore[attr-defined]
    parser.add_argument("--plugin", default=[], **PLUGIN_OPTION)
    return parser


def add_sweep_options(parser: argparse.ArgumentParser, *, samples: bool = True) -> None:
    """Add the options of a command that can be about many runs.

    Args:
        samples: Also ``--samples``, which the command has not by itself.
    """
    sweep = parser.add_argument_group("many runs")
    sweep.add_argument("-m", "--multirun", action="store_true", help="a run for each combination of a,b, range(), ...")
    if samples:
        sweep.add_argument("--samples", type=int, metavar="N", help="runs to draw where a value is an interval()")
    sweep.add_argument("--max-runs", type=int, metavar="N", help="allow so many runs (default: 1000)")


def asks_for_sweep(options: argparse.Namespace, only: Sequence[str] = ("samples", "max_runs")) -> bool:
    """Whether a command is about many runs.

    Args:
        only: Options that mean something only then.

    Raises:
        ConfigError: an option of many runs stands without ``-m``.
    """
    for name in only:
        if getattr(options, name) is not None and not options.multirun:
            raise ConfigError(f"--{name.replace('_', '-')}: is of many runs. Add -m.")
    return bool(options.multirun)


def parse(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse settings that may stand before, between and after options; only unknown options are refused."""
    _answer(parser)
    options, extra = parser.parse_known_intermixed_args(arguments)
    if getattr(options, "overrides", ()):
        from core.overrides import given_twice  # imports Hydra, which half of the commands need not

        for line in given_twice(options.overrides):
            print(printable(f"warning: {line}"), file=sys.stderr)
    if extra:
        unknown = [argument for argument in extra if argument.startswith("-")]
        parser.error(f"unrecognized arguments: {' '.join(unknown or extra)}")
    return options


def warn_about_broken(registry: Registry) -> None:
    """Print one line for each plugin that failed to load, and for each name that no run can choose."""
    for record in registry.plugins:
        if record.status == "failed":
            print(
                f"warning: plugin {record.distribution} {record.version} failed to load: {record.reason}",
                file=sys.stderr,
            )
    for _, message in registry.clashes():
        print(f"warning: {message}", file=sys.stderr)


def printable(text: str) -> str:
    """Return text that cannot steer a terminal: what came from files and pages may hold its control sequences."""
    return "".join(character if character.isprintable() or character == "\n" else " " for character in text)


class Terminated(KeyboardInterrupt):
    """A signal asked the command to end; it ends as after Ctrl-C, with a message and what there is of a report."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Raise :class:`Terminated` in the main thread for signals whose default is to end the process at once.

    A signal that is ignored, as ``nohup`` does, stays ignored.
    """

    def end(number: int, _: object) -> None:
        raise Terminated(number)

    ends = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) == signal.SIG_DFL]
    if threading.current_thread() is not threading.main_thread():
        ends = []
    for number in ends:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in ends:
            signal.signal(number, signal.SIG_DFL)


def carry_out(work: Callable[[], int], interrupted: str = "interrupted.") -> int:
    """Do the work of a command and return its exit code; only our own mistakes give a traceback.

    ========================================== ========= ============================
    what happens                               exit code what is printed
    ========================================== ========= ============================
    the work ends                              its own   its own
    the user can mend it (``UserError``)       2         ``error: <message>``
    the operating system refuses (``OSError``) 2         ``error: <file>: <reason>.``
    nobody reads the output any more           1         nothing
    Ctrl-C                                     130       ``interrupted``
    SIGTERM (Slurm, Kubernetes), SIGHUP        128 + n   ``interrupted``
    ========================================== ========= ============================

    Args:
        work: Returns the exit code where all goes well. It may parse the arguments too.
        interrupted: What to tell a user who pressed Ctrl-C, or whose scheduler asked the command to end.
    """
    try:
        try:
            with _ended_by_signals():
                return _code(work, interrupted)
        finally:
            sys.stdout.flush()  # here, for Python's own flush at its exit would complain of a pipe without a reader
    except BrokenPipeError:
        _forget_what_nobody_reads()
        return 1
    except OSError as error:
        print(f"error: {_reason(error)}", file=sys.stderr)
        _forget_what_nobody_reads()
        return 2


def _code(work: Callable[[], int], interrupted: str) -> int:
    try:
        return work()
    except UserError as error:
        print(printable(f"error: {error}"), file=sys.stderr)
        return 2
    except Terminated as ended:
        print(f"{ended}: {interrupted}", file=sys.stderr)
        return 128 + ended.number
    except KeyboardInterrupt:
        print(interrupted, file=sys.stderr)
        return 130


def _reason(error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return cannot_write(error, error.filename or "the output")
    place = f"{error.filename}: " if error.filename is not None else ""
    return f"{place}{error.strerror or error}."


def _forget_what_nobody_reads() -> None:
    """Send what the output streams still hold to nowhere, so that Python's flush at its exit does not fail."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            with contextlib.suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
