"""The conformance kit: what every plugin of a kind must hold, as test classes for pytest.

::

    from smallwright_testing import ArchitectureConformance

    class TestMine(ArchitectureConformance):
        plugin = "mine"

Engines are imported where a test uses them. See ``docs/conformance.md``.
"""

import importlib.util
import sys

if importlib.util.find_spec("pytest") is None:
    missing = "smallwright_testing needs pytest. Install it: pip install 'pytest>=8'"
    if sys.argv[:1] == ["-m"]:  # Python is about to run the command
        sys.exit(f"error: {missing}")
    raise ImportError(missing, name="pytest")

import pytest

# The kit's own assertions show their values, as those of a test module do. Before the modules are imported.
pytest.register_assert_rewrite(
    *(
        f"smallwright_testing.{module}"
        for module in (
            "base",
            "architecture",
            "launchers",
            "learning",
            "model_commands",
            "policies",
            "schedules",
            "steps",
            "stages",
            "trackers",
        )
    )
)

from smallwright_testing.architecture import ArchitectureConformance  # noqa: E402
from smallwright_testing.base import Conformance  # noqa: E402
from smallwright_testing.launchers import LauncherConformance  # noqa: E402
from smallwright_testing.model_commands import ModelCommandConformance  # noqa: E402
from smallwright_testing.policies import MixturePolicyConformance, SelectionPolicyConformance  # noqa: E402
from smallwright_testing.schedules import ScheduleConformance  # noqa: E402
from smallwright_testing.stages import EvaluatorConformance, PosttrainConformance, StageConformance  # noqa: E402
from smallwright_testing.steps import StepConformance  # noqa: E402
from smallwright_testing.trackers import TrackerConformance  # noqa: E402

__all__ = [
    "ArchitectureConformance",
    "Conformance",
    "EvaluatorConformance",
    "LauncherConformance",
    "MixturePolicyConformance",
    "ModelCommandConformance",
    "PosttrainConformance",
    "ScheduleConformance",
    "SelectionPolicyConformance",
    "StageConformance",
    "StepConformance",
    "TrackerConformance",
]
