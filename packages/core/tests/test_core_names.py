"""Names that become a part of a path."""

import pytest
from core import names
from core.compose import compose
from core.errors import ConfigError
from core.graph import build


@pytest.mark.parametrize(
    "name", ["a", "finemath-3plus", "x.v2", "été", "数学", "a b", "a+b", "user@host", "a=1,b=2", "x" * 120]
)
def test_good_names_stay_as_they_are(name):
    assert names.check(name, "data.name") == name


BAD = [
    "", " ", ".", "..", "../x", "a/b", "/a", "a\\b", "a:b", "x[1]", "x*", "x?", "a|b", "<a>", '"a"', "{a}", "~", "~/x",
    ".hidden", " a", "a ", "a\nb", "a\x1b[2Jb", "a\x00b", "a\u202eb", "x" * 121, "é" * 61, "a.partial",
]  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_names_are_refused_with_their_key(name):
    with pytest.raises(ConfigError) as refused:
        names.check(name, "data.name")
    assert str(refused.value).startswith("data.name")
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("name", ["../../x", "a/b", "x[1]"])
@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("data.name", "data.name="),
        ("name", "name="),
        ("label", "a label of data.steps="),
        ("method", "a method of posttrain="),
    ],
)
def test_every_name_that_becomes_a_path_is_checked_while_planning(registry, toy, key, said, name):
    config = compose([*toy, "+posttrain=polish"], registry)
    if key == "data.name":
        config["data"]["name"] = name
    elif key == "name":
        config["name"] = name
    elif key == "label":
        config["data"]["steps"][name] = {"use": "drop"}
    else:
        config["posttrain"][name] = {"name": "polish"}
    with pytest.raises(ConfigError) as refused:
        build(config, registry)
    assert said in str(refused.value)
    assert repr(name) in str(refused.value)


def test_an_empty_store_is_refused(registry, toy):
    with pytest.raises(ConfigError, match="store is empty: give a folder"):
        build(compose([*toy, "store="], registry), registry)


def test_a_made_up_name_is_cut_where_file_systems_end():
    assert names.shorten("gqa-nano") == "gqa-nano"
    assert len(names.shorten("é" * 300).encode()) <= 160
