"""The whole plugin contract. A plugin is an entry point of group ``smallwright`` naming a module of these hooks.

Every ``register_*`` hook is called once at start, before the configuration is composed, and gets a callable::

    @hookimpl
    def register_architectures(register: Register) -> None:
        register("shared_ffn", "smallwright_shared_ffn.architecture:SharedFFN",
                 config="smallwright_shared_ffn.config:SharedFFNConfig")

Targets are strings, imported only when chosen. ``config`` names a frozen, keyword-only dataclass in a module that
imports nothing heavy: a wrong setting is then reported within a second. The class of every target is called with
one argument, the built configuration. A plugin module states ``PLUGIN_API_VERSION = 1``.

Plugin API version 1. Adding a hook, or an argument to one, is not a breaking change.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pluggy

if TYPE_CHECKING:
    from core.run import Run, StageOutcome, StageWork

hookspec = pluggy.HookspecMarker("smallwright")
hookimpl = pluggy.HookimplMarker("smallwright")


class Register(Protocol):
    """What every ``register_*`` hook but ``register_configs`` is given."""

    def __call__(self, name: str, target: str, config: str | None = None, *, artifact_version: int = 1) -> None:
        """Offer one thing under a name.

        Args:
            name: What users write.
            target: ``"module:attribute"``, imported when the name is chosen.
            config: ``"module:Dataclass"`` of its settings; None: it has none.
            artifact_version: Raise it when the same settings and inputs give another result than before. It is a
                part of the identity of every artifact that the target has a part in; the package's version is not.
        """


RegisterPackage = Callable[[str], None]
"""What ``register_configs`` is given: it takes the name of a package."""


@hookspec
def register_configs(register: RegisterPackage) -> None:
    """Give packages that hold Hydra groups: ``register("smallwright_gqa.conf")`` for ``conf/arch/gqa.yaml``.

    The package needs an ``__init__.py``. Importing its parent package must be cheap.
    """


@hookspec
def register_sources(register: Register) -> None:
    """Name makers of raw input files (a fetcher, a demonstration crawl), used when ``data.paths`` is not set.

    Target: a :class:`core.interfaces.Stage` that leaves the files in ``job.output / "files"``.
    """


@hookspec
def register_steps(register: Register) -> None:
    """Name document transformations for data recipes.

    Target: a :class:`core.data.steps.Step` (or any DataTrove ``PipelineStep``), or a
    :class:`core.data.steps.CorpusStep` for work that must see the whole corpus, such as MinHash. Its ``config`` is a
    :class:`core.interfaces.StepConfig`.
    """


@hookspec
def register_executors(register: Register) -> None:
    """Name ways to spread the passes of a data recipe over processes or machines; chosen by ``+executor=<name>``.

    Target: a :class:`core.data.executor.Executor`. Its settings never change the outcome.
    """


@hookspec
def register_corpora(register: Register) -> None:
    """Name builders of a corpus that is no list of steps (a hub dataset, synthetic generation).

    Target: a :class:`core.interfaces.Stage` that leaves a Corpus in ``job.output``.
    """


@hookspec
def register_benchmarks(register: Register) -> None:
    """Name files of evaluation items, to evaluate on and to decontaminate against.

    Target: ``"package:relative/path.jsonl"``, a resource inside the package; no config.
    """


@hookspec
def register_published_scores(register: Register) -> None:
    """Name files of scores that others published, which ``core.compare`` lays beside ours.

    Target: ``"package:relative/path.yaml"``, a resource inside the package as :mod:`core.compare.published` describes
    it; no config.
    """


@hookspec
def register_tokenizers(register: Register) -> None:
    """Name builders of a Hugging Face tokenizer directory from a corpus.

    Target: a :class:`core.interfaces.Tokenizer`.
    """


@hookspec
def register_packers(register: Register) -> None:
    """Name makers of token files from a corpus and a tokenizer.

    Target: a :class:`core.interfaces.Stage` that leaves Tokens in ``job.output``.
    """


@hookspec
def register_architectures(register: Register) -> None:
    """Name model architectures. Target: a :class:`core.interfaces.Architecture`."""


@hookspec
def register_initializers(register: Register) -> None:
    """Name makers of a starting checkpoint (inherited init, continued training).

    Target: a :class:`core.interfaces.Initializer` that leaves a Model in ``job.output``, of ``job.architecture``.
    """


@hookspec
def register_trainers(register: Register) -> None:
    """Name pretraining engines. Target: a :class:`core.interfaces.Trainer`."""


@hookspec
def register_posttrainers(register: Register) -> None:
    """Name post-training methods (``sft``, ``dpo``).

    Target: a :class:`core.interfaces.Stage` with input ``model``, that leaves a Model in ``job.output``.
    """


@hookspec
def register_evaluators(register: Register) -> None:
    """Name evaluation engines.

    Target: a :class:`core.interfaces.Stage` with inputs ``model`` and, after pretraining, ``tokens``.
    """


@hookspec
def register_launchers(register: Register) -> None:
    """Name ways to put the runs of a sweep side by side, or to do one run elsewhere; chosen by ``+launcher=<name>``.

    Target: a :class:`core.interfaces.Launcher`. Its settings never change the outcome.
    """


@hookspec
def register_trackers(register: Register) -> None:
    """Name places where people follow runs (TensorBoard, Weights & Biases, MLflow); chosen by ``+tracker=<name>``.

    Target: a :class:`core.interfaces.Tracker`. Its settings never change the outcome.
    """


@hookspec
def register_mixture_policies(register: Register) -> None:
    """Name rules that change what a training reads by its losses; chosen by ``+policy=<name>``.

    Target: a :class:`core.interfaces.MixturePolicy`, which changes the shares of the corpora, or one that is a
    :class:`core.interfaces.SelectionPolicy`, which chooses among sequences. Its ``config`` is a
    :class:`core.policy.PolicyConfig`.
    """


@hookspec
def register_schedules(register: Register) -> None:
    """Name schedules of the learning rate; chosen by ``pretrain.schedule=<name>``.

    Target: a :class:`core.interfaces.Schedule`, a pure function from a step to its rate.
    """


@hookspec
def register_model_commands(register: Register) -> None:
    """Name who does the work of the commands on a model: ``chat``, ``generate``, ``serve``, ``bench``.

    Target: a :class:`core.interfaces.ModelCommand`. ``--by <name>`` of these commands chooses one of another name.
    """


@hookspec
def run_started(run: "Run") -> None:
    """Fire when a run has composed and checked its configuration, before the first stage.

    ``run`` is a :class:`core.run.Run`: ``name``, ``directory``, ``config``, ``stages``.
    """


@hookspec
def stage_started(run: "Run", stage: "StageWork") -> None:
    """Fire when the work of a stage begins; not for a stage that is reused.

    ``stage`` is a :class:`core.run.StageWork`: ``name``, ``folder``, ``artifact``, ``began``.
    """


@hookspec
def metrics_logged(run: "Run", stage: "StageWork", records: Sequence[Mapping[str, Any]]) -> None:
    """Fire while a stage works, with what it has logged since the last call, in order, and once more at its end.

    ``stage`` is that of ``stage_started``. A record has ``step`` and what the stage measured at it (``loss``, ``lr``,
    ``validation_loss``, ``tokens_per_second``, ...). None is told twice to a run's folder, also when the training goes
    on there after it was killed.
    """


@hookspec
def stage_finished(run: "Run", stage: "StageOutcome") -> None:
    """Fire after each stage.

    ``stage`` is a :class:`core.run.StageOutcome`: ``name``, ``status``, ``seconds``, ``artifact``, ``error``.
    """


@hookspec
def run_finished(run: "Run") -> None:
    """Fire when the report is written, also when a stage failed.

    A page made from it is appended to ``run.pages``; its path is printed.
    """


@hookspec(firstresult=True)
def make_page(kind: str, data: Any, path: Path) -> Path | None:
    """Write the page of what a command found to ``path`` and return it; None leaves it to another plugin.

    Args:
        kind: What is shown: ``run``, ``inspect``, ``sweep``, ``study``, ``compare`` or ``bench``.
        data: Plain data (what JSON knows) of that kind.
        path: The file to write, one page that needs no network.
    """
