"""What the line of a training says beside its loss."""

import pytest
from smallwright_pretrain.config import TorchTitanConfig
from smallwright_pretrain.cpu import use_device

use_device("cpu")

import torch  # noqa: E402
from smallwright_pretrain import metrics  # noqa: E402


@pytest.mark.parametrize(
    ("peak", "precision", "share"), [(1e12, "bfloat16", {"mfu": 0.3}), (1e12, "float32", {}), (None, "bfloat16", {})]
)
def test_utilisation_is_said_of_a_known_peak_in_its_own_precision(monkeypatch, peak, precision, share):
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    processor = object.__new__(metrics.FileMetrics)
    processor._peak, processor.num_flops_per_token = peak, 6e6
    processor.config = metrics.FileMetrics.Config(settings=TorchTitanConfig(precision=precision))
    assert processor._utilisation(1e5) == share
