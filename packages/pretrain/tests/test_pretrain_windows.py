"""Windows of a corpus: content, positions, documents, and those inside long documents."""

import numpy as np
import pytest
from core.errors import InputError
from smallwright_pretrain import windows
from smallwright_pretrain.windows import IGNORED, LongWindows, TokenWindows
from smallwright_testing.tokens import write_tokens

LENGTHS = (5, 17, 16, 50, 3, 40, 33, 1, 49)
DOCUMENTS = [[*(np.arange(length - 1) + 1 + 60 * place).tolist(), 0] for place, length in enumerate(LENGTHS)]
STREAM = np.concatenate(DOCUMENTS)
STARTS = np.cumsum([0, *LENGTHS])[:-1]


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    """Several small files, so that windows lie over their borders."""
    return write_tokens(tmp_path_factory.mktemp("tokens"), DOCUMENTS, DOCUMENTS[:3], tokens_a_file=60)


def test_labels_are_the_next_tokens_and_positions_restart_at_documents(tokens):
    plain = TokenWindows(tokens, "train", 16)
    assert plain.full_windows == (len(STREAM) - 1) // 16
    for index in range(plain.full_windows):
        inputs, positions, labels = plain.window(index)
        start = index * 16
        assert np.array_equal(inputs, STREAM[start : start + 16])
        assert np.array_equal(labels, STREAM[start + 1 : start + 17])
        for place in range(16):
            restarts = place == 0 or start + place in STARTS
            assert positions[place] == (0 if restarts else positions[place - 1] + 1)


def test_the_short_last_window_has_no_labels_past_the_end(tokens):
    held_out = TokenWindows(tokens, "validation", 16)
    labelled = sum(int((held_out.window(index)[2] != IGNORED).sum()) for index in range(held_out.windows))
    assert labelled == sum(LENGTHS[:3]) - 1


@pytest.mark.parametrize("block", [1, 2, 1024])
def test_long_windows_lie_inside_one_document_and_are_all_there(tokens, block, monkeypatch):
    monkeypatch.setattr(windows, "BLOCK", block)
    long = LongWindows(tokens, "train", 16)
    expected = [
        (start + part * 16) for start, length in zip(STARTS, LENGTHS, strict=True) for part in range((length - 1) // 16)
    ]
    assert long.full_windows == long.windows == len(expected) == 11
    for index, start in enumerate(expected):
        inputs, positions, labels = long.window(index)
        assert np.array_equal(inputs, STREAM[start : start + 16])
        assert np.array_equal(labels, STREAM[start + 1 : start + 17])
        assert positions.tolist() == list(range(16))
        assert 0 not in inputs, "no document ends before the window does"


def test_a_corpus_without_a_long_document_has_no_long_windows(tokens):
    assert LongWindows(tokens, "train", 64).full_windows == 0


def test_a_truncated_file_is_refused(tmp_path):
    write_tokens(tmp_path, DOCUMENTS)
    path = tmp_path / "train-00000.bin"
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(InputError, match=r"index\.json says 214 tokens"):
        TokenWindows(tmp_path, "train", 16)
