"""``shared_ffn`` holds what every architecture must, shared by all layers and by groups."""

from smallwright_testing import ArchitectureConformance


class TestSharedFFN(ArchitectureConformance):
    plugin = "shared_ffn"
    settings = {"num_hidden_layers": 3}
    # vLLM serves one feed-forward for all layers in test_decoder_vllm.py, and this size in the main job
    # (test_main_job.py). Two ranks train the groups below: the same code owns and shards one feed-forward for all
    # layers and one for each group.
    test_vllm_gives_titans_log_probabilities = None
    test_two_ranks_train_as_one = None


class TestGroups(ArchitectureConformance):
    plugin = "shared_ffn"
    settings = {"num_hidden_layers": 4, "ffn_groups": {"middle": "1-2", "ends": "0,3"}}
    # One process serves such groups and all other parts of the library, in test_decoder_vllm.py.
    test_vllm_gives_titans_log_probabilities = None
    # They look at the plugin, whatever the settings: see above.
    test_every_named_size_has_the_parameters_it_declares = None
    test_planning_imports_nothing_heavy = None
