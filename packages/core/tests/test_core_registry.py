"""Registered names: which one is meant, what is refused and in which words, what of a plugin is part of an identity."""

import dataclasses

import pytest
from core.errors import ConfigError, MissingPluginError
from core.registry import LOCAL_VERSION, Entry, PluginRecord, Registry


def entry(name="shout", kind="steps", plugin="one", target="sw_one:Shout", **values):
    values = {"config": None, "distribution": f"sw-{plugin}", "version": "1.0", **values}
    return Entry(kind=kind, name=name, target=target, plugin=plugin, **values)


def registry(*entries):
    made = Registry()
    for one in entries:
        made.add(one)
    return made


def test_a_name_is_of_one_kind():
    found = registry(entry(), entry(kind="sources", target="sw_one:Other"))
    assert found.get("sources", "shout").target == "sw_one:Other"
    assert found.names("steps") == ["shout"]
    with pytest.raises(MissingPluginError, match=r"no installed plugin offers packers 'shout'\. None is installed\."):
        found.get("packers", "shout")


def test_a_name_that_nothing_offers_gets_the_nearest_one_and_what_failed_to_load():
    found = registry(entry("whisper"), entry("shout"))
    found.plugins = [
        PluginRecord(name="bad", distribution="sw-bad", version="1", status="failed", reason="no torch"),
        PluginRecord(name="good", distribution="sw-good", version="2", status="ok"),
    ]
    with pytest.raises(MissingPluginError) as refused:
        found.get("steps", "wisper")
    for words in ("Did you mean 'whisper'?", "Installed: shout, whisper.", "failed to load: sw-bad (no torch)"):
        assert words in str(refused.value)
    assert found.versions() == {"sw-good": "2"}


def test_a_name_of_two_plugins_is_refused_and_both_are_named():
    found = registry(entry(), entry(plugin="two"), entry("whisper", plugin="two"))
    line = (
        "steps 'shout' is registered by two plugins: sw-one 1.0 and sw-two 1.0. "
        "Uninstall one, or set SMALLWRIGHT_DISABLE_PLUGINS=two."
    )
    with pytest.raises(ConfigError) as refused:
        found.get("steps", "shout")
    assert str(refused.value) == line
    assert [message for _, message in found.clashes()] == [line]
    assert found.get("steps", "whisper").origin == "sw-two 1.0"
    assert [one.name for one in found.entries()] == ["shout", "shout", "whisper"]


def test_where_a_local_file_takes_a_name_the_file_is_what_to_change():
    found = registry(entry(), entry(plugin="mine", distribution="mine.py", version=f"{LOCAL_VERSION} 0123"))
    with pytest.raises(ConfigError, match=r"Choose another name in mine\.py, or set SMALLWRIGHT_DISABLE_PLUGINS=one\."):
        found.get("steps", "shout")


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("sw_no_such:Shout", r"steps 'shout' of sw-one 1\.0 cannot be imported \(sw_no_such:Shout\): No module"),
        ("json:Shout", r"steps 'shout' of sw-one 1\.0: no 'Shout' in json"),
    ],
)
def test_a_target_that_cannot_be_imported_says_whose_it_is(target, reason):
    with pytest.raises(MissingPluginError, match=reason):
        entry(target=target).load()


def test_settings_of_a_target_that_takes_none_are_refused():
    assert entry().settings({}, "data.steps.shout") is None
    with pytest.raises(ConfigError, match=r"data\.steps\.shout: shout takes no settings, got loud, twice\."):
        entry().settings({"loud": True, "twice": True}, "data.steps.shout")


def test_a_version_is_no_part_of_an_identity_and_an_artifact_version_is():
    first = entry(version="1.0")
    assert dataclasses.replace(first, version="1.0.1").identity() == first.identity()
    assert dataclasses.replace(first, artifact_version=2).identity() != first.identity()
    assert dataclasses.replace(first, distribution="sw-other").identity() != first.identity()
    assert first.identity()["artifact_version"] == 1


def test_the_content_of_a_local_file_is_part_of_an_identity():
    one, same, other = (entry(version=f"{LOCAL_VERSION} {digest}") for digest in ("0123", "0123", "4567"))
    assert one.identity() == same.identity() != other.identity()
