"""The architecture ``swish_beta``: what every architecture must hold, and what its activations compute."""

import pytest
import torch
from core.errors import ConfigError
from core.typed import build
from smallwright_testing import ArchitectureConformance

from smallwright_swish_beta.activation import swish_gelu, swish_two
from smallwright_swish_beta.config import SwishBetaConfig


class TestSwishBetaConformance(ArchitectureConformance):
    plugin = "swish_beta"
    settings = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "head_dim": 32}
    wrong_settings = {"activation": {"activation": "no such thing"}}


def test_the_betas():
    z = torch.linspace(-6, 6, 100)
    assert torch.allclose(swish_two(z), torch.nn.functional.silu(2 * z) / 2)
    assert (swish_gelu(z) - torch.nn.functional.gelu(z)).abs().max() < 0.03
    relu = torch.relu(z)
    assert (swish_two(z) - relu).abs().max() < (torch.nn.functional.silu(z) - relu).abs().max()


def test_what_is_not_given_is_this_packages():
    config = build(SwishBetaConfig, {"size": "nano", "vocab_size": 256, "qk_norm": None}, "arch")
    assert config.qk_norm
    assert config.activation.endswith(":swish_gelu")
    with pytest.raises(ConfigError, match="activation"):
        build(SwishBetaConfig, {"size": "nano", "activation": "swish gelu"}, "arch")
