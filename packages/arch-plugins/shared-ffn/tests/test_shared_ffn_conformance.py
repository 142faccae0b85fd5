"""``shared_ffn`` holds what every architecture must."""

from core.testing import ArchitectureConformance


class TestSharedFFN(ArchitectureConformance):
    plugin = "shared_ffn"
