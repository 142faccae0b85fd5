"""What the ranks do between two rounds: measure the windows of the one that has ended, and draw those of the next.

Import after :func:`smallwright_pretrain.cpu.use_device`.
"""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from core.progress import ProgressWriter
from torchtitan.tools.logging import logger

from smallwright_pretrain import round_files
from smallwright_pretrain.config import TorchTitanConfig
from smallwright_pretrain.drawing import LOSS, draw_from, pass_over
from smallwright_pretrain.policies_run import of_rank_0
from smallwright_pretrain.segments import Segment, stages
from smallwright_pretrain.trainer import PackedTrainer
from smallwright_pretrain.window_pass import go_through


def end_round(trainer: PackedTrainer, settings: TorchTitanConfig, output: Path, segment: Segment, seed: int) -> None:
    """Go through the windows of the round that ends with a segment; all ranks do so together.

    What an earlier, killed process measured is not measured again.
    """
    assert settings.rounds is not None
    ended, feed = segment.stages[-1].round, trainer.dataloader.feed
    windows = feed.trained_windows([place for place, stage in enumerate(stages(settings)) if stage.round == ended])
    over = pass_over(round_files.folder(output, segment.last), windows, segment.stages[-1].seq_len)
    missing = of_rank_0(over.missing)
    writes = torch.distributed.get_rank() == 0
    progress, note = ProgressWriter(), f"losses of round {ended}"
    measured = over.windows - sum(last - first for first, last in map(over.bounds, missing))

    def done(count: int) -> None:
        nonlocal measured
        measured += count
        if writes:
            progress(measured, over.windows, "windows", note)

    def measure(first: int, last: int) -> dict[str, np.ndarray]:
        places = zip(windows.source_N[first:last].tolist(), windows.window_N[first:last].tolist(), strict=True)
        read = [partial(trainer.dataloader.window, source, window) for source, window in places]
        losses_N2 = trainer.validator.measure(trainer.model_parts, read)
        return {LOSS: (losses_N2[:, 0] / losses_N2[:, 1]).numpy()}

    go_through(over, measure, missing, writes=writes, done=done)

    def draw() -> dict[str, Any]:
        assert settings.rounds is not None
        return draw_from(over, windows, feed.names, settings.rounds, seed, ended)

    made = of_rank_0(draw)
    logger.info(
        f"round {ended} has ended: {made['drawn']:,} of its {made['windows']:,} windows are drawn for the next one, "
        f"with a mean loss of {made['mean_loss_drawn']:.4f}, of all {made['mean_loss']:.4f}"
    )
