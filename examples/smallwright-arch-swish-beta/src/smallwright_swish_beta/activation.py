"""Swish, z * sigmoid(beta z), with the betas of the literature (arXiv 1710.05941)."""

import torch

GELU_BETA = 1.702
"""With this beta Swish is close to GELU (arXiv 1606.08415, section 2)."""


def swish_gelu(z: torch.Tensor) -> torch.Tensor:
    """Return z * sigmoid(1.702 z), in the shape of ``z``."""
    return z * torch.sigmoid(GELU_BETA * z)


def swish_two(z: torch.Tensor) -> torch.Tensor:
    """Return z * sigmoid(2 z), in the shape of ``z``: between SiLU and ReLU."""
    return z * torch.sigmoid(2.0 * z)
