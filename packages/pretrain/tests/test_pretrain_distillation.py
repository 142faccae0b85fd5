"""The losses of distillation: published values, gradients, and that chunks change neither."""

import pytest
import torch
from smallwright_pretrain.distill_config import Mix
from smallwright_pretrain.distillation import distill, distill_stored
from smallwright_pretrain.windows import IGNORED
from torch.nn import functional

TEACHER = torch.tensor([[4.0, 3, 1, 0, -1]])
STUDENT = torch.tensor([[3.0, 3.5, 0, 0.5, -1]])
KINDS = ("forward_kl", "reverse_kl", "jsd")


def losses(mix, student=STUDENT, teacher=TEACHER, labels=None, **more):
    labels = torch.zeros(len(student), dtype=torch.long) if labels is None else labels
    return distill(mix, student, labels, teacher, lambda states: states, **more)


@pytest.mark.parametrize(
    ("kind", "temperature", "expected"),
    [
        ("forward_kl", 1, 0.25650),
        ("forward_kl", 2, 0.26558),
        ("forward_kl", 4, 0.25542),
        ("reverse_kl", 1, 0.27142),
        ("reverse_kl", 2, 4 * 0.06701),
        ("jsd", 1, 0.06443),
    ],
)
def test_losses_are_those_computed_by_hand(kind, temperature, expected):
    found = losses(Mix(loss=kind, temperature=temperature))
    assert found.loss.item() == pytest.approx(expected, abs=3e-5)
    assert found.divergence.item() == pytest.approx(expected / temperature**2, abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_student_that_is_its_teacher_has_no_loss_and_no_gradient(kind):
    student = TEACHER.clone().requires_grad_()
    found = losses(Mix(loss=kind, temperature=2), student)
    found.loss.backward()
    assert found.loss.item() == pytest.approx(0, abs=1e-6)
    assert student.grad.abs().max() < 1e-6


def test_the_gradient_of_forward_kl_is_q_minus_p_by_the_temperature():
    student = STUDENT.clone().requires_grad_()
    losses(Mix(temperature=4), student).loss.backward()
    p, q = (torch.softmax(logits / 4, -1) for logits in (TEACHER, STUDENT))
    torch.testing.assert_close(student.grad / 4**2, (q - p) / 4)


def plain(mix, student, teacher, labels):
    """The same loss, written out and left to autograd."""
    keep = labels != IGNORED
    log_q = torch.log_softmax(student / mix.temperature, -1)
    log_p = torch.log_softmax(teacher / mix.temperature, -1)
    log_p = functional.pad(log_p, (0, student.shape[1] - teacher.shape[1]), value=-1e4)
    beta = mix.beta or 0.5
    log_m = torch.log(beta * log_p.exp() + (1 - beta) * log_q.exp())

    def kl(one, other):
        return (one.exp() * (one - other)).sum(-1)

    value = {
        "forward_kl": lambda: kl(log_p, log_q),
        "reverse_kl": lambda: kl(log_q, log_p),
        "jsd": lambda: beta * kl(log_p, log_m) + (1 - beta) * kl(log_q, log_m),
    }[mix.loss]()
    entropy = functional.cross_entropy(student, labels, reduction="sum", ignore_index=IGNORED)
    return mix.alpha * mix.temperature**2 * (value * keep).sum() + (1 - mix.alpha) * entropy, entropy


@pytest.mark.parametrize("chunk", [None, 1, 5])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("alpha", [1.0, 0.3])
@pytest.mark.parametrize("rows", [(11, 11), (11, 9), (11, 13)], ids=["equal", "student padded", "teacher padded"])
def test_chunks_give_the_value_and_the_gradient_of_the_whole(chunk, kind, alpha, rows):
    if kind == "reverse_kl" and rows[0] > rows[1]:
        pytest.skip("planning refuses it: the teacher's probability is 0 where the student's is not")
    torch.manual_seed(0)
    mix = Mix(loss=kind, alpha=alpha, temperature=2.0, beta=0.3 if kind == "jsd" else None)
    student, teacher = (torch.randn(12, count) * 2 for count in rows)
    labels = torch.randint(0, 9, (12,))
    labels[[0, 7]] = IGNORED
    ours, theirs = (student.clone().requires_grad_() for _ in range(2))
    found = losses(mix, ours, teacher, labels, chunk=chunk)
    expected, entropy = plain(mix, theirs, teacher[:, : rows[0]], labels)
    (found.loss / 10).backward()
    (expected / 10).backward()
    torch.testing.assert_close(found.loss, expected.detach())
    torch.testing.assert_close(found.cross_entropy, entropy.detach())
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_the_teachers_logits_are_never_whole():
    seen = []

    def head(states):
        seen.append(len(states))
        return states

    distill(Mix(), torch.zeros(10, 4), torch.zeros(10, dtype=torch.long), torch.zeros(10, 4), head, chunk=4)
    assert seen == [4, 4, 2]


def test_logits_of_half_precision_get_a_gradient_of_theirs():
    student = STUDENT.bfloat16().requires_grad_()
    losses(Mix(), student).loss.backward()
    assert student.grad.dtype == torch.bfloat16


def stored(teacher, k, temperature=1.0, dtype=torch.float32):
    """The k largest log-probabilities of a teacher, their ids, and the logarithm of the rest."""
    logs = torch.log_softmax(teacher / temperature, -1)
    ids = logs.topk(k).indices
    rest = logs.scatter(1, ids, float("-inf")).logsumexp(-1, keepdim=True)
    return ids.to(torch.int32), torch.cat([logs.gather(1, ids), rest], -1).to(dtype)


def a_batch(rows=(11, 11)):
    torch.manual_seed(0)
    student, teacher = (torch.randn(12, count) * 2 for count in rows)
    labels = torch.randint(0, min(rows), (12,))
    labels[[0, 7]] = IGNORED
    return student, teacher, labels


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rows", [(11, 11), (13, 11)], ids=["equal", "student padded"])
def test_all_ids_stored_are_the_live_teacher_within_the_rounding_of_float16(kind, rows):
    if kind == "reverse_kl" and rows[0] > rows[1]:
        pytest.skip("planning refuses it")
    student, teacher, labels = a_batch(rows)
    mix = Mix(loss=kind, alpha=0.6, temperature=2.0)
    live, kept = (student.clone().requires_grad_() for _ in range(2))
    expected = losses(mix, live, teacher, labels)
    found = distill_stored(mix, kept, labels, *stored(teacher, 11, 2.0, torch.float16))
    for one in (expected, found):
        one.loss.backward()
    assert found.loss.item() == pytest.approx(expected.loss.item(), rel=1e-3)
    torch.testing.assert_close(kept.grad, live.grad, atol=2e-3, rtol=0)
    exact = distill_stored(mix, student.clone().requires_grad_(), labels, *stored(teacher, 11, 2.0))
    torch.testing.assert_close(exact.loss, expected.loss, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("chunk", [None, 5])
def test_a_stored_teacher_is_compared_bucket_by_bucket(kind, chunk):
    student, teacher, labels = a_batch((13, 11))
    mix = Mix(loss=kind, alpha=0.6, temperature=2.0)
    ids, logs = stored(teacher, 3, 2.0)
    ours, theirs = (student.clone().requires_grad_() for _ in range(2))
    found = distill_stored(mix, ours, labels, ids, logs, chunk)
    # The same in another way: buckets as logits of four classes each, left to autograd.
    log_q = torch.log_softmax(theirs / 2, -1)
    inside = torch.zeros_like(log_q, dtype=torch.bool).scatter(1, ids.long(), True)
    rest = log_q.exp().masked_fill(inside, 0).sum(-1, keepdim=True).log()
    buckets = torch.cat([log_q.gather(1, ids.long()), rest], -1)
    value, _ = plain(Mix(loss=kind), buckets, logs, torch.where(labels == IGNORED, IGNORED, 0))
    entropy = functional.cross_entropy(theirs, labels, reduction="sum", ignore_index=IGNORED)
    expected = 0.6 * 4 * value + 0.4 * entropy
    for one in (found.loss, expected):
        one.backward()
    torch.testing.assert_close(found.loss, expected.detach())
    torch.testing.assert_close(found.divergence, value.detach())
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_what_is_not_stored_makes_the_divergence_smaller_and_never_larger():
    student, teacher, labels = a_batch()
    found = [distill_stored(Mix(), student, labels, *stored(teacher, k)).divergence.item() for k in (1, 3, 6, 11)]
    assert found == sorted(found)
    assert found[-1] == pytest.approx(losses(Mix(), student, teacher, labels).divergence.item(), rel=1e-5)
