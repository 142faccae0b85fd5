"""Rounds of a training: their steps, what is refused while planning, and what a plan counts."""

import itertools
import random

import pytest
from core.errors import ConfigError, InputError
from core.typed import build
from pretrain_support import Tiny, TinyConfig
from smallwright_pretrain import drawing, plan, round_files
from smallwright_pretrain.branch import same_until
from smallwright_pretrain.config import TorchTitanConfig
from smallwright_pretrain.rounds_config import RoundsConfig
from smallwright_pretrain.segments import segments, stages, tokens_at

TWO = {"global_batch_size": 4, "seq_len": 16, "rounds": {"count": 2}}


def made(**values) -> TorchTitanConfig:
    return build(TorchTitanConfig, {**TWO, **values}, "pretrain")


def test_the_published_numbers_are_the_defaults():
    assert RoundsConfig() == RoundsConfig(count=2, rate=0.5, temperature=1.0)


def test_each_round_is_the_rate_of_the_one_before_and_all_are_the_run():
    generator = random.Random(0)
    for _ in range(500):
        rounds = RoundsConfig(count=generator.randint(2, 4), rate=generator.choice([0.1, 0.25, 1 / 3, 0.5, 1.0]))
        first = generator.randint(1, 10_000)
        split = rounds.split(rounds.whole(first))
        assert (split[0], sum(split), min(split) >= 1) == (first, rounds.whole(first), True)
        for one, other in itertools.pairwise(split):
            assert abs(other - rounds.rate * one) <= 2, (rounds, split)


def test_steps_are_of_all_rounds_and_settings_that_were_filled_stay():
    assert [(stage.name, stage.first, stage.last, stage.round) for stage in stages(made())] == [
        ("round-1", 1, 260, 1), ("round-2", 261, 390, 2),
    ]  # fmt: skip
    config = made(steps=12, stages={"one": {"tokens": 6 * 64}, "two": {"tokens": 2 * 64, "mixture": {"a": 1}}})
    assert [(stage.name, stage.last, stage.mixture) for stage in stages(config)] == [
        ("one", 6, None), ("two", 8, {"a": 1}), ("round-2", 12, {"a": 1}),
    ]  # fmt: skip
    assert [segment.settings(config).steps for segment in segments(config)] == [12, 12]
    assert [round_files.ends_round(config, segment) for segment in segments(config)] == [1, None]
    assert config.tokens == tokens_at(config, 12) == 12 * 64


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"steps": 1}, r"pretrain\.steps=1: too few for 2 rounds of the stages\. Use 2 or more"),
        ({"rounds": {"count": 1}}, r"pretrain\.rounds\.count=1: must be at least 2"),
        ({"rounds": {"rate": 0}}, r"pretrain\.rounds\.rate=0"),
        ({"rounds": {"rate": 1.5}}, r"pretrain\.rounds\.rate=1\.5"),
        ({"rounds": {"temperature": 0}}, r"pretrain\.rounds\.temperature=0"),
        ({"stages": {"round-2": {"tokens": 640}}}, r"pretrain\.stages\.round-2: is the name of a round"),
        (
            {"stages": {"a": {"tokens": 640}, "b": {"tokens": 640, "seq_len": 32}}},
            r"pretrain\.rounds: draw windows of one length, and the stages have seq_len 16, 32",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_a_line_that_names_the_key(values, message):
    with pytest.raises(ConfigError, match=message):
        made(**values)


def test_a_plan_counts_the_losses_between_rounds_and_says_so():
    architecture, config = Tiny(TinyConfig()), made(steps=9)
    found = plan.plan(config, architecture)
    forward = architecture.flops_per_token(16) / 3
    assert found["extra_flops_per_token"] == pytest.approx(forward * 6 / 9)
    [note] = found["notes"]
    assert note.startswith("2 rounds of 6, 3 steps: between two the loss of every window is measured, and 50% of them")
    assert "extra_flops_per_token" not in plan.plan(made(rounds=None), architecture)


def test_a_run_goes_on_from_one_of_the_same_rounds_and_draws_only():
    constant = {"schedule": "constant", "warmup_steps": 2}
    two, one = made(steps=12, **constant), made(steps=12, rounds=None, **constant)
    assert same_until(two, one) == 8
    assert same_until(two, made(steps=12, rounds={"rate": 0.5, "temperature": 2.0}, **constant)) == 8
    assert same_until(two, made(steps=12, **constant)) == 12


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"drawn": 3}', '{"drawn": "3", "sources": []}', "\x00"])
def test_what_was_drawn_and_cannot_be_read_is_drawn_again_or_named_with_the_way_out(tmp_path, damage):
    config = made(steps=9, rounds={})
    first, second = segments(config)
    file = round_files.folder(tmp_path, first.last) / round_files.DRAWN
    assert round_files.owed(config, tmp_path, first)
    with pytest.raises(InputError, match=r"drawn\.json: missing\. Remove .* set pretrain\.rewind_to=6"):
        round_files.check_drawn(config, tmp_path, second)
    file.parent.mkdir(parents=True)
    file.write_text('{"drawn": 3, "sources": ["web"]}')
    assert not round_files.owed(config, tmp_path, first)
    assert not round_files.owed(config, tmp_path, second)
    file.write_text(damage)
    assert round_files.owed(config, tmp_path, first)
    with pytest.raises(InputError, match=r"drawn\.json: damaged .* set pretrain\.rewind_to=6"):
        drawing.read(file)
