"""What an architecture must hold in training: true gradients, separate documents, ranks that change nothing.

Shape suffixes: B batch, L sequence, V vocabulary.
"""

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import pytest
from core.interfaces import Job

from smallwright_testing.engines import Loaded, adapter_of, environment, titan_logits
from smallwright_testing.training import FOUND, GIVEN, JOB, mean_loss, train

SLOPE = 1e-3
"""Largest share by which a slope may differ from its finite difference: TorchTitan's RoPE rounds to float32."""
SLOPE_FLOOR = 1e-4
"""Slopes that differ by less are the same: that rounding is 4e-5 for tensors of two small numbers."""
GRADIENT = 1e-4
"""Largest difference of gradients between engines or numbers of ranks, as a share of the tensor's largest."""
NO_GRADIENT = 1e-3
"""A tensor whose gradient is below this share of the largest one's is compared with that share."""
RANKS = 1e-4
"""Largest share by which a loss may differ between one rank and two, which add in another order."""
STEPS = (1e-4, 1e-5)
"""Lengths of a finite difference, as shares of the tensor's norm. The second is for a slope that the first does not
find: where a token changes its experts on the way the loss jumps, and a shorter way crosses fewer such places."""


class Learning:
    """Tests of :class:`smallwright_testing.ArchitectureConformance` about training."""

    plugin_files: ClassVar[tuple[str, ...]]
    seq_len: ClassVar[int]
    steps: ClassVar[int] = 20
    """Optimizer steps in which the loss must fall."""
    learning_rate: ClassVar[float] = 3e-3

    def test_packed_documents_do_not_see_each_other(self, loaded: Loaded) -> None:
        import torch

        vocab_size = loaded.architecture.hf_config().vocab_size
        cut = self.seq_len // 3
        ids_BL = loaded.ids_BL[:1]
        changed_BL = ids_BL.clone()
        changed_BL[:, :cut] = (changed_BL[:, :cut] + 1) % vocab_size
        places = [torch.arange(length) for length in (cut, self.seq_len - cut)]
        positions_BL = torch.cat(places)[None]
        with torch.no_grad():
            packed = titan_logits(loaded.titan, ids_BL, positions_BL)
            other = titan_logits(loaded.titan, changed_BL, positions_BL)
            alone = titan_logits(loaded.titan, ids_BL[:, cut:])
        assert torch.equal(packed[:, cut:], other[:, cut:])
        assert not torch.equal(packed[:, :cut], other[:, :cut])
        assert (packed[:, cut:] - alone).abs().max() < 1e-4, "positions start again with each document"

    def test_no_token_sees_a_later_one(self, loaded: Loaded) -> None:
        import torch

        vocab_size = loaded.architecture.hf_config().vocab_size
        changed_BL = loaded.ids_BL.clone()
        changed_BL[:, -1] = (changed_BL[:, -1] + 1) % vocab_size
        with torch.no_grad():
            for run in (lambda ids_BL: titan_logits(loaded.titan, ids_BL), lambda ids_BL: loaded.hf(ids_BL).logits):
                before, after = run(loaded.ids_BL), run(changed_BL)
                assert torch.equal(before[:, :-1], after[:, :-1])
                assert not torch.equal(before[:, -1], after[:, -1])

    def test_gradients_are_those_of_finite_differences(self, loaded: Loaded) -> None:
        import torch

        model = copy.deepcopy(loaded.titan).double()
        mean_loss(model, loaded.ids_BL).backward()
        generator = torch.Generator().manual_seed(2)
        wrong = {}
        for name, parameter in model.named_parameters():
            random = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            # Along the gradient too: a direction that the loss hardly depends on would measure rounding.
            direction = random / random.norm() + parameter.grad / parameter.grad.norm().clamp(min=1e-12)
            slope = float((parameter.grad * direction).sum())
            measured = []
            for share in STEPS:
                measured.append(_slope(model, parameter, direction, loaded.ids_BL, share))
                if slope == pytest.approx(measured[-1], rel=SLOPE, abs=SLOPE_FLOOR):
                    break
            else:
                wrong[name] = {"gradient": slope, "finite differences": measured}
        assert not wrong

    def test_every_weight_gets_the_same_gradient_in_titan_and_transformers(self, loaded: Loaded) -> None:
        titan, hf = copy.deepcopy(loaded.titan), copy.deepcopy(loaded.hf)
        mean_loss(titan, loaded.ids_BL).backward()
        hf(input_ids=loaded.ids_BL, labels=loaded.ids_BL).loss.backward()
        gradients = {name: parameter.grad for name, parameter in titan.named_parameters(remove_duplicate=False)}
        assert not [name for name, gradient in gradients.items() if gradient is None or not bool(gradient.any())]
        expected = adapter_of(loaded.architecture, self.seq_len).to_hf(gradients)
        assert not _apart({name: parameter.grad for name, parameter in hf.named_parameters()}, expected)

    def test_the_loss_falls_on_a_tiny_corpus(self, loaded: Loaded) -> None:
        losses = train(copy.deepcopy(loaded.titan), loaded.ids_BL, self.steps, self.learning_rate)
        assert losses[-1] < 0.7 * losses[0], losses

    @pytest.mark.slow
    def test_two_ranks_train_as_one(self, loaded: Loaded, tmp_path: Path) -> None:
        import torch

        steps = 4
        alone = copy.deepcopy(loaded.titan)
        mean_loss(alone, loaded.ids_BL).backward()
        expected = {name: parameter.grad for name, parameter in alone.named_parameters()}
        alone.zero_grad()
        losses = train(alone, loaded.ids_BL, steps, self.learning_rate)

        given = {"state": loaded.titan.state_dict(), "ids_BL": loaded.ids_BL}
        torch.save({**given, "steps": steps, "learning_rate": self.learning_rate}, tmp_path / GIVEN)
        job = Job(
            name="conformance",
            output=tmp_path,
            inputs={},
            seed=0,
            architecture=loaded.architecture,
            plugin_files=self.plugin_files,
        )
        job.write(tmp_path / JOB)
        _run_ranks(tmp_path, self.plugin_files)

        sharded = torch.load(tmp_path / FOUND, weights_only=True)
        assert sharded["losses"] == pytest.approx(losses, rel=RANKS)
        assert sharded["gradients"].keys() == expected.keys()
        assert not _apart(sharded["gradients"], expected)


def _apart(gradients: dict[str, Any], expected: dict[str, Any]) -> dict[str, float]:
    """Return the names of tensors whose gradients differ, with the difference as a share of the largest."""
    largest = {name: float(expected[name].abs().max()) for name in gradients}
    least = NO_GRADIENT * max(largest.values())
    shares = {
        name: float((gradient - expected[name]).abs().max()) / max(largest[name], least)
        for name, gradient in gradients.items()
    }
    return {name: share for name, share in shares.items() if not share < GRADIENT}


def _slope(model: Any, parameter: Any, direction: Any, ids_BL: Any, share: float) -> float:
    """Return the loss's slope along ``direction`` of one tensor by central differences of ``share`` of its norm."""
    import torch

    step = share * float(parameter.detach().norm() / direction.norm())
    losses = []
    with torch.no_grad():
        for factor in (1, -2):
            parameter.add_(factor * step * direction)
            losses.append(float(mean_loss(model, ids_BL)))
        parameter.add_(step * direction)
    return (losses[0] - losses[1]) / (2 * step)


def _run_ranks(folder: Path, plugin_files: tuple[str, ...]) -> None:
    command: list[Any] = [sys.executable, "-m", "smallwright_testing.rank", folder]
    ended = subprocess.run(command, env=environment(plugin_files), capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr[-3000:]
