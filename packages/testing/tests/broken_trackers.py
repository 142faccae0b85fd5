"""Trackers with one mistake each, and a sound one: numbers in a file of JSON lines."""

import json

from core.hooks import hookimpl
from core.interfaces import Tracker

PLUGIN_API_VERSION = 1
NAMES = ("Sound", "Holds", "Empties", "Chokes", "Strays", "Unready")


@hookimpl
def register_trackers(register):
    for name in NAMES:
        register(f"track_{name.lower()}", f"broken_trackers:{name}")


class Sound(Tracker):
    """Writes at once."""

    mode = "a"

    def stage_started(self, run, stage):
        self.file = open(run.directory / "numbers.jsonl", self.mode)  # noqa: SIM115

    def metrics_logged(self, run, stage, records):
        for record in records:
            self.file.write(json.dumps(record) + "\n")
        self.flush()

    def flush(self):
        self.file.flush()

    def stage_finished(self, run, stage):
        if getattr(self, "file", None):
            self.file.close()


class Holds(Sound):
    def flush(self):
        pass


class Empties(Sound):
    mode = "w"


class Chokes(Sound):
    def metrics_logged(self, run, stage, records):
        for record in records:
            assert record.get("loss", 0) == record.get("loss", 0)
        super().metrics_logged(run, stage, records)


class Strays(Sound):
    def metrics_logged(self, run, stage, records):
        super().metrics_logged(run, stage, records)
        (stage.artifact / "seen.txt").touch()


class Unready(Sound):
    def stage_finished(self, run, stage):
        self.file.close()
