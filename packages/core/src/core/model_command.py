"""What a command that works with a model must answer: one that talks to it, serves it, or measures it."""

import dataclasses
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from core.architecture import Architecture


@dataclasses.dataclass(frozen=True, kw_only=True)
class NamedModel:
    """A model whose files lie here, whole as far as their headers tell."""

    named: str
    """What the user wrote."""
    directory: Path
    """In Hugging Face's format: ``config.json``, ``*.safetensors`` and the tokenizer."""
    planned: Architecture
    """What can be asked of it without an engine: its parameters, its context."""
    architecture: Architecture | None = None
    """The installed architecture that it was made with; None: Transformers and vLLM know it by themselves."""
    artifact: Path | None = None
    """Of a store, where it is one's."""
    plugin_files: tuple[str, ...] = ()
    """Local files given with ``--plugin``; a command that starts Python processes hands them on."""

    @property
    def label(self) -> str:
        """A short name for people."""
        if self.artifact is not None:
            return self.artifact.name.rpartition("-")[0] or self.artifact.name
        return Path(self.named).resolve().name if Path(self.named).exists() else self.named


class ModelCommand(ABC):
    """Work with a model that exists, at the terminal: ``python -m core.chat``, ``generate``, ``serve``, ``bench``.

    It is no stage: it leaves no artifact, and works in the process of the command. Constructing one is cheap and
    imports nothing heavy, so that a wrong setting is told within a second.
    """

    def __init__(self, config: Any = None) -> None:
        self.config = config

    def environment(self) -> dict[str, str]:
        """Return variables that are set, where they are not, before anything of an engine is imported."""
        return {}

    def check(self, model: NamedModel) -> None:
        """Refuse what cannot be done with this model on this machine; imports no engine.

        Raises:
            core.errors.UserError: the message starts with the key of the setting, or with ``model=<named>``.
        """
        return

    @abstractmethod
    def run(self, model: NamedModel) -> int:
        """Do the work and return the exit code of the command.

        What the model writes goes to the standard output, what is said about it to the standard error where the output
        is no terminal. The model's files stay as they are.

        Raises:
            core.errors.UserError: when the user can mend it; the message is shown as one line.
        """
