"""The conformance kit: what every plugin of a kind must hold, as test classes for pytest.

::

    from smallwright_testing import ArchitectureConformance

    class TestMine(ArchitectureConformance):
        plugin = "mine"

Engines are imported where a test uses them. See ``docs/conformance.md``.
"""

import pytest

# The kit's own assertions show their values, as those of a test module do. Before the modules are imported.
pytest.register_assert_rewrite(
    *(f"smallwright_testing.{module}" for module in ("base", "architecture", "learning", "steps", "stages"))
)

from smallwright_testing.architecture import ArchitectureConformance  # noqa: E402
from smallwright_testing.base import Conformance  # noqa: E402
from smallwright_testing.stages import EvaluatorConformance, PosttrainConformance, StageConformance  # noqa: E402
from smallwright_testing.steps import StepConformance  # noqa: E402

__all__ = [
    "ArchitectureConformance",
    "Conformance",
    "EvaluatorConformance",
    "PosttrainConformance",
    "StageConformance",
    "StepConformance",
]
