"""Classes that miss the contract: a base that is not there, or a name that is nearly one of the contract's."""

import dataclasses

from core.data.steps import DocumentStep
from core.hooks import hookimpl
from core.interfaces import Architecture, Initializer, Stage, StepConfig

PLUGIN_API_VERSION = 1


@hookimpl
def register_evaluators(register):
    register("eval_sound", "broken_contract:Evaluator")
    register("eval_baseless", "broken_contract:Baseless")
    register("eval_misspelt", "broken_contract:Misspelt")


@hookimpl
def register_posttrainers(register):
    register("post_sound", "broken_contract:Evaluator")
    register("post_baseless", "broken_contract:Baseless")
    register("post_misspelt", "broken_contract:Misspelt")


@hookimpl
def register_initializers(register):
    register("init_sound", "broken_contract:SoundInitializer")
    register("init_misspelt", "broken_contract:MisspeltInitializer")
    register("init_no_method", "broken_contract:NoMethod")


@hookimpl
def register_steps(register):
    register("step_sound", "broken_contract:SoundStep", config="broken_contract:SoundConfig")
    register("step_baseless", "broken_contract:Baseless")
    register("step_misspelt", "broken_contract:MisspeltStep")
    register("step_baseless_config", "broken_contract:SoundStep", config="broken_contract:BaselessConfig")
    register("step_misspelt_config", "broken_contract:SoundStep", config="broken_contract:MisspeltConfig")
    register("step_field", "broken_contract:SoundStep", config="broken_contract:FieldConfig")


@hookimpl
def register_architectures(register):
    register("arch_baseless", "broken_contract:Baseless")
    register("arch_misspelt", "broken_contract:MisspeltArchitecture")


class Evaluator(Stage):
    """Names of its own, and all that a stage may say."""

    engine = "none"

    def environment(self):
        return {}

    def environments(self):
        """Nearly a name of the contract, which is there: both are meant."""

    def run(self, job):
        return {}


class Baseless:
    """Has what a stage must have, but its type does not say so."""

    def __init__(self, config=None):
        self.config = config

    def run(self, job):
        return {}


class Misspelt(Stage):
    def enviroment(self):
        return {}

    def run(self, job):
        return {}


class SoundInitializer(Evaluator, Initializer):
    def reads_tokens(self):
        return True


class MisspeltInitializer(SoundInitializer):
    def chek_source(self, child):
        """A check that nobody makes."""


class NoMethod(SoundInitializer):
    reads_tokens = True


class SoundStep(DocumentStep):
    def process_document(self, document):
        return document


class MisspeltStep(SoundStep):
    def reports(self):
        """Figures that no report shows."""
        return {}


@dataclasses.dataclass(frozen=True, kw_only=True)
class SoundConfig(StepConfig):
    minimum: int = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class BaselessConfig:
    minimum: int = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class MisspeltConfig(StepConfig):
    def input(self):
        return ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class FieldConfig(StepConfig):
    inputs: tuple[str, ...] = ()


class MisspeltArchitecture(Architecture):
    def flop_per_token(self, seq_len):
        """A count that no plan reads."""
