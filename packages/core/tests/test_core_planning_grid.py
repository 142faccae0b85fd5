"""Shapes of one budget and the command lines that train them; as functions and as commands."""

import dataclasses

import pytest
from core.errors import ConfigError
from core.interfaces import Architecture
from core.planning import grid


@dataclasses.dataclass(frozen=True, kw_only=True)
class BlockConfig:
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    vocab_size: int
    tie_word_embeddings: bool = True


class Block(Architecture):
    """Parameters of a plain decoder without norms, tied; its faces are not asked for."""

    def parameters(self):
        c = self.config
        layer = 4 * c.hidden_size**2 + 3 * c.hidden_size * c.intermediate_size
        return c.vocab_size * c.hidden_size + c.num_hidden_layers * layer

    executed_parameters = parameters

    def attention_width(self):
        return self.config.num_hidden_layers * self.config.hidden_size

    hf_config = hf_model_class = titan_config = state_dict_adapter = vllm_architecture = None


def block(dimensions):
    return Block(BlockConfig(**dimensions))


def space(**values):
    return grid.Space(**{"budget": 1e9, "vocab": 48000} | values)


def test_every_shape_is_within_the_tolerance_and_the_ranges():
    shapes = grid.fitting(space(), block)
    assert len(shapes) > 100
    assert len({(shape["num_hidden_layers"], shape["hidden_size"]) for shape in shapes}) == len(shapes)
    for shape in shapes:
        assert abs(block(shape).parameters() - 1e9) <= 0.02e9
        assert 9 <= shape["num_hidden_layers"] <= 40
        assert 1280 <= shape["hidden_size"] <= 2560
        assert 1 <= shape["intermediate_size"] / shape["hidden_size"] <= 4
        assert shape["hidden_size"] % 128 == shape["intermediate_size"] % 64 == 0
        assert shape["num_attention_heads"] * 128 == shape["hidden_size"]


def test_no_shape_that_fits_is_missed():
    narrow = {"depth": (10, 12), "width": (1280, 1536), "expansion": (1, 4)}
    found = {(s["num_hidden_layers"], s["hidden_size"]) for s in grid.fitting(space(budget=4e8, **narrow), block)}
    every = set()
    for depth in range(10, 13):
        for width in (1280, 1408, 1536):
            for ffn in range(width, 4 * width + 1, 64):
                if ffn % 64 == 0:
                    shape = space().dimensions(depth, width, ffn)
                    if abs(block(shape).parameters() - 4e8) <= 0.02 * 4e8:
                        every.add((depth, width))
    assert found == every != set()


def test_multiples_and_grouped_heads_are_settings():
    shapes = grid.fitting(space(head_dim=64, heads_per_kv=4, width_multiple=64, ffn_multiple=256), block)
    for shape in shapes:
        assert shape["hidden_size"] % 256 == 0, "whole groups of four heads of 64"
        assert shape["intermediate_size"] % 256 == 0
        assert shape["num_attention_heads"] == 4 * shape["num_key_value_heads"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"budget": 1e6}, r"--budget 1e\+06: no shape comes within 2 % of it; these ranges have .* to "),
        ({"expansion": (1.01, 1.02), "width": (1280, 1280)}, "no shape is in these ranges"),
    ],
)
def test_a_budget_out_of_reach_says_what_the_ranges_have(values, message):
    with pytest.raises(ConfigError, match=message):
        grid.fitting(space(**values), block)


def test_the_draw_depends_on_the_seed_alone():
    family = grid.Family(name="block", target=Block, config_class=BlockConfig, settings={}, overrides=("a=1",))
    draw = {"samples": 5, "seq_len": 16}
    one, again, other = (grid.sample(space(), family, seed=seed, **draw) for seed in (0, 0, 1))
    assert one == again != other
    assert len(one["rows"]) == 5
    row = one["rows"][0]
    assert row["embedding_share"] == 48000 * row["width"] / row["parameters"]
    assert row["overrides"][:2] == ["+arch=block", "a=1"]
    assert f"arch.hidden_size={row['width']}" in row["overrides"]
    many = grid.sample(space(), family, samples=10_000, seed=0, seq_len=16)
    assert len(many["rows"]) == many["possible"]


def test_a_sequence_of_no_tokens_is_refused():
    with pytest.raises(ConfigError, match="--seq-len 0: must be at least 1"):
        grid.sample(space(), None, samples=1, seed=0, seq_len=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--grid"], "--grid: needs --budget"),
        (["--grid", "--budget", "1e9"], "--grid: needs --vocab"),
        (["--budget", "1e9"], "--budget: is for --grid; add --grid"),
        (["--grid", "--budget", "-1", "--vocab", "9"], "--budget -1: must be above 0"),
        (["--grid", "--budget", "1e9", "--vocab", "9", "--depth", "9:40"], "--depth 9:40: give a range, such as 9-40"),
        (["--grid", "--budget", "1e9", "--vocab", "9", "--depth", "40-9"], "the smaller one first"),
        (["--grid", "--budget", "1e9", "--vocab", "9", "--head-dim", "3000"], "has whole heads of --head-dim 3000"),
        (["--grid", "--budget", "1e9", "--vocab", "9", "--arch", "tinny"], "arch 'tinny'"),
        (
            ["--grid", "--budget", "1e9", "--vocab", "9", "arch.hidden_size=64"],
            "arch.hidden_size=64: --grid sets arch.hidden_size by --width",
        ),
        (
            ["--grid", "--budget", "1e9", "--vocab", "9", "--arch", "tiny", "+arch.initializer.name=any"],
            "--arch tiny: starts from a source model, whose shape bounds its own, so it is not drawn. Draw tiny shapes",
        ),
        (["--grid", "--budget", "1e9", "--vocab", "9", "--mfu", "0.4"], "--mfu: is of a run, not of --grid."),
        (["--results", "nowhere.csv"], "--results nowhere.csv: cannot be read"),
    ],
)
def test_wrong_options_are_one_line(call, arguments, message):
    done = call("plan", *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert message in done.stderr
