"""Commands on a model with one mistake each, and a sound one: how many files it has."""

from core.hooks import hookimpl
from core.interfaces import ModelCommand

PLUGIN_API_VERSION = 1
NAMES = ("Sound", "Imports", "Numbers", "Silent", "Strays")


@hookimpl
def register_model_commands(register):
    for name in NAMES:
        register(f"command_{name.lower()}", f"broken_model_commands:{name}")


class Sound(ModelCommand):
    def run(self, model):
        print(len(list(model.directory.iterdir())))
        return 0


class Imports(Sound):
    def check(self, model):
        import pyarrow  # noqa: F401


class Numbers(Sound):
    def environment(self):
        return {"OMP_NUM_THREADS": 1}


class Silent(Sound):
    def run(self, model):
        super().run(model)


class Strays(Sound):
    def run(self, model):
        (model.directory / "notes.txt").write_text("seen")
        return super().run(model)
