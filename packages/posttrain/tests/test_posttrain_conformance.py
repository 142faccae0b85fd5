"""``sft`` and ``dpo`` hold what every post-training method must."""

from smallwright_testing import PosttrainConformance

FEW = {"max_steps": 6, "logging_steps": 1, "save_steps": 2, "max_length": 128, "max_examples": 40}


class TestSft(PosttrainConformance):
    plugin = "sft"
    settings = FEW
    wrong_settings = {"learning_rate": {"learning_rate": 0}, "packing": {"packing": True, "max_length": None}}


class TestDpo(PosttrainConformance):
    plugin = "dpo"
    settings = FEW
    wrong_settings = {"beta": {"beta": 0}, "loss_type": {"loss_type": "sigmod"}}
