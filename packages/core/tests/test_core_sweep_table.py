"""The table of a sweep: as files for programs and people, and made anew where one is damaged."""

import json
from pathlib import Path

import pytest
from core.local_files import import_file
from core.sweep import part

made = import_file(Path(__file__).with_name("sweeps.py"))
table, statuses = made.table, made.statuses


@pytest.mark.slow
def test_the_flat_table_has_numbers_where_all_values_are(sweep, workdir):
    pyarrow = pytest.importorskip("pyarrow.parquet")
    assert sweep("pretrain.steps=3,4", "pretrain.path=x,y").returncode == 0
    rows = pyarrow.read_table(workdir / "s" / "sweep.parquet").to_pylist()
    assert [(row["pretrain.steps"], row["pretrain.path"]) for row in rows] == [(3, "x"), (3, "y"), (4, "x"), (4, "y")]
    assert [row["pretrain.tokens"] for row in rows] == [300, 300, 400, 400]
    assert {row["status"] for row in rows} == {"finished"}


def _with(**changes):
    return lambda content: json.dumps({**content, **changes})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "damages", "made_again"),
    [
        (
            "sweep.json",
            [
                lambda content: "{",
                _with(version=99),
                *(_with(runs=rows) for rows in (None, 3, [None], [1], {"a": 1}, [{"directory": ["x"]}])),
                lambda content: json.dumps(content).replace('"metrics": {', '"metrics": 3, "other": {'),
            ],
            0,
        ),
        (
            "report.json",
            [
                lambda content: "{",
                *(
                    _with(**change)
                    for change in ({"version": 99}, {"stages": None}, {"stages": [1]}, {"headline": None})
                ),
                *(_with(**change) for change in ({"eval": [{}]}, {"posttrain": 3})),
            ],
            1,
        ),
    ],
)
def test_a_damaged_file_of_a_sweep_is_made_anew(sweep, jobs, workdir, name, damages, made_again):
    assert sweep("seed=0,1").returncode == 0
    first = table(workdir)
    path = next((workdir / "s").glob(name if name == "sweep.json" else f"seed-0-*/{name}"))
    good = json.loads(path.read_text())
    for damage in damages:
        path.write_text(damaged := damage(good))
        jobs.clear()
        done = sweep("seed=0,1")
        assert (done.returncode, jobs) == (0, []), damaged
        no_json = damaged == "{"
        assert done.stderr.startswith(f"warning: {path} is damaged (JSONDecodeError: ") == no_json, damaged
        assert done.stderr.count("\n") == no_json, damaged
        assert done.stdout.count("[1/2]") == made_again, "a report of what is there takes no work"
        assert json.loads(path.read_text()).keys() == good.keys(), damaged
        metrics = [[row["metrics"].keys() for row in of["runs"]] for of in (table(workdir), first)]
        assert metrics[0] == metrics[1], damaged


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"plugin_files": [], "runs": {"1": {"overrides": 3}}}'])
def test_a_part_says_when_what_it_is_of_cannot_be_read(workdir, capsys, text):
    (workdir / "plan.json").write_text(text)
    assert part.main([str(workdir), "--run", "1"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {workdir}/plan.json is damaged (")
    assert said.endswith("Run the sweep's command again.\n")


@pytest.mark.slow
def test_files_for_people_that_cannot_be_written_cost_no_run(sweep, workdir):
    (workdir / "s" / "sweep.parquet").mkdir(parents=True)
    done = sweep("seed=0,1")
    assert done.returncode == 0
    assert done.stderr.startswith("warning: no sweep.parquet: ")
    assert done.stderr.count("\n") == 1
    assert statuses(workdir) == ["finished", "finished"]
