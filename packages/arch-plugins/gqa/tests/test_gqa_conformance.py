"""``gqa`` holds what every architecture must, with experts too."""

from smallwright_testing import ArchitectureConformance


class TestGQA(ArchitectureConformance):
    plugin = "gqa"
    settings = {"num_hidden_layers": 2}


class TestGQAOfExperts(ArchitectureConformance):
    plugin = "gqa"
    settings = {
        "num_hidden_layers": 2,
        "num_experts": 4,
        "moe_intermediate_size": 96,
        "shared_expert_intermediate_size": 64,
        "mlp_only_layers": (0,),
    }
    wrong_settings = {"num_experts_per_tok": {"num_experts_per_tok": 5}, "num_experts": {"activation": "gelu"}}
    # One process serves all mixtures, in test_decoder_vllm.py; the trainer's two ranks are in
    # test_decoder_experts_training.py, with the loss that balances experts.
    test_vllm_gives_titans_log_probabilities = None
    test_two_ranks_train_as_one = None
    # They look at the plugin, whatever the settings: see above.
    test_every_named_size_has_the_parameters_it_declares = None
    test_planning_imports_nothing_heavy = None
