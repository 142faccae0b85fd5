"""Typed configuration: what is refused, and in which words."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import pytest
from core import settings_help, typed
from core.errors import ConfigError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inner:
    depth: int = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    SIZES = {"nano": {"hidden_size": 64}, "large": {"hidden_size": 2048, "rate": 0.1}}
    hidden_size: int
    size: str | None = None
    rate: float = 1.0
    mode: Literal["fast", "exact"] = "fast"
    names: tuple[str, ...] = ()
    extra: Mapping[str, Any] | None = None
    inner: Inner = Inner()
    workers: int = typed.setting(1, identity=False)

    def __post_init__(self):
        if self.hidden_size % 2:
            raise ValueError(f"hidden_size={self.hidden_size}: must be even")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"hiden_size": 4}, ["x.hiden_size", "unknown key", "Did you mean 'hidden_size'?"]),
        ({}, ["x.hidden_size: not set"]),
        ({"hidden_size": "big"}, ["x.hidden_size='big'", "expected int, got str"]),
        ({"hidden_size": True}, ["x.hidden_size=true", "expected int"]),
        ({"hidden_size": 4, "mode": "exakt"}, ["x.mode=exakt", "fast, exact", "Did you mean 'exact'?"]),
        ({"hidden_size": 4, "names": "one"}, ["x.names='one'", "expected list [str, ...], got str. Write [one]."]),
        ({"hidden_size": 4, "extra": "all"}, ["expected mapping {key: value} | null, got str. Write {key: all}."]),
        ({"hidden_size": 4, "inner": {"dept": 2}}, ["x.inner.dept", "Did you mean 'depth'?"]),
        ({"hidden_size": 3}, ["x.hidden_size=3: must be even"]),
        ({"size": "nan"}, ["x.size=nan: unknown size", "nano, large"]),
        ({"hidden_size": 4, "inner": {"depth": None}}, ["x.inner.depth=null", "expected int"]),
    ],
)
def test_a_wrong_setting_is_named_with_its_value(values, words):
    with pytest.raises(ConfigError) as error:
        typed.build(Settings, values, "x")
    for word in words:
        assert word in str(error.value)


def test_a_size_gives_what_is_not_given():
    built = typed.build(Settings, {"size": "large", "hidden_size": None, "rate": 0.5}, "x")
    assert (built.hidden_size, built.rate) == (2048, 0.5)


def test_values_are_converted_to_the_declared_types():
    built = typed.build(Settings, {"hidden_size": 4.0, "rate": 2, "names": ["a", "b"], "inner": {"depth": 3}}, "x")
    assert built == Settings(hidden_size=4, rate=2.0, names=("a", "b"), inner=Inner(depth=3))
    assert isinstance(built.rate, float)


def test_a_mistake_in_a_plugins_settings_is_one_line_that_names_them():
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Wrong:
        steps: int = 1

        def __post_init__(self):
            self.steps["x"]

    class NoDataclass:
        pass

    for cls, said in ((Wrong, "Wrong fails with TypeError"), (NoDataclass, "NoDataclass fails with TypeError")):
        with pytest.raises(ConfigError, match=rf"^x: .*{said}: .*\. Mend or upgrade its plugin\.$"):
            typed.build(cls, {}, "x")


def test_identity_leaves_out_what_does_not_change_the_result():
    one, two = (typed.identity(typed.build(Settings, {"hidden_size": 4, "workers": n}, "x")) for n in (1, 8))
    assert one == two
    assert "workers" not in one
    assert one["hidden_size"] == 4


def test_a_refusal_and_the_help_write_a_type_the_same_way():
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Typed:
        groups: Mapping[str, str | int] | None = None
        mode: Literal["fast", "exact"] | None = None
        weights: tuple[float, ...] = ()

    shown = {row["key"]: row["type"] for row in settings_help.settings(Typed)}
    assert shown == {
        "groups": "mapping {key: str | int} | null",
        "mode": "fast | exact | null",
        "weights": "list [float, ...]",
    }
    for key, written in shown.items():
        with pytest.raises(ConfigError) as error:
            typed.build(Typed, {key: 5}, "x")
        words = f"x.{key}=5: must be one of fast, exact, null." if key == "mode" else f"x.{key}=5: expected {written}"
        assert words in str(error.value)
