"""``core.plugins``: what is installed and what a name's settings are."""

import json


def test_plugins_lists_what_a_file_offers(call):
    rows = json.loads(call("plugins", "--json").stdout)
    toy = next(row for row in rows if row["name"] == "toy_plugin")
    assert toy["status"] == "ok"
    assert toy["offers"]["architectures"] == ["tiny"]


def test_the_settings_of_a_name_are_shown(call):
    shown = call("plugins", "show", "drop")
    assert shown.returncode == 0, shown.stderr
    assert "drop (steps) of" in shown.stdout
    assert "word required" in shown.stdout or "word = " in shown.stdout
    unknown = call("plugins", "show", "drpo")
    assert unknown.returncode == 2
    assert "Did you mean 'drop'?" in unknown.stderr
