"""Composing: what an override means, and what is refused."""

import pytest
from core import compose, graph, show_config
from core.errors import ConfigError, InputError, MissingPluginError


def test_a_group_may_be_given_with_or_without_plus(registry):
    one = compose.compose(["data=toy", "arch=tiny", "+tokenizer=count", "+eval=judge"], registry)
    two = compose.compose(["+data=toy", "+arch=tiny", "tokenizer=count", "eval=judge"], registry)
    assert one == two
    assert one["arch"]["name"] == "tiny"


def test_a_list_of_options_composes_them_side_by_side(registry, workdir, composed):
    (workdir / "hydra_conf/posttrain/shine.yaml").write_text("shine:\n  name: polish\n  steps: 2\n")
    config = composed("+posttrain=[polish,shine]")
    assert list(config["posttrain"]) == ["polish", "shine"]
    assert [spec.name for spec in graph.build(config, registry)][-3:] == ["polish", "shine", "eval-shine"]
    with pytest.raises(MissingPluginError, match="posttrain 'shin'"):
        composed("+posttrain=[polish,shin]")


@pytest.mark.parametrize(
    ("override", "kind", "words"),
    [
        ("+arch=tinny", MissingPluginError, ["arch 'tinny'", "Did you mean 'tiny'?", "Installed: tiny"]),
        ("+arch=shared_ffn", MissingPluginError, ["pip install smallwright-arch-shared-ffn"]),
        ("+hardware=gpu", MissingPluginError, ["hardware 'gpu'", "None is installed"]),
        ("sed=1", ConfigError, ["sed: unknown key", "'seed'"]),
        ("seed.middle=1", ConfigError, ["seed.middle", "seed has no settings"]),
        ("posttrain.polish.steps=1", ConfigError, ["posttrain.polish.steps", "'+posttrain=[polish]'"]),
        ("posttrain.polis.steps=1", ConfigError, ["posttrain.polis.steps", "Did you mean 'polish'?"]),
        ("what is this", ConfigError, ["what is this"]),
        ("pretrain.steps", ConfigError, ["pretrain.steps=<value>"]),
    ],
)
def test_what_nothing_offers_is_refused(composed, override, kind, words):
    with pytest.raises(kind) as error:
        composed(override)
    for word in words:
        assert word in str(error.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("pretrain.steps=many", ["pretrain.steps='many'", "expected int"]),
        ("pretrain.stepz=3", ["pretrain.stepz: unknown key", "Did you mean 'steps'?"]),
        ("arch.size.middle=2-19", ["arch.size={'middle': '2-19'}", "expected str"]),
        ("arch.size=[nano]", ["arch.size=", "expected str, got list"]),
        ("arch.hidden_size=5", ["arch.hidden_size=5"]),
        ("arch.size=huge", ["arch.size=huge", "nano, wide"]),
        (
            "tokenizer.vocab_size=1e11",
            ["tokenizer.vocab_size=100000000000: must be", "arch.vocab_size follows"],
        ),
        ("arch.vocab_size=1e11", ["arch.vocab_size=100000000000: must be at most"]),
        ("arch.vocab_size=4", ["arch.vocab_size=4", "smaller than the tokenizer's 10"]),
        ("data.steps.drop.word=3", ["data.steps.drop.word=3", "expected str"]),
        ("data.steps.drop.wrod=x", ["data.steps.drop.wrod: unknown key", "Did you mean 'word'?"]),
        ("+data.steps.drpo={}", ["data.steps.drpo: no such step in the recipe", "Did you mean 'drop'?"]),
        ("seed=one", ["seed='one': expected int"]),
        ("++surprise=1", ["surprise: unknown key"]),
    ],
)
def test_a_wrong_value_is_refused_before_any_work(registry, composed, override, words):
    with pytest.raises(ConfigError) as error:
        graph.build(composed(override), registry)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(("group", "key"), [("arch", "arch.size=nano"), ("data", "data.paths=[x]")])
def test_a_setting_of_a_part_that_is_not_chosen_says_what_to_add(registry, group, key):
    said = rf"{group}\.\w+: nothing of {group} is chosen. Add \+{group}=<option>. Installed: "
    with pytest.raises(ConfigError, match=said):
        compose.compose([key], registry)


def test_a_setting_of_a_default_whose_package_is_missing_says_what_to_install(registry):
    with pytest.raises(MissingPluginError, match="pip install smallwright-eval"):
        compose.compose(["+data=toy", "eval.limit=3"], registry)


@pytest.mark.slow
def test_a_key_that_the_options_file_does_not_have_needs_no_plus(composed):
    assert composed("arch.hidden_size=8")["arch"]["hidden_size"] == 8
    assert composed("posttrain=polish", "posttrain.polish.workers=2")["posttrain"]["polish"]["workers"] == 2
    for sign in ("", "+"):
        assert composed(f"{sign}observers.mine.path=x")["observers"] == {"mine": {"path": "x"}}


def test_a_step_that_is_no_settings_is_refused_by_a_run_and_by_what_prints_it(registry, composed):
    config = composed("+data.steps.more=5")
    for use in (graph.build, show_config.render):
        with pytest.raises(ConfigError, match=r"data\.steps\.more=5: expected settings"):
            use(config, registry)


def test_paths_that_match_nothing_are_refused_before_any_work(registry, composed):
    with pytest.raises(InputError, match=r"no file matches missing/\*\.warc\.gz"):
        graph.build(composed("data.paths=[missing/*.warc.gz]"), registry)


@pytest.mark.slow
def test_an_option_offered_twice_names_both_owners(registry, workdir, monkeypatch):
    package = workdir / "rival_conf"
    (package / "arch").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "arch" / "tiny.yaml").write_text("name: tiny\n")
    monkeypatch.syspath_prepend(str(workdir))
    registry.config_packages["rival_conf"] = "rival"
    (workdir / "hydra_conf/experiment").mkdir()
    (workdir / "hydra_conf/experiment/one.yaml").write_text("# @package _global_\ndefaults:\n  - /arch: tiny\n")
    for override in ("+arch=tiny", "+experiment=one"):
        with pytest.raises(ConfigError, match="arch=tiny is offered twice: by rival and by hydra_conf"):
            compose.compose([override], registry)
    assert compose.compose(["+data=toy"], registry)["data"]["name"] == "toy"
    monkeypatch.setenv("SMALLWRIGHT_STRICT", "1")
    with pytest.raises(ConfigError, match="offered twice"):
        compose.compose(["+data=toy"], registry)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["+arhc=tiny"], "arhc: unknown key. Did you mean '+arch'?"),
        (["+dat=toy"], "dat: unknown key. Did you mean '+data'?"),
        (["hydra.run.dir=x"], "hydra.run.dir: unknown key."),
        (["+toy"], "toy is an option of data. Write +data=toy."),
        (["+data=[]"], "+data=[]: names no option. Installed: other, toy."),
        (["+data=toy", "+data=other"], "data is chosen twice: toy and other. For both write '+data=[toy,other]'."),
        (["+arch=tiny", "arch=tiny"], "arch is chosen twice: tiny and tiny. A run has one: leave one out."),
        (["eval=[judge,other]"], "no installed plugin offers eval 'other'"),
        (["+data=toy", "~pretrain"], "~pretrain: no run is without pretrain. Choose another: pretrain=<option>."),
        (["+data=toy", "tokens=null"], "tokens=null: no run is without tokens."),
        (["~data"], "~data: leave +data=<option> out instead"),
        (["+data=toy", "~eval", "eval=judge"], "eval=judge: ~eval beside it leaves eval out of the run."),
        (["+data=toy", "eval=null", "eval.steps=2"], "eval.steps=2: ~eval beside it leaves eval out of the run."),
        (["+data=toy", "~data.steps.dorp"], "~data.steps.dorp: there is no such key. Did you mean 'drop'?"),
        (["+data=toy", "~data.steps.read_lines"], "~data.steps.read_lines: the recipe begins with this step"),
        (["+data=toy", "data.steps=[]"], "data.steps=[]: data.steps has settings"),
        (["+data=toy", "data.paths=[a"], "data.paths=[a: the [ is not closed."),
        (
            ["+data=toy", "store=${HOME}/x"],
            "store: Interpolation key 'HOME' not found. For the environment variable wr",
        ),
        (["+data=toy", "name=${a"], "name='${a': cannot read the reference; write ${a.key}"),
        (["+data=toy", "data..steps=3"], "cannot read 'data..steps=3'"),
        (["+arch=wide"], "+arch=wide: wide is a size of tiny. Write +arch=tiny arch.size=wide."),
        (["+arch=TINY"], "Did you mean 'tiny'?"),
        (["+arch", "tiny"], "cannot read '+arch': write +arch=<option>."),
    ],
)
def test_what_was_meant_is_said_in_the_words_of_the_command_line(registry, overrides, said):
    with pytest.raises(ConfigError) as error:
        compose.compose(overrides, registry)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_an_option_of_a_part_that_is_not_used_is_refused(registry, workdir):
    (workdir / "hydra_conf/data/scorer").mkdir()
    (workdir / "hydra_conf/data/scorer/rules.yaml").write_text("use: drop\n")
    with pytest.raises(ConfigError, match=r"^data.scorer: the chosen option of data uses no scorer"):
        compose.compose(["+data=toy", "data.scorer=rules"], registry)


def test_several_options_of_a_group_that_has_one_are_refused(registry, workdir):
    (workdir / "hydra_conf/eval/other.yaml").write_text("name: judge\n")
    with pytest.raises(ConfigError, match=r"one option of eval a run; -m eval=judge,other is a run of each"):
        compose.compose(["+data=toy", "eval=[judge,other]"], registry)


def test_brackets_around_options_do_not_matter(registry, composed):
    one = compose.compose(["+data=toy,other"], registry)
    assert one == compose.compose(["+data=[toy,other]"], registry)
    assert set(one["data"]) == {"toy", "other"}
    assert compose.compose(["+data=[[toy]]"], registry) == compose.compose(["+data=toy"], registry)


def test_a_path_in_the_home_folder_is_written_out(registry, workdir):
    home = str(workdir)  # the fixture's HOME
    (workdir / "hydra_conf/experiment").mkdir()
    (workdir / "hydra_conf/experiment/at_home.yaml").write_text("# @package _global_\nrun_dir: ~/runs\n")
    config = compose.compose(["+data=toy", "+experiment=at_home", "store=~/store", "data.paths=[~/a.txt]"], registry)
    assert (config["store"], config["run_dir"]) == (f"{home}/store", f"{home}/runs")
    assert config["data"]["paths"] == [f"{home}/a.txt"]


def test_the_command_line_chooses_anew_what_an_experiment_has_chosen(registry, workdir):
    (workdir / "hydra_conf/experiment").mkdir()
    (workdir / "hydra_conf/experiment/one.yaml").write_text(
        "# @package _global_\ndefaults:\n  - /data: toy\n  - /arch: tiny\nseed: 3\n"
    )
    (workdir / "hydra_conf/arch/other.yaml").write_text("name: tiny\nsize: wide\n")
    assert compose.compose(["+experiment=one"], registry)["data"]["name"] == "toy"
    config = compose.compose(["+experiment=one", "+data=other", "+arch=other"], registry)
    assert (config["data"]["name"], config["arch"]["size"], config["seed"]) == ("other", "wide", 3)
    assert list(compose.compose(["+experiment=one", "+data=[toy,other]"], registry)["data"]) == ["toy", "other"]
