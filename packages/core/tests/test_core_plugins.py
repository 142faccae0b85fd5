"""``core.plugins``: what is installed and what a name's settings are."""

import json


def test_plugins_lists_what_a_file_offers(call):
    rows = json.loads(call("plugins", "--json").stdout)
    toy = next(row for row in rows if row["name"] == "toy_plugin")
    assert toy["status"] == "ok"
    assert toy["offers"]["architectures"] == ["tiny"]


def test_a_plugin_that_only_observes_says_what(call, workdir):
    (workdir / "watch.py").write_text(
        "from core.hooks import hookimpl\nPLUGIN_API_VERSION = 1\n\n\n@hookimpl\ndef run_finished(run): ...\n"
    )
    rows = json.loads(call("plugins", "--json", "--plugin", "watch.py").stdout)
    watch = next(row for row in rows if row["name"] == "watch")
    assert (watch["kind"], watch["observes"], watch["offers"]) == ("observers", ["run_finished"], {})
    toy = next(row for row in rows if row["name"] == "toy_plugin")
    assert toy["observes"] == ["run_finished", "run_started", "stage_finished"]
    assert "observes: run_finished\n" in call("plugins", "--plugin", "watch.py").stdout


def test_the_settings_of_a_name_are_shown(call):
    shown = call("plugins", "show", "drop")
    assert shown.returncode == 0, shown.stderr
    assert "drop (steps) of" in shown.stdout
    assert "word required" in shown.stdout or "word = " in shown.stdout
    unknown = call("plugins", "show", "drpo")
    assert unknown.returncode == 2
    assert "Did you mean 'drop'?" in unknown.stderr


def test_an_option_is_shown_with_its_file_and_what_it_chooses(call, workdir):
    (workdir / "hydra_conf/eval/long.yaml").write_text("# All of it.\nname: judge\nsteps: 9\n")
    for name in ("long", "eval=long"):
        shown = call("plugins", "show", name)
        assert shown.returncode == 0, shown.stderr
        assert shown.stdout.startswith("long (option of eval: eval=long) of hydra_conf\n\n# All of it.\nname: judge")
        assert "All its settings: python -m core.plugins show judge" in shown.stdout
    assert "Did you mean 'long'?" in call("plugins", "show", "lnog").stderr
