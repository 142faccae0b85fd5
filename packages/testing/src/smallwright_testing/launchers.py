"""What holds for a launcher: order, endings and logs of tasks, and what becomes of them when it is interrupted."""

import os
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
from core.interfaces import Launcher
from core.sweep.tasks import Task

from smallwright_testing.base import Conformance

FOLDER = "a sweep, 100 %j"
"""White space, and what a scheduler may take for a pattern of its own."""
PATIENCE_SECONDS = 60.0


class LauncherConformance(Conformance):
    """Tests of a launcher, on tasks of milliseconds. ::

    class TestMine(LauncherConformance):
        plugin = "mine"
    """

    kind = "launchers"
    where = "launcher"
    goes_on: ClassVar[bool] = False
    """Whether tasks go on when the launcher is interrupted, and the same tasks are then watched; else they end."""

    @classmethod
    def launcher(cls) -> Launcher:
        """Return the launcher, after its look at this machine."""
        entry = cls.entry()
        made: Launcher = entry.build(entry.settings(cls.given(), cls.where))
        made.check(cls.where)
        return made

    @pytest.fixture
    def sweep(self, tmp_path: Path) -> "Sweep":
        """A folder of a sweep, with tasks that write down when they start and end."""
        return Sweep(tmp_path / FOLDER)

    def test_every_task_runs_once_behind_those_that_it_is_after(self, sweep: "Sweep") -> None:
        after = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c"), "e": ()}
        tasks = [sweep.task(name, "sleep 0.1", before) for name, before in after.items()]
        assert sweep.launch(self.launcher(), tasks) == dict.fromkeys(after)
        events = sweep.events()
        assert sorted(events) == sorted(f"{word} {name}" for name in after for word in ("starts", "ends"))
        for name, before in after.items():
            for other in before:
                assert events.index(f"ends {other}") < events.index(f"starts {name}")

    def test_a_task_that_fails_is_told_with_its_last_words_and_stops_no_other(self, sweep: "Sweep") -> None:
        missing = sweep.task("missing", "")
        missing = Task(name="missing", command=("no-such-program-anywhere",), log=missing.log)
        fails = sweep.task("fails", "echo 'what went wrong' >&2; exit 3")
        later = sweep.task("later", "true", ("fails", "missing"))
        said = sweep.launch(self.launcher(), [fails, missing, later, sweep.task("beside", "true")])
        assert said["later"] is None
        assert said["beside"] is None
        assert {"ends later", "ends beside"} <= set(sweep.events())
        for name, word in (("fails", "what went wrong"), ("missing", "no-such-program-anywhere")):
            line = said[name]
            assert line is not None
            assert word in line
            assert "\n" not in line

    def test_what_a_task_prints_is_in_its_log(self, sweep: "Sweep") -> None:
        task = sweep.task("prints", "echo 'to stdout ü'; echo 'to stderr' >&2; cat")
        assert sweep.launch(self.launcher(), [task]) == {"prints": None}, "stdin must be empty"
        assert {"to stdout ü", "to stderr"} <= set(task.log.read_text().splitlines())

    def test_when_it_is_interrupted_tasks_end_or_are_watched_again(self, sweep: "Sweep") -> None:
        tasks = [sweep.task("long", "while [ ! -e go ]; do sleep 0.05; done"), sweep.task("next", "true", ("long",))]
        with _ctrl_c_when(lambda: sweep.events() == ["starts long"]), pytest.raises(KeyboardInterrupt):
            sweep.launch(self.launcher(), tasks)
        process = int((sweep.folder / "long.pid").read_text())
        if not self.goes_on:
            _wait_for(lambda: not Path(f"/proc/{process}").exists())
            (sweep.folder / "go").touch()
            time.sleep(0.2)
            assert sweep.events() == ["starts long"]
            return
        timer = threading.Timer(1.5, (sweep.folder / "go").touch)
        timer.start()
        assert sweep.launch(self.launcher(), tasks) == {"long": None, "next": None}
        timer.join()
        assert sweep.events() == ["starts long", "ends long", "starts next", "ends next"], "each ran once"


class Sweep:
    """The folder of a sweep."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def task(self, name: str, script: str, after: Sequence[str] = ()) -> Task:
        """Return a task that writes down that it starts, runs a shell script, and writes down that it ends well."""
        command = f'cd "$0"; echo $$ > {name}.pid; echo starts {name} >> events; {script or "true"} && '
        command += f"echo ends {name} >> events"
        log = self.folder / "logs" / f"{name}.log"
        return Task(name=name, command=("sh", "-c", command, str(self.folder)), log=log, after=tuple(after))

    def launch(self, launcher: Launcher, tasks: Sequence[Task]) -> Mapping[str, str | None]:
        """Launch tasks, and return what was told of each."""
        said: dict[str, str | None] = {}

        def ended(task: Task, error: str | None) -> None:
            assert task.name not in said, f"{task.name} is told twice"
            assert threading.current_thread() is threading.main_thread()
            said[task.name] = error

        launcher.launch(tasks, self.folder, ended)
        assert set(said) == {task.name for task in tasks}
        return said

    def events(self) -> list[str]:
        """Return what the tasks wrote down."""
        file = self.folder / "events"
        return file.read_text().splitlines() if file.exists() else []


class _ctrl_c_when:
    """Press Ctrl-C for this process once something holds."""

    def __init__(self, holds: Any) -> None:
        self._holds, self._over = holds, threading.Event()
        self._thread = threading.Thread(target=self._press)

    def _press(self) -> None:
        while not self._over.wait(0.02):
            if self._holds():
                time.sleep(0.1)  # a simple launcher is still starting the task
                os.kill(os.getpid(), signal.SIGINT)
                return

    def __enter__(self) -> None:
        # A process in the background of a script is started with the signal ignored.
        self._before = signal.signal(signal.SIGINT, signal.default_int_handler)
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        signal.signal(signal.SIGINT, self._before)


def _wait_for(holds: Any) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)
