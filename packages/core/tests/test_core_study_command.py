"""The command does a study with the toy plugin: planned before any work, done, judged, written, and done again."""

import argparse
import json
import shlex
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from core.study import plan
from core.study.__main__ import _complete, _folder
from core.study.config import StudyConfig

pytest.importorskip("scipy.stats")
STUDY = """
claim: More steps are better.
metric: pretrain.tokens
direction: higher
control: few
arms: {{few: [], many: [pretrain.steps=9]}}
seeds: [0, 1]
base: [{base}]
"""


@pytest.fixture
def mine(workdir, toy):
    (workdir / "mine.yaml").write_text(STUDY.format(base=", ".join(toy)))
    return "mine.yaml"


def study(call, *arguments):
    return call("study.__main__", *arguments)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["arms.many=[pretrain.workers=3]"], "arm=few and arm=many: the same run twice"),
        (["seed_key=pretrain.workers", "seeds=[1,2]"], "the same run twice"),
        (["metric=pretrian.loss"], "metric=pretrian.loss: the arm few has no stage pretrian. Did you mean 'pretrain'?"),
        (["equal.pretrian.tokens=0.1"], "equal.pretrian.tokens: the arm few has no stage pretrian. Did you mean 'pret"),
        (
            ["pretrain.steps=3,4"],
            "pretrain.steps=3,4: several values, and a study has one run of an arm for each seed.",
        ),
        (["metric=pretrain"], "metric=pretrain: of a stage, and what of it"),
        (
            ["~eval", "metric=pretrain.task.acc"],
            "metric=pretrain.task.acc: of an evaluation, and the arm few has none.",
        ),
        (["arms.many=[pretrain.stepz=1]"], "pretrain.stepz: unknown key."),
        (["pretrain.seed=3"], "pretrain.seed=3: the study sets pretrain.seed itself."),
        (["sees=[1,2]"], "sees=[1,2]: unknown key. Did you mean 'seeds'?"),
        (["arms.many=[arch.hidden_size=6]", "equal.pretrain.stored_parameters=0.1"], "many has 60 and few 40, 50.00%"),
        (["seeds=0,1"], "seeds=0,1: write a list"),
    ],
)
def test_what_planning_can_know_is_said_before_any_work(call, mine, workdir, arguments, message):
    done = study(call, mine, *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (workdir / "store").exists()
    assert not (workdir / "runs").exists()


@pytest.mark.slow
def test_a_study_is_judged_without_the_runs_that_fail_and_done_again_for_nothing(call, mine, workdir):
    words = [mine, "run_dir=out", "arms.none=[pretrain.steps=8,pretrain.fail=user]", "~eval", "data.source.files=1"]
    done = study(call, *words)
    assert done.returncode == 1, "a run failed"
    found = json.loads((workdir / "out" / "study.json").read_text())
    sweep = json.loads(Path(found["sweep"]).read_text())
    assert [row["values"] for row in sweep["runs"]] == [
        {"arm": arm, "pretrain.seed": seed} for seed in "01" for arm in ("few", "many", "none")
    ]
    values = {arm["name"]: [run["value"] for run in arm["runs"]] for arm in found["arms"]}
    assert values == {"few": [500, 500], "many": [900, 900], "none": [None, None]}
    for run in found["arms"][0]["runs"]:
        assert (workdir / "out" / run["directory"] / "report.json").is_file()
    assert [row["verdict"] for row in found["comparisons"]] == ["undecided", "undecided"]
    assert "400 (95 % interval of the difference 400 to 400, p = 0.250, 2 seeds); 6 seeds" in found["sentence"]
    assert "none against few: no seed has a value for both" in found["sentence"]
    assert (
        "none at seed 0 is left out, and its pair with it: stage pretrain failed: the input is bad" in found["notes"][0]
    )
    for said in ("claim    More steps are better.", f"verdict  {found['sentence']}", "out/study.json"):
        assert said in done.stdout
    assert found["made"]["command"] == f"python -m core.study --plugin toy_plugin.py {shlex.join(words)}"
    again = study(call, *words[:2], *words[3:], "metric=pretrain.token")
    assert "4 of 4 runs are finished" in again.stdout
    assert again.returncode == 2
    assert "metric=pretrain.token: no run has it. Did you mean 'pretrain.tokens'?" in again.stderr


@pytest.mark.slow
def test_a_plan_lists_the_runs_and_does_none(call, mine, workdir):
    done = study(call, mine, "--plan", "run_dir=out")
    assert done.stdout.splitlines()[:5] == [
        f"4 runs, in {workdir / 'out'}",
        "  1  arm=few pretrain.seed=0",
        "  2  arm=many pretrain.seed=0",
        "  3  arm=few pretrain.seed=1",
        "  4  arm=many pretrain.seed=1",
    ]
    assert not (workdir / "store").exists()
    assert not (workdir / "out").exists()


def test_the_folder_is_named_by_what_the_runs_make(workdir):
    def folder(*artifacts, run_dir=None):
        runs = [SimpleNamespace(config={"run_dir": run_dir}, artifacts=(Path("data"), Path(one))) for one in artifacts]
        return _folder("mine", runs)

    assert folder("a", "b").parent == workdir / "runs"
    assert folder("a", "b").name.startswith("mine-study-")
    assert folder("a", "b") == folder("b", "a") != folder("a", "c")
    assert folder("a", run_dir="out") == workdir / "out"


def test_without_a_name_the_studies_are_listed(call, mine, workdir):
    (workdir / "hydra_conf" / "study").mkdir()
    (workdir / "mine.yaml").rename(workdir / "hydra_conf" / "study" / "mine.yaml")
    assert study(call).stdout == "mine\n    More steps are better.\n"
    assert study(call, "mien").stderr == (
        "error: mien: no such study. Did you mean 'mine'? There are: mine. See what is installed: python -m "
        "core.plugins\n"
    )


@pytest.mark.slow
def test_a_shell_is_told_studies_their_settings_and_those_of_runs(mine, workdir):
    (workdir / "hydra_conf" / "study").mkdir()
    (workdir / "mine.yaml").rename(workdir / "hydra_conf" / "study" / "mine.yaml")
    words = argparse.Namespace(overrides=[], plugin=[])
    assert _complete("mi", words) == ["mine"]
    assert _complete("seeds", words) == ["seeds="]
    assert _complete("+da", words) == ["+data="]


def test_without_scipy_the_install_command_is_said_before_any_work(call, mine, workdir, monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy", None)
    done = study(call, mine)
    assert done.returncode == 2
    assert "pip install 'smallwright-core[study]'" in done.stderr
    assert not (workdir / "store").exists()


def test_of_overrides_with_one_key_the_nearest_to_the_user_counts():
    settings = StudyConfig(
        claim="c",
        metric="pretrain.loss",
        direction="lower",
        control="a",
        seeds=(4, 2),
        base=("+arch=tiny", "pretrain.steps=1", "pretrain.workers=1"),
        arms={"a": ("arch=other",), "b": ("pretrain.steps=2",)},
    )
    made = plan.points(settings, ["pretrain.workers=3"])
    assert [(point.values["arm"], point.overrides) for point in made[:2]] == [
        ("a", ("arch=other", "pretrain.steps=1", "pretrain.workers=3", "pretrain.seed=4")),
        ("b", ("+arch=tiny", "pretrain.steps=2", "pretrain.workers=3", "pretrain.seed=4")),
    ]
    assert [point.values["pretrain.seed"] for point in made] == ["4", "4", "2", "2"]
