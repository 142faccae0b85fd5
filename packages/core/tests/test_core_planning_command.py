"""What a plan says of data and of hardware, and what it refuses before any work; with the toy plugin."""

import json

import pytest
from core import discovery, plan, run
from core.checks import check_local, check_modules
from core.data.recipe import RecipeConfig, plan_steps
from core.errors import ConfigError, InputError, MissingPluginError


def planned(command, *arguments):
    done = command("plan", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_plan_lists_the_steps_in_order_with_what_was_changed(command):
    (row,) = planned(command, "+data=toy", "data.steps.drop.word=other", "data.steps.drop.die_once=''")["data"]
    assert row["recipe"] == "toy"
    assert [step["label"] for step in row["steps"]] == ["read_lines", "drop", "keep_first"]
    assert row["steps"][1] == {"label": "drop", "use": "drop", "changed": {"word": "other"}}
    assert row["source"] == {"name": "lines", "changed": {}}
    assert (row["files"], row["bytes"], row["shards"]) == (None, None, None), "the source has not made them yet"
    assert row["executor"] == {"name": "local", "settings": {"workers": -1}}


def test_input_files_are_counted(command, workdir):
    for name in ("a.txt", "b.txt"):
        (workdir / name).write_text("x" * 50)
    arguments = ["+data=toy", "data.paths=[a.txt,b.txt]", "executor.workers=2"]
    (row,) = planned(command, *arguments)["data"]
    assert (row["files"], row["bytes"], row["shards"]) == (2, 100, 2)
    assert row["executor"]["settings"] == {"workers": 2}
    shown = command("plan", *arguments).stdout
    assert "data: recipe toy\n  input     2 files, 100 bytes\n  shards    2," in shown
    assert "   2 drop" in shown


def test_several_recipes_are_told_apart(command):
    rows = planned(command, "+data=[toy,other]", "data.other.source.lines=5")["data"]
    assert [row["stage"] for row in rows] == ["data-toy", "data-other"]
    assert rows[1]["source"] == {"name": "lines", "changed": {"files": 2, "lines": 5}}


def test_a_trainer_that_says_little_is_planned_all_the_same(command, toy):
    result = planned(command, *toy, "--device", "h100", "--devices", "8")
    assert result["embedding_share"] == 1.0, "the toy has nothing but an embedding"
    assert result["kv_cache"] is None
    assert result["learning_rate"] is None
    (row,) = result["hardware"]
    assert (row["device"], row["devices"], row["fits"]) == ("h100", 8, True)
    assert row["tokens_per_second"] == pytest.approx(8 * 989e12 * 0.4 / result["flops_per_token"])
    shown = command("plan", *toy, "--device", "all", "--mfu", "0.5", "--price", "2.5").stdout
    assert "Assumed: 50% of the peak (--mfu), linear scaling, these prices (--price)" in shown
    assert "compute-optimal" in shown
    assert "do not give 20" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--device", "h1000"], "--device h1000: unknown. Did you mean 'h100'?"),
        (["--mfu", "40"], "--mfu 40: a share of the peak, from above 0 to 1."),
        (["--price", "-1"], "--price -1: US dollars an hour, 0 or more."),
        (["--devices", "eight"], "--devices eight: give a number, or several as 8,64,256."),
        (["--devices", "0"], "--devices 0: must be at least 1."),
        (["--scale-lr", "1e-3", "0"], "--scale-lr 0.001 0: both must be above 0."),
        (["--scale-lr", "1e-3", "nan"], "--scale-lr 0.001 nan: both must be above 0."),
        (["--scale-lr-exponent", "nan"], "--scale-lr-exponent nan: must be a finite number."),
        (["--price", "0"], "--price: needs --device."),
        (["--devices", "8"], "--devices: needs --device."),
        (["--mfu", "0.4"], "--mfu: needs --device."),
        (["--scale-lr-exponent", "1"], "--scale-lr-exponent: needs --scale-lr."),
    ],
)
def test_wrong_options_are_one_line(command, toy, arguments, message):
    done = command("plan", *toy, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {message}")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(("module", "option"), [(plan, ["--json"]), (run, ["--config"])])
def test_options_may_stand_among_settings_and_only_unknown_ones_are_refused(module, option, workdir, toy, capsys):
    plugin = ["--plugin", "toy_plugin.py"]
    told = []
    for arguments in ([*option, *plugin, *toy], [toy[0], *option, toy[1], *plugin, *toy[2:]]):
        assert module.main(arguments) == 0
        told.append(capsys.readouterr().out)
    assert told[0] == told[1]
    with pytest.raises(SystemExit):
        module.main([toy[0], *plugin, "--foo", *toy[1:]])
    assert capsys.readouterr().err.endswith("error: unrecognized arguments: --foo\n")


def test_help_shows_every_kind_of_use(command):
    shown = command("plan", "--help").stdout
    for word in ("--device", "--scale-lr RATE TOKENS", "--grid", "--results FILE", "python -m core.plan --grid"):
        assert word in shown


def test_a_setting_that_a_step_has_from_the_scorer_is_named_where_it_was_written(workdir):
    registry = discovery.load(["toy_plugin.py"])
    for own, name in (({}, "data.maths.scorer.wrod"), ({"wrod": "x"}, "data.maths.steps.label.wrod")):
        scorer = {"use": "drop", "word": "x", **({} if own else {"wrod": "x"})}
        wrong = RecipeConfig(steps={"label": {"like": scorer, **own}}, scorer=scorer)
        with pytest.raises(ConfigError) as refused:
            plan_steps(wrong, registry, "data.maths")
        assert str(refused.value).startswith(f"{name}: unknown key. Did you mean 'word'?")


def test_a_step_can_refuse_while_planning(workdir):
    registry = discovery.load(["toy_plugin.py"])
    asked = []

    class Checked(type(plan_steps(recipe("drop"), registry)[0].config)):
        def check(self, registry, where):
            asked.append(where)
            raise InputError(f"{where}.word: nothing has it.")

    import toy_plugin

    toy_plugin.DropConfig, plain = Checked, toy_plugin.DropConfig
    try:
        with pytest.raises(InputError, match=r"data\.maths\.steps\.drop\.word: nothing has it"):
            plan_steps(recipe("drop"), registry, "data.maths")
    finally:
        toy_plugin.DropConfig = plain
    assert asked == ["data.maths.steps.drop"]


def recipe(*steps):
    return RecipeConfig(steps={step: {} for step in steps})


def test_a_path_that_is_none_is_refused_and_a_hub_id_is_not_looked_for(tmp_path):
    (tmp_path / "model").mkdir()
    for name in ("owner/model", "model", str(tmp_path / "model"), "hf://datasets/owner/name/x"):
        check_local(name, "arch.source")
    for name in (str(tmp_path / "other"), "./model", "../model", "a/b/c"):
        with pytest.raises(InputError, match=f"arch.source={name}: no such file or folder"):
            check_local(name, "arch.source")
    with pytest.raises(InputError, match="Write the home folder out"):
        check_local("~/model", "arch.source")


def test_missing_libraries_are_named_with_the_line_that_installs_them():
    check_modules("data.steps.x", {"json": "json"}, "smallwright-x")
    message = r"data\.steps\.x: jsonn not installed\. Install: pip install 'smallwright-x\[y\]'"
    with pytest.raises(MissingPluginError, match=message):
        check_modules("data.steps.x", {"json": "json", "jsonn": "jsonn"}, "smallwright-x[y]")
