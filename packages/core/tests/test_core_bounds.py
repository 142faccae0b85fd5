"""Bounds of settings: what is refused, in which words, and that every installed setting refuses NaN and infinities."""

import dataclasses
import math
import typing
from collections.abc import Mapping
from typing import Any, Literal

import pytest
from core import discovery, settings_help, typed
from core.errors import ConfigError
from core.typed import setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Base:
    rate: float = setting(1.0, gt=0, le=1)
    share: float | None = setting(None, ge=0, lt=1)
    steps: int = setting(3, ge=1)
    codes: tuple[int, ...] = setting((200,), ge=100, le=599, min_length=1)
    weights: Mapping[str, float] = setting(default_factory=dict, ge=0)
    free: Any = None
    lists: tuple[float, ...] | None = None
    name: str = setting("x", min_length=1)
    layers: Literal["first", "last"] | tuple[int, ...] = "first"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Changed(Base):
    steps: int = 5


NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"rate": 0}, "x.rate=0: must be above 0 and at most 1."),
        ({"rate": NAN}, "x.rate=nan: must be a finite number."),
        ({"rate": -INF}, "x.rate=-inf: must be a finite number."),
        ({"share": 1}, "x.share=1: must be at least 0 and below 1, or null."),
        ({"share": NAN}, "x.share=nan: must be a finite number."),
        ({"steps": 0}, "x.steps=0: must be at least 1."),
        ({"steps": INF}, "x.steps=inf: must be a finite number."),
        ({"steps": 10**23}, f"x.steps={10**23}: must be a whole number of 64 bits, at most 9223372036854775807."),
        ({"steps": 1e23}, f"x.steps={int(1e23)}: must be a whole number of 64 bits, at most 9223372036854775807."),
        ({"codes": [200, 99]}, "x.codes[1]=99: must be from 100 to 599."),
        ({"codes": []}, "x.codes=[]: must not be empty."),
        ({"weights": {"a": 1, "b": -1}}, "x.weights.b=-1: must be at least 0."),
        ({"weights": {"a": NAN}}, "x.weights.a=nan: must be a finite number."),
        ({"free": {"a": [1, {"b": INF}]}}, "x.free.a[1].b=inf: must be a finite number."),
        ({"lists": [1, NAN]}, "x.lists[1]=nan: must be a finite number."),
        ({"lists": [1, "two"]}, "x.lists[1]='two': expected float, got str."),
        ({"name": ""}, "x.name='': must not be empty."),
        ({"layers": "fist"}, "x.layers=fist: must be one of first, last. Did you mean 'first'?"),
        ({"name": 5}, "x.name=5: expected str, got int. In quotes it is text: 'x.name=\"5\"'."),
    ],
)
def test_a_number_out_of_bounds_is_named_with_them(values, said):
    for cls in (Base, Changed):
        with pytest.raises(ConfigError) as error:
            typed.build(cls, values, "x")
        assert str(error.value) == said


def test_what_is_at_the_bounds_is_taken():
    built = typed.build(Base, {"rate": 1, "share": 0, "steps": 1, "codes": [100, 599], "weights": {"a": 0}}, "x")
    assert (built.rate, built.share, built.steps, built.codes) == (1.0, 0.0, 1, (100, 599))
    assert typed.build(Base, {"share": None}, "x").share is None


def test_what_several_fields_must_be_together_is_told_with_the_key():
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Range:
        low: int = 1
        high: int = 2

        def __post_init__(self):
            if self.low > self.high:
                raise ConfigError(f"low={self.low}: above high={self.high}.")
            if self.low == self.high:
                raise ConfigError("these are the same")

    for values, said in (({"low": 3}, "x.low=3: above high=2."), ({"low": 2}, "x: these are the same")):
        with pytest.raises(ConfigError) as error:
            typed.build(Range, values, "x")
        assert str(error.value) == said


def test_the_help_shows_the_bounds():
    shown = {row["key"]: row["bounds"] for row in settings_help.settings(Changed)}
    assert shown["rate"] == "above 0 and at most 1"
    assert shown["steps"] == "at least 1"
    assert shown["codes"] == "from 100 to 599, not empty"
    assert shown["free"] == ""


def test_no_setting_of_any_installed_part_takes_nan_or_infinity():
    """Each part once, in one test: hundreds of settings."""
    seen = 0
    for entry in discovery.load([]).entries():
        config_class = entry.load_config()
        if config_class is None:
            continue
        hints = typing.get_type_hints(config_class)
        for field in dataclasses.fields(config_class):
            options = set(typing.get_args(hints[field.name])) | {hints[field.name]}
            for number in (NAN, INF) if options & {int, float} else ():
                with pytest.raises(ConfigError) as error:
                    entry.settings({field.name: number}, "x")
                assert str(error.value) == f"x.{field.name}={number}: must be a finite number."
                seen += 1
    assert seen == 0 or seen > 200  # core alone has none
