"""Documents of pretraining that are learned again beside a set, so that a model does not forget them.

A model that learns a small set alone moves away from all that it knew before; some of the old data among the new holds
it (experience replay; InstructGPT's PPO-ptx mixes pretraining gradients in for the same reason, arXiv 2203.02155).
"""

import bisect
import itertools
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

from core.token_files import TokenShards

from smallwright_posttrain.encode import IGNORED_LABEL


def documents(tokens: Sequence[Path], wanted: int, limit: int, seed: int) -> Iterator[dict[str, list[int]]]:
    """Yield documents of tokens artifacts as ``input_ids`` and ``labels``, until ``wanted`` tokens are learned.

    They are drawn without repetition, each document of all artifacts as likely as another; of a document longer than
    ``limit`` one part is taken. Each begins with the end of the document before it, as in training.

    Args:
        tokens: Artifacts; those without training documents yield nothing.
        wanted: Tokens to learn from, in all.
        limit: Tokens of a row.

    Raises:
        core.errors.InputError: one is damaged.
    """
    shards = [TokenShards(folder, "train") for folder in tokens]
    ends = [*itertools.accumulate((one.documents for one in shards), initial=0)]
    generator = random.Random(f"replay-{seed}")
    drawn: set[int] = set()
    learned = 0
    while learned < wanted and len(drawn) < ends[-1]:
        index = generator.randrange(ends[-1])
        if index in drawn:
            continue
        drawn.add(index)
        place = bisect.bisect_right(ends, index) - 1
        start, end = shards[place].bounds(index - ends[place])
        start = generator.randrange(start, max(start, end - limit + 1) + 1)
        part = shards[place].read(start, min(end, start + limit - 1)).tolist()
        if part:
            learned += len(part)
            eos = shards[place].meta.eos_token_id
            yield {"input_ids": [eos, *part], "labels": [IGNORED_LABEL, *part]}
