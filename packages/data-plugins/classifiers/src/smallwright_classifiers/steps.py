"""The steps ``classifier``, ``classifier_fasttext`` and ``classifier_encoder``.

Each learns from the labelled documents of the corpus or from files, or takes a trained classifier, reports how good it
is on held-out labels, and scores every document. They differ in their
:class:`~smallwright_classifiers.model.Kind` alone.
"""

from abc import abstractmethod
from pathlib import Path

from core.data.steps import CorpusStep, Phase, Step, StepContext

from smallwright_classifiers.example_files import collecting
from smallwright_classifiers.model import Kind, check_settings, read_index
from smallwright_classifiers.scoring import ScoreDocuments
from smallwright_classifiers.training import CLASSIFIER_FOLDER, TrainClassifier


class ClassifierStep(CorpusStep):
    """Learns labels by a small model, and scores every document with it.

    Every document gets ``metadata[key]`` (float, not clipped) and ``metadata["int_" + key]`` (0 to the scale). The
    trained classifier stays in the corpus as ``reports/<step>/classifier``.
    """

    @abstractmethod
    def kind(self) -> Kind:
        """Return the kind of classifier, with the settings of this step."""

    def bind(self, context: StepContext) -> None:
        super().bind(context)
        kind = self.kind()
        if self.config.pretrained is not None:
            known = read_index(kind, self.config.pretrained)
            if known is not None:
                check_settings(self.config, known)
        kind.check(context.label)

    def phases(self, corpus: Path, work: Path) -> list[Phase]:
        kind = self.kind()
        train = TrainClassifier(kind, work, self._context)
        return [
            *collecting(self.config, corpus, work, self._context.label),
            *([] if self.config.pretrained else kind.phases(work)),
            Phase(name="train", pipeline=[train], tasks=1),
        ]

    def pass_step(self, work: Path) -> Step:
        return ScoreDocuments(self.kind(), self.config.pretrained or str(work / CLASSIFIER_FOLDER))

    @property
    def _context(self) -> StepContext:
        return self.context or StepContext(label=type(self).__name__, position=0, seed=0)


class Classifier(ClassifierStep):
    """Hashed n-grams with a ridge regression."""

    def kind(self) -> Kind:
        from smallwright_classifiers.linear import LinearKind

        return LinearKind(self.config, self._context.seed)


class FastTextClassifier(ClassifierStep):
    """fastText's supervised classifier."""

    def kind(self) -> Kind:
        from smallwright_classifiers.fast_text import FastTextKind

        return FastTextKind(self.config, self._context.seed)


class EncoderClassifier(ClassifierStep):
    """One regression output on a sentence encoder."""

    def kind(self) -> Kind:
        from smallwright_classifiers.encoder import EncoderKind

        return EncoderKind(self.config, self._context.seed)
