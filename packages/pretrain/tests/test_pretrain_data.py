"""Batches out of the feed: ranks, stages, sources, skipped ranges and exact resume."""

import numpy as np
import pytest
import torch
from core.errors import ConfigError, InputError
from smallwright_pretrain.cpu import use_device
from smallwright_testing.tokens import write_tokens

use_device("cpu")

from smallwright_pretrain import data  # noqa: E402
from smallwright_pretrain.data import SOURCES, StageRows, TokenDataLoader  # noqa: E402

CORPORA = {"web": 1, "code": 2, "books": 3}
"""The id that all documents of a corpus consist of."""


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokens")
    random = np.random.default_rng(0)
    for name, number in CORPORA.items():
        documents = [
            [*(100 * number + random.integers(0, 100, length)).tolist(), 0] for length in (30, 70, 200, 15, 90)
        ]
        write_tokens(folder / name, documents * (4 // number + 1))
    return {name: str(folder / name) for name in CORPORA}


MIXTURE = {"web": 0.5, "code": 0.25, "books": 0.25}


def stages(*rows):
    return [StageRows(name=f"part{number}", seq_len=16, **row) for number, row in enumerate(rows, start=1)]


def loader(tokens, *, ranks=1, rank=0, micro=4, rows=({"mixture": MIXTURE, "sequences": 4000},), skipped=(), seed=3):
    config = TokenDataLoader.Config(
        tokens=tokens, stages=stages(*rows), seed=seed, global_batch_size=4, skipped=[list(pair) for pair in skipped]
    )
    return config.build(dp_world_size=ranks, dp_rank=rank, seq_len=16, local_batch_size=micro)


def rows(loader, batches):
    iterator = iter(loader)
    return torch.cat([next(iterator)[0]["input"] for _ in range(batches)])


def test_each_row_says_which_source_it_is_of(tokens):
    whole = loader(tokens)
    iterator = iter(whole)
    numbers = []
    for _ in range(20):
        inputs, labels = next(iterator)
        assert inputs["input"].shape == inputs["positions"].shape == labels.shape == (4, 16)
        hundreds = inputs["input"].max(dim=1).values // 100
        assert [CORPORA[whole.sources[number]] for number in inputs[SOURCES]] == hundreds.tolist()
        numbers += inputs[SOURCES].tolist()
    assert np.bincount(numbers).tolist() == [40, 20, 20]


def test_global_batches_do_not_depend_on_ranks_accumulation_or_how_far_is_looked_ahead(tokens, monkeypatch):
    alone = rows(loader(tokens), 12).view(12, 4, 16)
    accumulated = rows(loader(tokens, micro=1), 48).view(12, 4, 16)
    pair = [rows(loader(tokens, ranks=2, rank=rank, micro=2), 12).view(12, 2, 16) for rank in range(2)]
    uneven = [rows(loader(tokens, ranks=2, rank=rank, micro=1), 24).view(12, 2, 1, 16) for rank in range(2)]
    assert torch.equal(alone, accumulated)
    assert torch.equal(alone, torch.cat(pair, dim=1))
    assert torch.equal(alone, torch.cat(uneven, dim=2).view(12, 4, 16))
    monkeypatch.setattr(data, "LOOK_AHEAD", 8)
    assert torch.equal(alone, rows(loader(tokens), 12).view(12, 4, 16))


TWO = (
    {"mixture": MIXTURE, "sequences": 20},
    {"mixture": {"web": {"share": 0.5, "view": "long"}, "code": 0.5}, "sequences": 40},
)


def test_a_resumed_loader_goes_on_exactly_at_every_batch_also_with_other_ranks_and_rows(tokens):
    whole = rows(loader(tokens, rows=TWO, skipped=[(6, 11), (30, 40)]), 15).view(15, 4, 16)
    first = loader(tokens, rows=TWO, skipped=[(6, 11), (30, 40)])
    iterator = iter(first)
    for done in range(1, 12):
        next(iterator)
        state = first.state_dict()
        resumed = loader(tokens, rows=TWO, skipped=[(6, 11), (30, 40)], ranks=2, rank=1, micro=1)
        resumed.load_state_dict(state)
        assert torch.equal(rows(resumed, 4).view(2, 2, 16), whole[done : done + 2, 1::2]), done


def test_the_next_stage_begins_when_the_sequences_of_one_have_been_read(tokens):
    whole = loader(tokens, rows=TWO)
    iterator = iter(whole)
    seen = [next(iterator)[0] for _ in range(15)]
    assert whole.sources == ("web", "code", "books", "web (long)")
    drawn = [
        np.bincount(torch.cat([inputs[SOURCES] for inputs in part]), minlength=4).tolist()
        for part in (seen[:5], seen[5:])
    ]
    assert drawn == [[10, 5, 5, 0], [0, 20, 0, 20]]
    long = torch.cat([inputs["input"][inputs[SOURCES] == 3] for inputs in seen])
    assert 0 not in long
    assert whole.state_dict() == {"stage": 1, "position": 40, "skipped": "[]"}


def test_a_range_can_be_left_out_while_training_and_is_part_of_the_state(tokens):
    plain = rows(loader(tokens), 10).view(40, 16)
    jumping = loader(tokens)
    before = rows(jumping, 2).view(8, 16)
    jumping.skip(4, 20)
    after = rows(jumping, 2).view(8, 16)
    assert torch.equal(torch.cat([before, after]), torch.cat([plain[:8], plain[20:28]]))
    state = jumping.state_dict()
    assert state == {"stage": 0, "position": 28, "skipped": "[[8, 20]]"}, "what was read was not left out"
    resumed = loader(tokens)
    resumed.load_state_dict(state)
    assert torch.equal(rows(resumed, 3).view(12, 16), plain[28:40])


def test_a_range_that_a_resumed_run_is_told_of_counts_from_there_on(tokens):
    plain = rows(loader(tokens), 10).view(40, 16)
    first = loader(tokens)
    rows(first, 2)
    resumed = loader(tokens, skipped=[(0, 12), (16, 20)])
    resumed.load_state_dict(first.state_dict())
    assert torch.equal(rows(resumed, 2).view(8, 16), torch.cat([plain[12:16], plain[20:24]]))


def test_a_mixture_of_what_the_run_has_not_is_refused(tokens):
    with pytest.raises(
        ConfigError, match=r"^pretrain\.mixture: this run has no corpus wiki\. It has web, code, books;"
    ):
        loader(tokens, rows=({"mixture": {"wiki": 1}, "sequences": 4},))
    with pytest.raises(ConfigError, match=r"^pretrain\.stages\.part2\.mixture: this run has no corpus wiki"):
        loader(tokens, rows=(TWO[0], {"mixture": {"wiki": 1}, "sequences": 4}))


def test_too_short_a_corpus_names_the_sequence_length(tokens, tmp_path):
    short = {"corpus": str(write_tokens(tmp_path, [[1, 2, 0]]))}
    with pytest.raises(InputError, match=r"pretrain\.seq_len=16: a sequence takes 17 tokens, and no corpus"):
        loader(short, rows=({"sequences": 4},))
