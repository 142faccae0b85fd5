"""The epoch account: counted, declared and realised, unknown, and refused."""

import numpy as np
import pytest
from core.errors import ConfigError, UserError
from smallwright_pretrain.account import planned
from smallwright_pretrain.config import TorchTitanConfig
from smallwright_pretrain.data import StageRows
from smallwright_pretrain.segments import stages
from smallwright_pretrain.sources import Sources
from smallwright_pretrain.stage import TorchTitanPretrain
from smallwright_pretrain.stage_config import StageConfig
from smallwright_testing.tokens import write_tokens


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    """1,601 tokens of web and 321 of books, which are 100 and 20 windows of 16; 10 of the latter in a long document."""
    folder = tmp_path_factory.mktemp("tokens")
    write_tokens(folder / "web", [[*[5] * 20, 0]] * 76 + [[*[5] * 4, 0]])
    write_tokens(folder / "books", [[*[6] * 160, 0], *[[*[6] * 15, 0]] * 10])
    return {name: folder / name for name in ("web", "books")}


def stage(name, sequences, mixture, seq_len=16):
    return StageRows(name=name, mixture=mixture, seq_len=seq_len, sequences=sequences)


BOTH = {"web": 0.75, "books": 0.25}


def test_epochs_add_up_over_stages_and_views_and_equal_what_is_drawn(tokens):
    rows = [
        stage("stable", 40, BOTH),
        stage("decay", 24, {"web": 0.5, "books": {"share": 0.5, "view": "long"}}),
        stage("long", 8, {"books": 1}, seq_len=32),
    ]
    read = planned(tokens, rows)
    feed = Sources(tokens, rows).feed(seed=5)
    drawn = [feed.locate(number, np.arange(row.sequences)).source_N for number, row in enumerate(rows)]
    counts = np.stack([np.bincount(source_N, minlength=3) for source_N in drawn])
    assert feed.names == ("web", "books", "books (long)")
    assert counts.tolist() == [[30, 10, 0], [12, 0, 12], [0, 8, 0]]
    assert read["corpora"] == {
        "web": {"tokens": 42 * 16, "size": 1601, "epochs": pytest.approx(0.42)},
        "books": {"tokens": (10 + 12) * 16 + 8 * 32, "size": 321, "epochs": pytest.approx(10 / 20 + 12 / 10 + 8 / 10)},
    }
    assert read["stages"][1] == {
        "name": "decay",
        "seq_len": 16,
        "tokens": 24 * 16,
        "sources": {
            "web": {"declared": 0.5, "realised": 0.5, "tokens": 192},
            "books (long)": {"declared": 0.5, "realised": 0.5, "tokens": 192},
        },
    }
    assert (read["unknown"], read["notes"]) == ([], [])


def test_a_round_that_is_not_drawn_yet_is_counted_in_the_shares_of_the_one_before(tokens):
    row = [stage("round-1", 40, BOTH), StageRows(name="round-2", mixture=BOTH, seq_len=16, sequences=20, round=2)]
    read = planned(tokens, row)
    two = read["stages"][1]
    assert two["drawn"]
    assert two["sources"]["web"] == {"declared": None, "realised": None, "tokens": 15 * 16}
    assert read["corpora"]["web"]["epochs"] == pytest.approx((30 + 15) / 100)


def test_without_a_mixture_every_corpus_is_read_as_often_as_the_others(tokens):
    read = planned(tokens, [stage("all", 240, None)])
    assert {name: row["epochs"] for name, row in read["corpora"].items()} == {"web": 2.0, "books": 2.0}
    assert [row["declared"] for row in read["stages"][0]["sources"].values()] == [None, None]


def test_skipped_sequences_are_not_counted(tokens):
    read = planned(tokens, [stage("all", 40, BOTH)], skipped=[(0, 20)])
    assert sum(row["tokens"] for row in read["corpora"].values()) == 640
    assert read["corpora"]["web"]["epochs"] == 0.3


def test_before_the_tokens_are_made_shares_are_known_and_epochs_are_not(tokens):
    read = planned({"web": tokens["web"], "books": None}, [stage("all", 40, BOTH)], max_epochs=0.1)
    assert (read["unknown"], read["corpora"]) == (["books"], {})
    assert read["stages"][0]["sources"]["books"] == {"declared": 0.25, "realised": None, "tokens": 160}


def test_text_that_is_repeated_often_or_never_is_named(tokens):
    read = planned(tokens, [stage("all", 100, {"books": 1})])
    assert read["notes"] == [
        "web is in no mixture: nothing of it is read.",
        "books is read 5.00 times (1,600 tokens out of 321): above 4 epochs repeated text is worth less and less "
        "(Muennighoff et al. 2023).",
    ]
    assert not planned(tokens, [stage("all", 80, {"books": 1, "web": 0})])["notes"], "4 epochs are not above 4"


def test_more_epochs_than_allowed_are_refused(tokens):
    rows = [stage("one", 40, BOTH), stage("two", 40, BOTH)]
    assert planned(tokens, rows, max_epochs=1)["corpora"]["books"]["epochs"] == 1.0
    with pytest.raises(
        UserError,
        match=r"^pretrain\.max_epochs=0\.9: books would be read 1\.00 times \(320 tokens out of 321\)\. Take fewer",
    ):
        planned(tokens, rows, max_epochs=0.9)


def test_a_corpus_that_may_not_wrap_is_read_once_at_most(tokens):
    once = {"web": 0.75, "books": {"share": 0.25, "wrap": False}}
    assert planned(tokens, [stage("all", 80, once)])["corpora"]["books"]["epochs"] == 1.0
    with pytest.raises(UserError, match=r"^wrap=false of books: books would be read 1\.05 times"):
        planned(tokens, [stage("all", 84, once)], max_epochs=3)


def test_the_trainer_counts_the_stages_of_its_settings(tokens):
    settings = {
        "seq_len": 16,
        "global_batch_size": 4,
        "stages": {"a": {"tokens": 640, "mixture": BOTH}, "b": {"tokens": 640}},
    }
    from core import typed

    config = typed.build(TorchTitanConfig, settings, "pretrain")
    assert [row.sequences for row in stages(config)] == [40, 40]
    read = TorchTitanPretrain(config).reads(tokens)
    assert read["corpora"]["books"]["epochs"] == 1.0
    with pytest.raises(ConfigError, match=r"^pretrain\.stages\.a\.mixture: this run has no corpus books\. It has web;"):
        TorchTitanPretrain(config).reads({"web": None})


SMOLLM2_1_7B = {
    "stable_1": (6, {"web": {"share": 0.9, "of": {"fineweb_edu": 0.6, "dclm": 0.4}}, "starcoder": 0.1}),
    "stable_2": (2, {"web": {"share": 0.75, "of": {"fineweb_edu": 0.6, "dclm": 0.4}}, "starcoder": 0.2, "owm": 0.05}),
    "stable_3": (2, {"web": {"share": 0.74, "of": {"fineweb_edu": 0.4, "dclm": 0.6}}, "stack_edu": 0.16, "owm": 0.1}),
    "decay": (1, {"web": {"share": 0.58, "of": {"fineweb_edu": 0.4, "dclm": 0.6}}, "stack_edu": 0.24, "maths": 0.18}),
}
SIZES = {"fineweb_edu": 1.3e12, "dclm": 3.8e12, "starcoder": 2.5e11, "stack_edu": 1.25e11, "owm": 1.2e10}


def test_before_there_are_tokens_the_sizes_that_are_said_are_counted_with():
    """The published account of SmolLM2-1.7B; its maths are of a size that is not said here."""
    config = TorchTitanConfig(
        seq_len=2048,
        global_batch_size=1024,
        stages={name: StageConfig(tokens=size * 10**12, mixture=mix) for name, (size, mix) in SMOLLM2_1_7B.items()},
        corpus_tokens={name: int(size) for name, size in SIZES.items()},
    )
    read = TorchTitanPretrain(config).reads(dict.fromkeys([*SIZES, "maths"]))
    assert read["unknown"] == ["maths"]
    tokens = {name: row["tokens"] / 1e12 for name, row in read["corpora"].items()}
    wanted = {"fineweb_edu": 4.964, "dclm": 3.996, "starcoder": 1.0, "stack_edu": 0.56, "owm": 0.3}
    assert tokens == pytest.approx(wanted, rel=1e-4)
    epochs = {name: row["epochs"] for name, row in read["corpora"].items()}
    wanted = {"fineweb_edu": 3.82, "dclm": 1.05, "starcoder": 4.0, "stack_edu": 4.48, "owm": 25}
    assert epochs == pytest.approx(wanted, rel=2e-3)
    assert [note.split()[0] for note in read["notes"]] == ["owm", "stack_edu"]
