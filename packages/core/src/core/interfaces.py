"""What each kind of plugin must answer, and the layout of the artifacts they exchange.

Artifacts are directories; a stage finds its inputs' directories in ``job.inputs`` by role. A run of several recipes has
a ``corpus-<recipe>`` and a ``tokens-<recipe>`` of each, see :meth:`Job.corpora` and :meth:`Job.tokens`.

=========== ==================== =====================================================================================
role        made by              files
=========== ==================== =====================================================================================
crawl       source               ``files/*`` raw input files; a demonstration source adds ``truth.jsonl``, see
                                 :mod:`core.data.truth`
corpus      data                 ``documents/*.parquet`` (id, text, url, score, metadata as JSON),
                                 ``rejected/*.parquet`` (the same and step, outcome, reason), ``funnel.json``,
                                 ``reports/<position>-<step>/`` what a step leaves beside documents
tokenizer   tokenizer            ``tokenizer.json``, ``tokenizer_config.json`` with the chat template
tokens      packer               ``train-00000.bin``, ..., ``validation-00000.bin``, ... (little-endian ids), beside
                                 each ``train-00000.starts.npy`` (where in it documents start), ``index.json`` and
                                 ``meta.json`` (:class:`TokensMeta`); read by :class:`core.token_files.TokenShards`
model       init, pretrain,      ``hf/`` a Hugging Face directory (safetensors, config, tokenizer, model card),
            posttrain, model     ``metrics.jsonl`` one object per logged step; trainers add their own checkpoints
logits      a trainer            what a teacher says of a corpus, in files of the trainer's own; see
                                 :class:`StoredLogits`
report      eval                 ``results.json``; for readers ``samples.parquet``, see :mod:`core.samples`, and
                                 ``answers.jsonl``, see :mod:`core.answers`
=========== ==================== =====================================================================================
"""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.architecture import Architecture as Architecture
from core.defaults import Default
from core.errors import ConfigError, UserError
from core.job import Job as Job
from core.job import is_tokens as is_tokens
from core.launcher import Launcher as Launcher
from core.launcher import OneRun as OneRun
from core.model_command import ModelCommand as ModelCommand
from core.model_command import NamedModel as NamedModel
from core.policy import MixturePolicy as MixturePolicy
from core.policy import SelectionPolicy as SelectionPolicy
from core.remote_data import RemoteData as RemoteData
from core.schedule import Schedule as Schedule
from core.step_config import StepConfig as StepConfig
from core.tokens_meta import TokensMeta as TokensMeta
from core.tracker import Tracker as Tracker
from core.weights import ModelFolder

if TYPE_CHECKING:
    from core.finding import Finding


class Stage(ABC):
    """A kind of work with typed input and output.

    A stage runs in a process of its own, so that libraries are imported only where they are used and their memory
    is given back. Constructing one is cheap and imports nothing heavy: planning does it.
    """

    def __init__(self, config: Any = None) -> None:
        self.config = config

    @abstractmethod
    def run(self, job: Job) -> dict[str, Any]:
        """Do the work and return a JSON-serialisable summary for the manifest and the report.

        It must be able to go on in a ``job.output`` that an earlier, killed process left unfinished. A summary with
        ``partial``, a list of lines, says what the artifact lacks because something outside the run did not answer: it
        is finished and reported as it is, and the next run that needs it calls this again, with ``job.scratch`` kept.

        Raises:
            core.errors.UserError: when the user can mend it; the message is shown as one line.
        """

    def environment(self) -> dict[str, str]:
        """Return variables that must be set before the stage's process starts: allocator, threads, engine switches."""
        return {}

    def shares_process(self, job: Job) -> str | None:
        """Return what the stage's process holds that the same stage of another run can use, such as an engine with its
        model; None: the process ends with the job.

        Jobs that follow one another with the same answer, environment and plugin files are done in one process, which
        passes ``job.kept`` on. The results must be those of a process of its own, byte for byte: what a job changes
        beside ``job.kept[...]`` (counters, callbacks, seeds) is set anew at the beginning of each.
        """
        return None

    def check_plan(self, where: str, architecture: Architecture, tokenizer: "Tokenizer") -> None:
        """Refuse what would end a trainer, posttrainer or evaluator after the work before it; imports no engine.

        Args:
            where: Place of the settings in the configuration, such as ``posttrain.sft``.
            architecture: Of the model that the stage gets.
            tokenizer: The stage that makes the model's tokenizer.

        Raises:
            core.errors.UserError: the message starts with ``where`` and the key.
        """
        return

    @classmethod
    def on_the_way(cls, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what an evaluator changes of its settings where it evaluates a training on the way, many times over.

        It leaves out what the trainer measures itself and what is for people to read.

        Args:
            given: The run's own settings of the evaluation, not filled up with defaults.
        """
        return {}

    def fetches(self, where: str) -> Sequence[RemoteData]:
        """Return the data sets on the Hugging Face hub that the stage reads, for ``core.fetch``; imports no engine.

        Args:
            where: Place of the settings in the configuration, such as ``eval``.

        Raises:
            core.errors.UserError: the message starts with ``where`` and the key.
        """
        return ()

    def check_here(self, where: str) -> None:
        """Refuse, before the first stage of a run, what this machine or this allocation cannot do; imports no engine.

        Planning, which may be about other machines, does not ask.

        Args:
            where: Place of the settings in the configuration, such as ``pretrain``.

        Raises:
            core.errors.UserError: the message starts with ``where`` and the key.
        """
        return


class Tokenizer(Stage):
    """A stage that builds a tokenizer."""

    def chat_template(self) -> str | None:
        """Return the chat template, empty where there is none; None: it is not known before the work."""
        return None

    @abstractmethod
    def vocab_size(self) -> int:
        """Number of ids, specials included, known before any work: the embedding gets this many rows."""

    def reads_corpora(self) -> bool:
        """Whether the corpora of the run are among the inputs.

        A tokenizer that does not depend on them is the same in a run with one more, which then reuses the tokens of
        the others.
        """
        return True

    def check_corpora(self, names: Sequence[str]) -> None:
        """Refuse, while planning, settings that do not fit the corpora of the run.

        Args:
            names: The recipes of the run; of a single one, ``corpus``. As in :meth:`Job.corpora`.

        Raises:
            core.errors.UserError: naming the setting.
        """
        return


class Initializer(Stage):
    """A stage that makes the weights that training starts from."""

    def reads_tokens(self) -> bool:
        """Whether the run's tokens are among the inputs, see :meth:`Job.tokens`."""
        return False

    def source_to_train(self) -> dict[str, Any] | None:
        """Return the settings of a source that the run trains first; None: this stage's settings name a trained one.

        They are settings of the child's architecture. By default, where the setting ``source`` is None, ``size`` is the
        setting ``source_size`` and the mapping ``source_arch`` has the others.
        """
        if getattr(self.config, "source", None) is not None:
            return None
        return {"size": self.config.source_size, **(getattr(self.config, "source_arch", None) or {})}

    def source_folder(self) -> ModelFolder | None:
        """Return the trained source that the settings name, where it can be read while planning: the child takes from
        its ``config.json`` what nobody set."""
        return None

    def check(self, source: Architecture, child: Architecture) -> None:
        """Refuse, while planning, a child that cannot come from a source which the run trains first.

        Raises:
            core.errors.UserError: naming the settings that clash.
        """
        return

    def check_source(self, child: Architecture) -> None:
        """Refuse, while planning, a child that cannot come from the trained source that the settings name.

        Raises:
            core.errors.UserError: naming the settings that clash, or what is wrong with the source.
        """
        return


@dataclasses.dataclass(frozen=True, kw_only=True)
class Branch:
    """A checkpoint of a finished training that another training goes on from."""

    artifact: Path
    step: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class StoredLogits:
    """Work that comes before a training: what a teacher says of one corpus, written once for all its students."""

    role: str
    """Of its artifact among the training's inputs; the stage has the same name."""
    corpus: str
    """Label of the corpus."""
    stage: Stage
    """Gets the inputs ``teacher`` and ``tokens``, those of the corpus, and as its architecture the teacher's, where an
    installed one makes it."""
    follows: bool = False
    """Whether it depends on what the training reads: it then gets the tokens of all corpora, as :meth:`Job.tokens` says
    them, and the training's seed."""
    artifact_version: int = 1


class Trainer(Stage):
    """A stage that pretrains ``job.architecture`` on :meth:`Job.tokens`, from the ``init`` input when given.

    The summary has ``stored_parameters``, ``executed_parameters``, ``tokens``, ``loss_curve`` (list of [step, loss]),
    ``loss_curves`` (the same by corpus, where there are several), ``learning_rate_curve``, ``validation_curve``,
    ``validation_loss``, ``unigram_loss`` (nats per token),
    ``validation_stderr`` (None: not known), ``validation_curves`` and ``validation_loss_by_source`` (by corpus),
    ``mixture`` (as :meth:`reads` says it, of what was read), ``stages`` (``name``, ``first_step``, ``last_step``),
    ``evaluations`` (what was evaluated on the way),
    ``tokens_per_second``, ``peak_memory_bytes``, ``engine`` ({name, version}), ``verification`` ({max_difference: by
    pair of engines, in nats}).
    """

    @classmethod
    def defaults(cls, given: Mapping[str, Any], architecture: Architecture, continues: bool) -> Mapping[str, Default]:
        """Return settings that follow the model or this machine where ``given`` does not have them.

        Planning builds the settings with them, so that the identity of what is trained has what was chosen.

        Args:
            given: What options, experiments and the command line say, not checked yet.
            architecture: The model that will be trained.
            continues: Whether it is a trained one that the run starts from.
        """
        return {}

    @abstractmethod
    def plan(self, architecture: Architecture) -> dict[str, Any]:
        """Return ``tokens`` (trained on), ``seq_len`` and ``memory_bytes`` (per rank), without doing any work.

        A trainer can also say ``memory`` (the parts of ``memory_bytes``, by name), ``ranks`` and ``ranks_here`` (on one
        of the machines), ``batch_tokens`` (of a step), ``extra_flops_per_token`` (of what computes beside the model, as
        a teacher does), ``learning_rate``, ``recomputed`` (share of the model's FLOPs that is done twice), ``device``
        (``"cpu"``, ``"cuda"``, or its own choice), ``on_cpu``; ``checkpoint_bytes``,
        ``disk_bytes`` (of all that is kept); ``stages``, a list for ``core.planning.schedule``, and ``notes``.
        """

    def reads(self, tokens: Mapping[str, Path | None]) -> Mapping[str, Any] | None:
        """Return what the training reads of each corpus, without doing any work; None: the trainer cannot say.

        Args:
            tokens: Finished tokens artifacts by the label of their corpus; None: not made yet.

        Returns:
            ``unknown``: labels of corpora whose tokens are not made yet; ``corpora``: by label ``tokens`` (read, those
            read again counted again), ``size`` (its tokens) and ``epochs``; ``stages``: a list of ``name``, ``tokens``
            and ``sources``, by name ``declared`` and ``realised`` (shares; None: in proportion to the tokens, or not
            known yet) and ``tokens``, and ``drawn`` where windows are drawn by their losses and no share is declared;
            ``notes``.

        Raises:
            core.errors.UserError: a mixture names no corpus of the run, or text would be read more often than allowed.
        """
        return None

    def trained(self, architecture: Architecture) -> Architecture:
        """Return the architecture of the model that comes out: another one where the training changes it, as a last
        stage with another base of its position embedding does."""
        return architecture

    def branch(self) -> Branch | None:
        """Return the finished training that the settings go on from, which becomes the input ``branch``; None: none.

        Raises:
            core.errors.UserError: there is none, or it kept no such checkpoint; the message starts with the key.
        """
        return None

    def teacher(self) -> tuple[str, str] | None:
        """Return the setting, such as ``distill.teacher``, and what it names: the model that the training learns from.

        It may be an artifact, a folder of Hugging Face's format or a hub id, and becomes the input ``teacher``, with
        the model in ``hf/``. None: there is none.
        """
        return None

    def stored_logits(self, corpora: Sequence[str]) -> Sequence[StoredLogits]:
        """Return the work in which the teacher goes through the corpora beforehand; the artifacts then take the place
        of the input ``teacher``. By default there is none: the training asks the teacher itself.

        Args:
            corpora: Labels of the run's corpora, as in :meth:`Job.tokens`.
        """
        return ()

    def beforehand(self, tokens: Mapping[str, Path | None]) -> Mapping[str, Mapping[str, float] | None]:
        """Return what the work of :meth:`stored_logits` takes, by its role ``disk_bytes`` and ``flops``, for planning.

        None: nobody knows yet how long the corpus is. By default there is no such work.

        Args:
            tokens: As for :meth:`reads`.
        """
        return {}

    def of_source(self) -> "Trainer":
        """Return what trains a source model, from which the model of the run takes its first weights: by default the
        same. What concerns the model of the run alone, such as its teacher, is not among its settings."""
        return self

    def evaluates(self) -> tuple[str, Mapping[str, Any]] | None:
        """Return the setting, such as ``eval_every``, by which the model is evaluated on the way, and what is changed
        for that of the run's own settings of the evaluation; the evaluator is then ``job.evaluator``. None: it is not.
        """
        return None

    def shorter(self, identity: Mapping[str, Any], folder: Path) -> Branch | None:
        """Return a finished training that did the first steps of this one; the trainer goes on from it by itself.

        Args:
            identity: Of the artifact that is to be made.
            folder: Of the store, with the finished trainings.
        """
        return None

    def on(self, ranks: int | None, device: str | None) -> "Trainer":
        """Return the same training on that many ranks of ``"cuda"`` or ``"cpu"``; None: as the settings have it.

        It lets ``core.plan --device`` say what other hardware would need. A trainer that cannot say returns itself.
        """
        return self

    def takes_policy(self, policy: MixturePolicy, corpora: Sequence[str]) -> Mapping[str, Any]:
        """Return those of the settings that are no part of an identity without a policy, and are one with it.

        Args:
            policy: What is to change the mixture of this training.
            corpora: Labels of the run's corpora, as in :meth:`Job.tokens`.

        Raises:
            core.errors.UserError: this training's mixture cannot change; by default none can.
        """
        raise ConfigError(f"policy: {type(self).__name__} trains on one mixture to the end. Leave +policy out.")

    def beside(self, policy: MixturePolicy) -> "Trainer":
        """Return the same training with a policy, for planning: what that takes is in its :meth:`plan`.

        By default a policy takes nothing, and it returns itself.
        """
        return self

    def doctor(self, job: Job, layout: int | None) -> "Iterable[Finding]":
        """Try this training on this machine for a few steps on random tokens, and say what is found; for core.doctor.

        What needs an engine runs in a process of its own. By default nothing is tried.

        Args:
            job: Without inputs; ``job.output`` is a folder that is thrown away.
            layout: Build the model as one of so many GPUs would hold it, and try no steps here; None: the steps.
        """
        return ()

    def follow(self, job: Job) -> None:
        """Do this machine's part of a training that another machine leads, and return when its artifact is finished.

        Raises:
            core.errors.UserError: the trainer cannot, which is the default, or the other machine gave up.
        """
        raise UserError(f"{type(self).__name__} does not train on several machines. Leave launcher out.")
