"""Mixtures of experts of the TorchTitan face: TorchTitan's ``MoE``, in the trainer's precision, balanced by a loss.

Letters of tensor names: docs/architectures.md.
"""

import warnings
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn as nn
import torch.nn.functional as F
from core.errors import ConfigError
from torch.distributed.tensor import DTensor
from torchtitan.models.common import Linear
from torchtitan.models.common.config_utils import make_ffn_config
from torchtitan.models.common.feed_forward import FeedForward
from torchtitan.models.common.moe import GroupedExperts, MoE, RoutedExperts, TokenChoiceTopKRouter
from torchtitan.models.common.token_dispatcher import LocalTokenDispatcher

from smallwright_decoder.config import DecoderConfig

# TorchTitan asks autocast for float32, which a CPU's does not know; the router's gate sees to that itself.
warnings.filterwarnings("ignore", message="In CPU autocast, but the target dtype is not supported")


class Experts(GroupedExperts):
    """TorchTitan's experts, w2(silu(w1 x) * w3 x), in the precision of their input.

    TorchTitan's own multiply in bfloat16 whatever the trainer's precision is, and a checkpoint of theirs would not give
    the log-probabilities that other engines compute from it in float32.
    """

    @dataclass(kw_only=True, slots=True)
    class Config(GroupedExperts.Config):
        """Settings of TorchTitan's experts; none is added."""

    def forward(self, x_RD: torch.Tensor, num_tokens_per_expert_E: torch.Tensor) -> torch.Tensor:
        """Return the output of each row's expert, shape (R, D).

        Args:
            x_RD: Rows in the order of their experts.
            num_tokens_per_expert_E: Rows of each expert.
        """
        w1_EFD, w2_EDF, w3_EFD = (
            weight.to_local() if isinstance(weight, DTensor) else weight
            for weight in (self.w1_EFD, self.w2_EDF, self.w3_EFD)
        )
        offsets_E = torch.cumsum(num_tokens_per_expert_E, dim=0, dtype=torch.int32)
        gate_RF = F.silu(self._grouped_mm(A=x_RD, B_t=w1_EFD.transpose(-2, -1), offs=offsets_E))
        h_RF = gate_RF * self._grouped_mm(A=x_RD, B_t=w3_EFD.transpose(-2, -1), offs=offsets_E)
        return self._grouped_mm(A=h_RF, B_t=w2_EDF.transpose(-2, -1), offs=offsets_E)

    def _grouped_mm(self, *, A: torch.Tensor, B_t: torch.Tensor, offs: torch.Tensor) -> torch.Tensor:
        if A.dtype != torch.float64:
            return super()._grouped_mm(A=A, B_t=B_t, offs=offs)
        # PyTorch has no such product in float64, in which gradients are checked.
        rows = A.tensor_split(offs[:-1].tolist())
        return torch.cat([part @ weight for part, weight in zip(rows, B_t, strict=True)])


class SharedExpert(FeedForward):
    """An expert of every token: sigmoid(gate x) * w2(silu(w1 x) * w3 x), as Qwen2-MoE's in Transformers."""

    @dataclass(kw_only=True, slots=True)
    class Config(FeedForward.Config):
        gate: Linear.Config

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.gate = config.gate.build()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return what the expert adds, shape (B, L, D)."""
        return torch.sigmoid(self.gate(x)) * super().forward(x)


class RouterGate(Linear):
    """A projection that computes in float32 or better, so that a token goes to the same experts in every engine."""

    @dataclass(kw_only=True, slots=True)
    class Config(Linear.Config):
        """Settings of TorchTitan's projection; none is added."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Return the logits, shape (B, L, E)."""
        precision = torch.promote_types(input.dtype, torch.float32)
        return F.linear(input.to(precision), self.weight.to(precision))


class WithLoss(torch.autograd.Function):
    """Return a tensor unchanged; its backward pass also starts the backward pass of a scalar loss."""

    @staticmethod
    def forward(ctx: Any, tensor: torch.Tensor, loss: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(loss)
        return tensor.view_as(tensor)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:  # type: ignore[override]
        (loss,) = ctx.saved_tensors
        return gradient, torch.ones_like(loss)


class BalancedRouter(TokenChoiceTopKRouter):
    """TorchTitan's router: the K highest of the softmax over all experts; in training, with a loss that balances them.

    The loss is that of each sequence (DeepSeek-V2, arXiv 2405.04434, section 2.2.3; DeepSeek-V3,
    arXiv 2412.19437, section 2.1.2): sequences are what ranks and micro-batches are made of, so neither changes
    it, and ranks need not exchange counts. It is stricter than balance within a global batch, which lets experts
    specialise more (arXiv 2501.11873). A bias of the router instead (arXiv 2408.15664) has no place in the stock
    classes that a model is exported to.
    """

    @dataclass(kw_only=True, slots=True)
    class Config(TokenChoiceTopKRouter.Config):
        """Settings of TorchTitan's router, and of the loss."""

        balance: float = 0.0
        """Factor of the loss."""
        sequences_per_step: int | None = None
        """Sequences of an optimizer step, of all ranks: their losses are averaged. None: the trainer has not told, and
        nothing is added."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.balance = config.balance
        self.sequences_per_step = config.sequences_per_step

    def forward(
        self, x_BLD: torch.Tensor, expert_bias_E: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return weights and numbers of each token's experts, shapes (B, L, S), and all scores, shape (B, L, E).

        The loss is added where gradients begin, in the backward pass of the weights: what the trainer reports is the
        cross-entropy alone.
        """
        weights_BLS, experts_BLS, scores_BLE = super().forward(x_BLD, expert_bias_E)
        if self.training and self.balance and self.sequences_per_step is not None:
            loss = balance_loss(scores_BLE, experts_BLS).sum() * (self.balance / self.sequences_per_step)
            weights_BLS = WithLoss.apply(weights_BLS, loss)
        return weights_BLS, experts_BLS, scores_BLE


def balance_loss(scores_BLE: torch.Tensor, experts_BLS: torch.Tensor) -> torch.Tensor:
    """Return sum_i f_i P_i of each sequence, shape (B,): 1 where all experts are used alike, E / S where S do all.

    f_i is the share of expert i in the sequence's choices times E, and has no gradient; P_i is its mean score.

    Args:
        scores_BLE: Softmax of the router.
        experts_BLS: The experts chosen.
    """
    E = scores_BLE.shape[-1]
    chosen_BE = F.one_hot(experts_BLS.flatten(1), E).sum(dim=1)
    fraction_BE = chosen_BE.float() * (E / experts_BLS[0].numel())
    return (fraction_BE * scores_BLE.float().mean(dim=1)).sum(dim=1)


def mixture_config(config: DecoderConfig) -> MoE.Config:
    """Return the mixture of experts of one layer."""
    assert config.num_experts is not None
    normal = partial(nn.init.normal_, std=config.initializer_range)
    into_stream = partial(nn.init.normal_, std=config.residual_std)
    return MoE.Config(
        num_experts=config.num_experts,
        load_balance_coeff=None,  # TorchTitan's bias of the router
        routed_experts=RoutedExperts.Config(
            inner_experts=Experts.Config(
                dim=config.hidden_size,
                hidden_dim=config.expert_size,
                num_experts=config.num_experts,
                param_init={"w1_EFD": normal, "w2_EDF": into_stream, "w3_EFD": normal},
            ),
            token_dispatcher=LocalTokenDispatcher.Config(
                num_experts=config.num_experts, top_k=config.num_experts_per_tok
            ),
        ),
        router=BalancedRouter.Config(
            num_experts=config.num_experts,
            gate=RouterGate.Config(
                in_features=config.hidden_size, out_features=config.num_experts, param_init={"weight": normal}
            ),
            top_k=config.num_experts_per_tok,
            score_func="softmax",
            route_norm=config.norm_topk_prob,
            balance=config.router_aux_loss_coef,
        ),
        shared_experts=_shared_expert(config),
    )


def _shared_expert(config: DecoderConfig) -> SharedExpert.Config | None:
    if config.shared_expert_intermediate_size is None:
        return None
    normal = {"weight": partial(nn.init.normal_, std=config.initializer_range)}
    dense = make_ffn_config(
        dim=config.hidden_size,
        hidden_dim=config.shared_expert_intermediate_size,
        w1_param_init=normal,
        w2w3_param_init=normal,
    )
    dense.w2.param_init = {"weight": partial(nn.init.normal_, std=config.residual_std)}
    gate = Linear.Config(in_features=config.hidden_size, out_features=1, param_init=normal)
    return SharedExpert.Config(w1=dense.w1, w2=dense.w2, w3=dense.w3, gate=gate)


def prepare_for_training(mixtures: list[MoE.Config], config: Any) -> None:
    """Tell the routers how many sequences a step has, from the trainer's configuration.

    Raises:
        core.errors.ConfigError: the parallelism splits what experts cannot be split over.
    """
    parallelism = config.parallelism
    for key in (
        "tensor_parallel_degree",
        "context_parallel_degree",
        "pipeline_parallel_degree",
        "expert_parallel_degree",
    ):
        if (degree := getattr(parallelism, key)) > 1:
            raise ConfigError(f"{key}={degree}: experts are split by FSDP only. Set it to 1.")
    for mixture in mixtures:
        assert isinstance(mixture.router, BalancedRouter.Config)
        mixture.router.sequences_per_step = config.training.global_batch_size
