"""The loss of a student that learns from a teacher: their divergence mixed with cross-entropy (Hinton et al. 2015).

The teacher's logits are made for a few tokens at a time, and the gradient of these tokens' own logits with them, in
closed form: beside what cross-entropy alone would need, memory does not grow with the length of the sequences. Of a
teacher whose distributions are stored only the largest probabilities are known, and the sum of the others: both are
then distributions over buckets, one for each stored id and a last one for all other ids together.

Letters of tensor names: docs/architectures.md; N is the tokens of a batch, one after another, K the stored ids of a
token, B its K + 1 buckets.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch.nn import functional

from smallwright_pretrain.distill_config import CHUNK_VALUES, Mix
from smallwright_pretrain.windows import IGNORED


class Losses(NamedTuple):
    """Sums over tokens, in nats; only ``loss`` has a gradient."""

    loss: torch.Tensor
    cross_entropy: torch.Tensor
    divergence: torch.Tensor
    """At the temperature, without the factor temperature**2."""


Compare = Callable[[slice, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
"""Gives for some tokens, and the student's logits of them in float32, each one's divergence, shape (N,), and its
gradient by the logits divided by the temperature, shape (N, V)."""


def divergence(mix: Mix, student_NV: torch.Tensor, teacher_NV: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return each token's divergence, shape (N,), and its gradient by the student's logits divided by the temperature,
    shape (N, V).

    Args:
        student_NV: Logits in float32.
        teacher_NV: Logits; fewer columns than the student's: it gives those behind them no probability.
    """
    log_q_NV = torch.log_softmax(student_NV / mix.temperature, -1)
    log_p_NV = torch.log_softmax(teacher_NV.float() / mix.temperature, -1)
    del teacher_NV  # as large as all that follow
    missing = student_NV.shape[-1] - log_p_NV.shape[-1]
    if missing:
        log_p_NV = functional.pad(log_p_NV, (0, missing), value=float("-inf"))
    return _compared(mix, log_p_NV, log_q_NV)


def stored_divergence(
    mix: Mix, student_NV: torch.Tensor, ids_NK: torch.Tensor, logs_NB: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what :func:`divergence` does, between the buckets of both.

    Args:
        student_NV: Logits in float32.
        ids_NK: Ids that the teacher's distribution is stored of.
        logs_NB: Their log-probabilities at the temperature of ``mix``, and last the logarithm of all the rest, -inf
            where there is none; rounded, so that they are made to sum to 1 again.
    """
    log_p_NB = torch.log_softmax(logs_NB.float(), -1)
    log_q_NV = torch.log_softmax(student_NV / mix.temperature, -1)
    log_q_NK = log_q_NV.gather(1, ids_NK)
    rest_NV = log_q_NV.scatter_(1, ids_NK, float("-inf"))
    log_q_NB = torch.cat([log_q_NK, rest_NV.logsumexp(-1, keepdim=True)], -1)
    value_N, slope_NB = _compared(mix, log_p_NB, log_q_NB.clone())
    # What changes the last bucket is shared out to its ids by the student's own probabilities of them.
    lowest = torch.finfo(rest_NV.dtype).min  # where no id is left, so that the share is 0
    slope_NV = rest_NV.sub_(log_q_NB[:, -1:].clamp(min=lowest)).exp_().mul_(slope_NB[:, -1:])
    return value_N, slope_NV.scatter_(1, ids_NK, slope_NB[:, :-1])


def _compared(mix: Mix, log_p_NV: torch.Tensor, log_q_NV: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the divergence of log-probabilities, and its gradient by the logits that ``log_q_NV`` was made of."""
    p_NV, q_NV = log_p_NV.exp(), log_q_NV.exp()
    if mix.loss == "forward_kl":
        return _relative(p_NV, log_p_NV, log_q_NV), q_NV.sub_(p_NV)
    if mix.loss == "reverse_kl":
        ratio_NV = (log_q_NV - log_p_NV).masked_fill_(q_NV == 0, 0)
        value_N = (q_NV * ratio_NV).sum(-1)
        return value_N, q_NV * (ratio_NV - value_N[:, None])
    beta = mix.beta or 0.5
    weight = torch.tensor(beta, device=log_q_NV.device)
    log_m_NV = torch.logaddexp(log_p_NV + weight.log(), log_q_NV + torch.log1p(-weight))
    own_N = _relative(q_NV, log_q_NV, log_m_NV)
    value_N = beta * _relative(p_NV, log_p_NV, log_m_NV) + (1 - beta) * own_N
    slope_NV = (log_q_NV - log_m_NV).masked_fill_(q_NV == 0, 0) - own_N[:, None]
    return value_N, slope_NV.mul_(q_NV).mul_(1 - beta)


def _relative(one_NV: torch.Tensor, log_one_NV: torch.Tensor, log_other_NV: torch.Tensor) -> torch.Tensor:
    """Return the relative entropy of each row; what has no probability counts nothing."""
    return (log_one_NV - log_other_NV).masked_fill_(one_NV == 0, 0).mul_(one_NV).sum(-1)


def distill(
    mix: Mix,
    student_NV: torch.Tensor,
    labels_N: torch.Tensor,
    states_ND: torch.Tensor,
    head: Callable[[torch.Tensor], torch.Tensor],
    chunk: int | None = None,
) -> Losses:
    """Return the summed losses of a batch.

    Args:
        student_NV: The student's logits.
        labels_N: The tokens that follow; of those that are ``IGNORED`` nothing is learnt.
        states_ND: What the teacher's head makes its logits of.
        head: Makes logits of some rows of ``states_ND``.
        chunk: Tokens at a time; None: as many as have ``CHUNK_VALUES`` logits.
    """
    rows = student_NV.shape[-1]

    def compare(part: slice, logits_NV: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return divergence(mix, logits_NV, head(states_ND[part])[:, :rows])

    return Losses(*_Distill.apply(student_NV, labels_N, compare, mix, chunk))


def distill_stored(
    mix: Mix,
    student_NV: torch.Tensor,
    labels_N: torch.Tensor,
    ids_NK: torch.Tensor,
    logs_NB: torch.Tensor,
    chunk: int | None = None,
) -> Losses:
    """Return the summed losses of a batch by stored distributions; see :func:`distill` and :func:`stored_divergence`.

    Args:
        ids_NK: In any type of whole numbers.
        logs_NB: In any floating type.
    """

    def compare(part: slice, logits_NV: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return stored_divergence(mix, logits_NV, ids_NK[part].long(), logs_NB[part])

    return Losses(*_Distill.apply(student_NV, labels_N, compare, mix, chunk))


class _Distill(torch.autograd.Function):
    """Computes loss and gradient together, chunk by chunk, and keeps the gradient alone."""

    @staticmethod
    @torch.no_grad()
    def forward(
        ctx: Any,
        student_NV: torch.Tensor,
        labels_N: torch.Tensor,
        compare: Compare,
        mix: Mix,
        chunk: int | None,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        tokens, rows = student_NV.shape
        chunk = chunk or max(1, CHUNK_VALUES // rows)
        gradient_NV = torch.empty_like(student_NV) if ctx.needs_input_grad[0] else None
        sums = torch.zeros(2, device=student_NV.device)
        for first in range(0, tokens, chunk):
            part = slice(first, min(first + chunk, tokens))
            learnt_N = labels_N[part] != IGNORED
            # Ignored labels point nowhere; any place will do, for their rows are made zero.
            targets_N = labels_N[part].masked_fill(~learnt_N, 0)[:, None]
            logits_NV = student_NV[part].float()
            value_N, slope_NV = compare(part, logits_NV)
            log_q_NV = torch.log_softmax(logits_NV, -1)
            entropy_N = -log_q_NV.gather(1, targets_N)[:, 0]
            sums += torch.stack([(entropy_N * learnt_N).sum(), (value_N * learnt_N).sum()])
            if gradient_NV is not None:
                # temperature**2 of the loss, and a gradient by logits divided by it: one is left.
                slope_NV = slope_NV.mul_(mix.alpha * mix.temperature)
                if mix.alpha < 1:
                    hard_NV = log_q_NV.exp_().scatter_add_(1, targets_N, -torch.ones_like(log_q_NV[:, :1]))
                    slope_NV.add_(hard_NV, alpha=1 - mix.alpha)
                gradient_NV[part] = slope_NV.mul_(learnt_N[:, None])
        ctx.gradient_NV = gradient_NV
        ctx.set_materialize_grads(False)
        cross_entropy, apart = sums.unbind()
        loss = mix.alpha * mix.temperature**2 * apart + (1 - mix.alpha) * cross_entropy
        cross_entropy, apart = cross_entropy.clone(), apart.clone()
        ctx.mark_non_differentiable(cross_entropy, apart)
        return loss, cross_entropy, apart

    @staticmethod
    def backward(ctx: Any, by_loss: torch.Tensor, *_: Any) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        # In place, for another copy would be as large as the logits; so there is one backward pass and no second.
        gradient_NV, ctx.gradient_NV = ctx.gradient_NV, None
        return gradient_NV.mul_(by_loss.to(gradient_NV.dtype)), None, None, None, None
