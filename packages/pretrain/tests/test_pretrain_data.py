"""Token files as batches: content, positions, order, ranks and resume."""

import numpy as np
import pytest
import torch
from core.errors import InputError
from pretrain_support import write_tokens
from smallwright_pretrain.cpu import use_device

use_device("cpu")

from smallwright_pretrain.data import IGNORED, TokenDataLoader, TokenFile, WindowOrder  # noqa: E402


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    return write_tokens(tmp_path_factory.mktemp("tokens"), documents=40, vocab=64)


def loader(tokens, *, ranks=1, rank=0, micro=4, global_batch=4, seed=3):
    config = TokenDataLoader.Config(folder=str(tokens), seed=seed, global_batch_size=global_batch)
    return config.build(dp_world_size=ranks, dp_rank=rank, seq_len=16, local_batch_size=micro)


def rows(loader, batches):
    iterator = iter(loader)
    return torch.cat([next(iterator)[0]["input"] for _ in range(batches)])


def test_labels_are_the_next_tokens_and_positions_restart_at_documents(tokens):
    file = TokenFile(tokens, "train", 16)
    ids = np.fromfile(tokens / "train.bin", dtype="<u2").astype(np.int64)
    offsets = set(np.load(tokens / "train.offsets.npy").tolist())
    for index in range(file.full_windows):
        inputs, positions, labels = file.window(index)
        start = index * 16
        assert np.array_equal(inputs, ids[start : start + 16])
        assert np.array_equal(labels, ids[start + 1 : start + 17])
        for place in range(16):
            restarts = place == 0 or start + place in offsets
            assert positions[place] == (0 if restarts else positions[place - 1] + 1)


def test_the_short_last_window_has_no_labels_past_the_end(tokens):
    file = TokenFile(tokens, "validation", 16)
    labelled = sum(int((file.window(index)[2] != IGNORED).sum()) for index in range(file.windows))
    assert labelled == len(file.tokens) - 1


def test_an_epoch_visits_every_window_once_in_an_order_of_its_own():
    order = WindowOrder(windows=10, seed=1, global_batch_size=4)
    visits = [order(place // 4, place % 4) for place in range(20)]
    assert sorted(visits[:10]) == sorted(visits[10:]) == list(range(10))
    assert visits[:10] != visits[10:]
    other_seed = WindowOrder(windows=10, seed=2, global_batch_size=4)
    assert visits[:10] != [other_seed(place // 4, place % 4) for place in range(10)]


def test_global_batches_do_not_depend_on_ranks_or_accumulation(tokens):
    alone = rows(loader(tokens), 3).view(3, 4, 16)
    accumulated = rows(loader(tokens, micro=1), 12).view(3, 4, 16)
    pair = [rows(loader(tokens, ranks=2, rank=rank, micro=2), 3).view(3, 2, 16) for rank in range(2)]
    assert torch.equal(alone, accumulated)
    assert torch.equal(alone, torch.cat(pair, dim=1))


def test_a_resumed_loader_goes_on_exactly_also_with_other_accumulation(tokens):
    first = loader(tokens)
    iterator = iter(first)
    for _ in range(2):
        next(iterator)
    resumed = loader(tokens, micro=2)
    resumed.load_state_dict(first.state_dict())
    assert torch.equal(rows(resumed, 4), rows(loader(tokens), 4)[8:])


def test_a_truncated_file_is_refused(tokens, tmp_path):
    for file in tokens.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    data = (tmp_path / "train.bin").read_bytes()
    (tmp_path / "train.bin").write_bytes(data[:-2])
    with pytest.raises(InputError, match=r"meta\.json says"):
        TokenFile(tmp_path, "train", 16)


def test_too_short_a_file_names_the_sequence_length(tmp_path):
    folder = write_tokens(tmp_path, documents=1, vocab=64)
    config = TokenDataLoader.Config(folder=str(folder), seed=0, global_batch_size=1)
    with pytest.raises(InputError, match=r"pretrain\.seq_len=4096"):
        config.build(dp_world_size=1, dp_rank=0, seq_len=4096, local_batch_size=1)
