"""``gqa`` holds what every architecture must."""

from core.testing import ArchitectureConformance


class TestGQA(ArchitectureConformance):
    plugin = "gqa"
