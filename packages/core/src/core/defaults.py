"""Settings that nobody gave and that follow something else: the model, the machine."""

from typing import Any, NamedTuple


class Default(NamedTuple):
    """The value of such a setting."""

    value: Any
    source: str
    """Why it is this, for the plan: ``smollm2-135m trained with it (arXiv 2502.02737)``."""
