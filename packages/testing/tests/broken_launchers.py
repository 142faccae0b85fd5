"""Launchers with one mistake each, and a sound one."""

import contextlib
import subprocess

from core.hooks import hookimpl
from core.interfaces import Launcher

PLUGIN_API_VERSION = 1
NAMES = ("Sound", "Unordered", "Stops", "Silent", "TellsTwice", "Forgets", "Loses", "LeavesRunning")


@hookimpl
def register_launchers(register):
    for name in NAMES:
        register(f"launch_{name.lower()}", f"broken_launchers:{name}")


class Sound(Launcher):
    """One task after another."""

    def launch(self, tasks, folder, ended):
        for task in self.order(tasks):
            error = self.run(task)
            ended(task, error)
            if self.is_enough(error):
                return

    def order(self, tasks):
        return tasks

    def is_enough(self, error):
        return False

    def run(self, task):
        task.log.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(task.log, "w") as log:
                process = subprocess.Popen(task.command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        except OSError as error:
            return str(error)
        try:
            code = process.wait()
        except BaseException:
            self.end(process)
            raise
        return None if code == 0 else f"it ended with code {code}: {self.last_word(task)}"

    def end(self, process):
        process.kill()
        process.wait()

    def last_word(self, task):
        return task.log.read_text().strip().rpartition("\n")[2]


class Unordered(Sound):
    def order(self, tasks):
        return reversed(tasks)


class Stops(Sound):
    def is_enough(self, error):
        return error is not None


class Silent(Sound):
    def last_word(self, task):
        return "see the log"


class TellsTwice(Sound):
    def launch(self, tasks, folder, ended):
        super().launch(tasks, folder, lambda task, error: (ended(task, error), ended(task, error)))


class Forgets(Sound):
    def launch(self, tasks, folder, ended):
        super().launch(tasks, folder, lambda task, error: None)


class Loses(Sound):
    def run(self, task):
        said = super().run(task)
        with contextlib.suppress(OSError):
            task.log.write_text("")
        return said


class LeavesRunning(Sound):
    def end(self, process):
        pass
