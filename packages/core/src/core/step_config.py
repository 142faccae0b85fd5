"""What the settings of a data step answer while planning."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.registry import Registry


class StepConfig:
    """Base of the settings of a data step: a frozen dataclass that also answers what planning asks."""

    def check(self, registry: "Registry", where: str) -> None:
        """Refuse, while planning, what would end the run later: a missing library, model or file.

        Args:
            registry: What is installed.
            where: Place of these settings in the configuration, such as ``data.steps.minhash``.

        Raises:
            core.errors.UserError: the message starts with ``where`` and the key.
        """

    def check_files(self, files: Sequence[str], where: str) -> None:
        """Refuse, as :meth:`check`, input files that a recipe's first step cannot read as it is set."""

    def inputs(self) -> tuple[str, ...] | None:
        """Return the files that a recipe's first step finds by itself, as on a hub; None: the recipe's ``paths``."""
        return None
