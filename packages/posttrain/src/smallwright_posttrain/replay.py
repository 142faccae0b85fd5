"""Documents of pretraining that are learned again beside a set, so that a model does not forget them.

A model that learns a small set alone moves away from all that it knew before; some of the old data among the new holds
it (experience replay; InstructGPT's PPO-ptx mixes pretraining gradients in for the same reason, arXiv 2203.02155).
"""

import random
from collections.abc import Iterator
from pathlib import Path

from core.interfaces import TokensMeta

from smallwright_posttrain.encode import IGNORED_LABEL


def documents(tokens: Path, wanted: int, limit: int, seed: int) -> Iterator[dict[str, list[int]]]:
    """Yield documents of a tokens artifact as ``input_ids`` and ``labels``, until ``wanted`` tokens are learned.

    They are drawn without repetition; of a document longer than ``limit`` one part is taken. Each begins with the end
    of the document before it, as in training.

    Args:
        tokens: A tokens artifact; one without training documents yields nothing.
        wanted: Tokens to learn from, in all.
        limit: Tokens of a row.
    """
    import numpy as np

    meta = TokensMeta.load(tokens)
    offsets = np.load(tokens / "train.offsets.npy", mmap_mode="r", allow_pickle=False)
    count = len(offsets) - 1
    if count < 1 or meta.train_tokens < 1:
        return
    ids = np.memmap(tokens / "train.bin", dtype=np.dtype(meta.dtype).newbyteorder("<"), mode="r")
    generator = random.Random(f"replay-{seed}")
    drawn: set[int] = set()
    learned = 0
    while learned < wanted and len(drawn) < count:
        index = generator.randrange(count)
        if index in drawn:
            continue
        drawn.add(index)
        start, end = int(offsets[index]), int(offsets[index + 1])
        start = generator.randrange(start, max(start, end - limit + 1) + 1)
        part = ids[start : min(end, start + limit - 1)].tolist()
        if part:
            learned += len(part)
            yield {"input_ids": [meta.eos_token_id, *part], "labels": [IGNORED_LABEL, *part]}
