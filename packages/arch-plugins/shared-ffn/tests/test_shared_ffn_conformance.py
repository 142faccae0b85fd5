"""``shared_ffn`` holds what every architecture must, shared by all layers and by groups."""

from smallwright_testing import ArchitectureConformance


class TestSharedFFN(ArchitectureConformance):
    plugin = "shared_ffn"


class TestGroups(ArchitectureConformance):
    plugin = "shared_ffn"
    settings = {"ffn_groups": {"middle": "1-3", "ends": "0,5"}}
