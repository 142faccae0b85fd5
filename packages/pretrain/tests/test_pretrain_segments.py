"""Stages fitted to steps, and what the ranks run on without a new start."""

import dataclasses
import random

import pytest
from core.errors import ConfigError
from core.typed import build, identity
from smallwright_pretrain.config import TorchTitanConfig
from smallwright_pretrain.segments import notes, segments, stages, tokens_at, validates

SMOLLM2_1_7B = {
    "seq_len": 2048,
    "global_batch_size": 1024,
    "stages": {name: {"tokens": size * 10**12} for name, size in (("1", 6), ("2", 2), ("3", 2), ("4", 1))},
}


def made(**values) -> TorchTitanConfig:
    return build(TorchTitanConfig, values, "pretrain")


def test_stages_end_at_whole_batches_and_that_is_said():
    config = made(**SMOLLM2_1_7B)
    assert [stage.last for stage in stages(config)] == [2_861_023, 3_814_697, 4_768_372, 5_245_209]
    assert config.steps == 5_245_209
    assert all(abs(stage.tokens - stage.wanted) <= 2_097_152 for stage in stages(config))
    [note] = notes(config)
    assert note.startswith("stages end at whole batches; tokens more or fewer than set: 1 +106,496, 2 ")


def test_steps_scale_all_stages_alike_and_that_is_said():
    config = made(**SMOLLM2_1_7B, steps=5_240_000)
    assert [stage.last for stage in stages(config)] == [2_858_182, 3_810_909, 4_763_636, 5_240_000]
    [note] = notes(config)
    assert note == (
        "pretrain.steps=5240000: the stages have tokens for 5,245,209 steps; all their ends are scaled by 0.999007."
    )


def test_a_stage_takes_from_the_one_before_what_it_does_not_say():
    config = made(
        seq_len=64,
        global_batch_size=8,
        mixture={"a": 1},
        validation_interval=5,
        stages={
            "one": {"tokens": 64 * 8 * 4},
            "two": {"tokens": 128 * 4 * 3, "seq_len": 128, "global_batch_size": 4, "mixture": {"b": 1}},
            "three": {"tokens": 128 * 4 * 2, "rope_theta": 5e4, "validation_interval": 1},
        },
    )
    one, two, three = stages(config)
    assert (one.seq_len, one.global_batch_size, one.mixture, one.rope_theta) == (64, 8, {"a": 1}, None)
    assert (two.seq_len, two.global_batch_size, two.mixture, two.validation_interval) == (128, 4, {"b": 1}, 5)
    assert (three.seq_len, three.mixture, three.rope_theta) == (128, {"b": 1}, 5e4)
    assert (one.first, one.last, two.first, two.last, three.first, three.last) == (1, 4, 5, 7, 8, 9)
    assert config.steps == 9
    assert config.tokens == tokens_at(config, 9) == 64 * 8 * 4 + 128 * 4 * 5
    assert tokens_at(config, 5) == 64 * 8 * 4 + 128 * 4
    assert notes(config) == []
    assert [step for step in range(1, 10) if validates(stages(config), step)] == [4, 5, 7, 8, 9]


def test_the_identity_is_the_same_whether_a_value_was_given_or_taken():
    said = made(seq_len=32, stages={"a": {"tokens": 4096}, "b": {"tokens": 4096}})
    given = made(
        seq_len=32,
        steps=64,
        stages={"a": {"tokens": 4096, "seq_len": 32}, "b": {"tokens": 4096, "seq_len": 32, "global_batch_size": 4}},
    )
    assert identity(said) == identity(given)
    again = build(TorchTitanConfig, dataclasses.asdict(said), "pretrain")
    assert again == said
    looked_at = made(seq_len=32, stages={"a": {"tokens": 4096, "validation_interval": 7}, "b": {"tokens": 4096}})
    assert identity(looked_at) == identity(said)


def test_stages_that_differ_in_their_mixture_are_one_segment():
    config = made(
        seq_len=32,
        stages={
            "web": {"tokens": 1280, "mixture": {"web": 1}},
            "code": {"tokens": 1280, "mixture": {"code": 1}},
            "long": {"tokens": 1280, "seq_len": 64, "global_batch_size": 2, "rope_theta": 1e5},
        },
    )
    first, second = segments(config)
    assert ([stage.name for stage in first.stages], first.first, first.last) == (["web", "code"], 1, 20)
    assert (second.first, second.last, second.rope_theta) == (21, 30, 1e5)
    settings = second.settings(config)
    assert (settings.seq_len, settings.global_batch_size, settings.steps) == (64, 2, 30)
    assert stages(settings) == stages(config)
    assert len(segments(made(steps=5))) == 1


def test_stages_of_any_lengths_cover_all_steps_once():
    draw = random.Random(5)
    for _ in range(200):
        count = draw.randint(1, 6)
        given = {
            f"s{number}": {
                "tokens": draw.randint(1, 10 ** draw.randint(1, 13)),
                "seq_len": 2 ** draw.randint(4, 13),
                "global_batch_size": draw.randint(1, 1024),
            }
            for number in range(count)
        }
        steps = draw.choice([None, draw.randint(count, 10**7)])
        config = made(stages=given, **({} if steps is None else {"steps": steps}))
        row = stages(config)
        assert [stage.first for stage in row] == [1, *(stage.last + 1 for stage in row[:-1])]
        assert row[-1].last == config.steps == (steps or config.steps)
        assert all(stage.steps >= 1 for stage in row)
        assert sum(stage.tokens for stage in row) == config.tokens
        lengths = [stage.wanted / stage.batch_tokens for stage in row]
        if min(lengths) * config.steps / sum(lengths) > 1:
            ideal = [sum(lengths[: n + 1]) * config.steps / sum(lengths) for n in range(count)]
            assert all(abs(stage.last - end) <= 0.5 + 1e-6 * end for stage, end in zip(row, ideal, strict=True))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"stages": {}}, r"pretrain\.stages={}: must not be empty, or null"),
        ({"stages": {"a": {}}}, r"pretrain\.stages\.a\.tokens: not set"),
        ({"stages": {"a": {"tokens": 0}}}, r"pretrain\.stages\.a\.tokens=0: must be at least 1"),
        ({"stages": {"a": {"tokens": 9, "seqlen": 4}}}, r"stages\.a\.seqlen: unknown key\. Did you mean 'seq_len'\?"),
        ({"stages": {"a": {"tokens": 9e9}, "b": {"tokens": 9}}, "steps": 1}, r"pretrain\.steps=1: fewer than the 2"),
        (
            {"stages": {"a": {"tokens": 9}, "b": {"tokens": 9, "global_batch_size": 3}}, "nproc": 4},
            r"pretrain\.stages\.b\.global_batch_size=3: fewer sequences than ranks that share them",
        ),
        (
            {"stages": {"a": {"tokens": 9, "seq_len": 30}}, "nproc": 2, "context_parallel": 2},
            r"pretrain\.stages\.a\.seq_len=30: .* cut sequences into 4 pieces\. Use 32",
        ),
        ({"stages": {"a": {"tokens": 9, "rope_theta": -1}}}, r"stages\.a\.rope_theta=-1: must be above 0, or null"),
        (
            {"schedule": "cosine", "decay_ratio": 0.2},
            r"decay_ratio=0\.2: is of schedule=wsd, .*cosine\. Set decay_ratio=null",
        ),
        ({"schedule": "linear", "decay_type": "sqrt"}, r"decay_type=sqrt: is of schedule=wsd, and schedule=linear"),
        ({"schedule": "constant", "min_lr_factor": 0.1}, r"min_lr_factor=0\.1: schedule=constant ends at the peak"),
        ({"branch_optimizer": False}, r"branch_optimizer=false: no branch_from beside it"),
    ],
)
def test_wrong_stages_and_schedules_name_the_key_and_the_fix(values, message):
    with pytest.raises(ConfigError, match=message):
        made(**values)


def test_a_stage_that_is_null_is_left_out():
    config = made(stages={"a": None, "b": {"tokens": 2048}})
    assert [stage.name for stage in stages(config)] == ["b"]
    assert identity(config) == identity(made(stages={"b": {"tokens": 2048}}))
    with pytest.raises(ConfigError, match=r"pretrain\.stages: all of them are null"):
        made(stages={"a": None})
