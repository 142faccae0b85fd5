"""Schedules with one mistake each, and a sound one: a line to nothing."""

from core.hooks import hookimpl
from core.interfaces import Schedule

PLUGIN_API_VERSION = 1
NAMES = ("Sound", "Rises", "Counts")


@hookimpl
def register_schedules(register):
    for name in NAMES:
        register(f"schedule_{name.lower()}", f"broken_schedules:{name}")


class Sound(Schedule):
    def share(self, step, steps, warmup_steps):
        return 1 - step / steps


class Rises(Schedule):
    def share(self, step, steps, warmup_steps):
        return 2 - step / steps


class Counts(Schedule):
    """Decays by how often it was asked."""

    asked = 0

    def share(self, step, steps, warmup_steps):
        self.asked += 1
        return max(0.0, 1 - self.asked / steps)
