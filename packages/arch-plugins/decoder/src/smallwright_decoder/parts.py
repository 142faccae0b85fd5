"""Parts of the TorchTitan face that TorchTitan does not have.

Letters of tensor names: docs/architectures.md.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn as nn
from core.errors import ConfigError
from torchtitan.models.common import CosSinRoPE, Linear
from torchtitan.models.common.feed_forward import FeedForward
from torchtitan.models.common.rope import RoPE
from torchtitan.protocols.module import Module

Elementwise = Callable[[torch.Tensor], torch.Tensor]


def check_elementwise(name: str, function: Elementwise) -> None:
    """Refuse an activation that does not give a number for each number.

    Raises:
        ConfigError: names the activation, and what it returned.
    """
    z = torch.linspace(-4, 4, 10, dtype=torch.float32, device="cpu").view(2, 5)
    try:
        out = function(z)
    except Exception as error:
        raise ConfigError(f"arch.activation={name}: fails on a tensor ({type(error).__name__}: {error}).") from error
    if not isinstance(out, torch.Tensor):
        raise ConfigError(
            f"arch.activation={name}: returns {type(out).__name__}, must return a tensor of its input's shape."
        )
    if (out.shape, out.dtype) != (z.shape, z.dtype):
        given, got = (f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}" for tensor in (z, out))
        raise ConfigError(f"arch.activation={name}: returns {got} for {given}, must keep shape and dtype.")
    if not bool(out.isfinite().all()):
        raise ConfigError(f"arch.activation={name}: is not finite for numbers from -4 to 4.")


class ScaledRoPE(CosSinRoPE):
    """Rotary positions with given frequencies, so that they are the ones that Transformers computes.

    TorchTitan's own YaRN leaves the factor on attention to the model, and its cosines and sines have no Llama scaling.
    """

    @dataclass(kw_only=True, slots=True)
    class Config(CosSinRoPE.Config):
        """``inverse_frequencies`` in radians per token, one for each pair of dimensions."""

        inverse_frequencies: tuple[float, ...]
        attention_factor: float = 1.0
        """Factor on cosines and sines, and so its square on attention scores (YaRN, arXiv 2309.00071, section 3.4)."""

    def _precompute_cache(self) -> torch.Tensor:
        config = self.config
        assert isinstance(config, ScaledRoPE.Config)
        frequencies = torch.tensor(config.inverse_frequencies, dtype=torch.float32)
        angles = torch.outer(torch.arange(config.max_seq_len, dtype=torch.float32), frequencies)
        angles_LH = torch.cat([angles, angles], dim=-1)
        return torch.cat([angles_LH.cos(), angles_LH.sin()], dim=-1) * config.attention_factor


class NoRoPE(RoPE):
    """No positions: a layer that tells tokens apart by their content only (NoPE, arXiv 2305.19466)."""

    @dataclass(kw_only=True, slots=True)
    class Config(RoPE.Config):
        """Settings of a RoPE: TorchTitan sets the sequence length in those of every layer."""

    def __init__(self, config: Config) -> None:
        super(RoPE, self).__init__()
        self.config = config

    def _init_self_buffers(self, *, buffer_device: torch.device | None = None) -> None:
        """There is no cache."""

    def forward(
        self, query: torch.Tensor, key: torch.Tensor, positions: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return ``query`` and ``key``, shapes (B, L, N, H), as they are."""
        return query, key


def first_term_leads(scale: torch.Tensor, *, std: float) -> None:
    """Fill the scales of a series with 1 and small numbers: close to the plain activation, and no two terms alike."""
    # As TorchTitan does for fused projections: whole tensors, copied into a shard where ``scale`` is one.
    rest = scale.new_empty(scale.shape[0] - 1)
    nn.init.normal_(rest, std=std)
    with torch.no_grad():
        scale.copy_(torch.cat([scale.new_ones(1), rest]))


class SeriesActivation(Module):
    """The series-informed activation sum_i act(scale_i z + shift_i) (PanGu-pi, arXiv 2312.17276, section 4.2)."""

    @dataclass(kw_only=True, slots=True)
    class Config(Module.Config):
        terms: int
        function: Elementwise

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.function = config.function
        self.scale = nn.Parameter(torch.empty(config.terms))
        self.shift = nn.Parameter(torch.empty(config.terms))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Return the sum over terms, in the shape of ``z``."""
        scales, shifts = self.scale.unbind(), self.shift.unbind()
        out = self.function(scales[0] * z + shifts[0])
        for scale, shift in zip(scales[1:], shifts[1:], strict=True):
            out = out + self.function(scale * z + shift)
        return out


class GatedFeedForward(FeedForward):
    """TorchTitan's SwiGLU with another activation of the gate, plain or in series.

    The series stands inside the gate, before the product; the paper does not say where it stands in a gated network.
    """

    @dataclass(kw_only=True, slots=True)
    class Config(FeedForward.Config):
        activation: Elementwise | SeriesActivation.Config

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        series = isinstance(config.activation, SeriesActivation.Config)
        self.activation = config.activation.build() if series else config.activation  # type: ignore[union-attr]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the update of the residual stream, shape (B, L, D).

        Args:
            x: The normed stream, shape (B, L, D); TorchTitan's sharding names the argument so.
        """
        h_BLF = self.activation(self.w1(x)) * self.w3(x)
        return self.w2(h_BLF)


class AugmentedShortcut(Module):
    """A path T beside attention, as a bottleneck: up(gelu(down(x))) (PanGu-pi, arXiv 2312.17276, section 4.1)."""

    @dataclass(kw_only=True, slots=True)
    class Config(Module.Config):
        down: Linear.Config
        up: Linear.Config

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.down = config.down.build()
        self.up = config.up.build()

    def forward(self, x_BLD: torch.Tensor) -> torch.Tensor:
        """Return what is added to the residual stream, shape (B, L, D)."""
        bottleneck_BLP = nn.functional.gelu(self.down(x_BLD))
        return self.up(bottleneck_BLP)
