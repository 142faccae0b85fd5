"""Hydra's sweep grammar: which runs a command line asks for, and what is wrong with one, in a line that names it."""

import pytest
from core.errors import ConfigError
from core.sweep import points


def labels(registry, *overrides, **more):
    return [point.label() for point in points.expand(overrides, registry, **more)]


@pytest.mark.parametrize(
    ("written", "values"),
    [
        ("a=1e-3,3e-3", ["1e-3", "3e-3"]),
        ("a=choice(1e-3, 3e-3)", ["1e-3", "3e-3"]),
        ("a=[x],[y, z]", ["[x]", "[y, z]"]),
        ("a={x: 1},{x: 2}", ["{x: 1}", "{x: 2}"]),
        ("a='x,y',z", ["'x,y'", "z"]),
        ("a=/my disk/é,/b", ["/my disk/é", "/b"]),
        ("a=range(0,3)", ["0", "1", "2"]),
        ("a=range(3,0,-1)", ["3", "2", "1"]),
        ("a=range(0,1,0.3)", ["0", "0.3", "0.6", "0.9"]),
        ("a=sort(3,1,2)", ["1", "2", "3"]),
        ("a=sort(choice(b,a), reverse=True)", ["b", "a"]),
        ("a=int(1.0,2.0)", ["1", "2"]),
        ("arch=glob(*)", ["tiny"]),
        ("data=glob(*,exclude=o*)", ["toy"]),
        ("eval=glob([j*,x*])", ["judge"]),
    ],
)
def test_a_sweep_has_these_values(registry, written, values):
    key = written.partition("=")[0]
    assert labels(registry, written) == [f"{key}={value}" for value in values]


@pytest.mark.parametrize(
    "written", ["a=1", "a='x,y'", "a=[x,y]", "a=f(x,y)", "a=", "~a", "a=x(1)", "a=${b.c}", "a=[x", "flag"]
)
def test_what_is_one_value_stays_as_it_was_written(registry, written):
    if written == "a=[x":
        with pytest.raises(ConfigError, match="not closed"):
            labels(registry, written)
        return
    (point,) = points.expand([written], registry)
    assert (point.overrides, dict(point.values)) == ((written,), {})


def test_several_sweeps_are_all_combinations_and_the_last_changes_fastest(registry):
    made = points.expand(["+arch=tiny", "b=1,2", "+c.d=x,y", "e=3"], registry)
    assert [point.overrides for point in made] == [
        ("+arch=tiny", f"b={b}", f"+c.d={d}", "e=3") for b in "12" for d in "xy"
    ]
    assert dict(made[1].values) == {"b": "1", "c.d": "y"}


def test_of_a_key_that_is_given_twice_the_last_one_counts(registry):
    assert [point.overrides for point in points.expand(["a=1,2", "b=0", "a=3"], registry)] == [("b=0", "a=3")]
    assert labels(registry, "a=3", "a=1,2") == ["a=1", "a=2"]


def test_draws_are_the_same_each_time_and_more_of_them_begin_with_the_same(registry):
    asked = ["x=tag(log,interval(1e-5,1e-2))", "y=1,2", "z=interval(0,1)"]
    few, many = (points.expand(asked, registry, samples=number, seed=7) for number in (3, 8))
    drawn = [(point.values["x"], point.values["z"]) for point in many]
    assert len(few) == 6
    assert drawn[:6] == [(point.values["x"], point.values["z"]) for point in few]
    assert all(1e-5 <= float(x) <= 1e-2 and 0 <= float(z) <= 1 for x, z in drawn)
    assert len(set(drawn)) == 8, "each draw has a value of every interval"
    other = points.expand(asked, registry, samples=3, seed=8)
    assert other[0].values["x"] != few[0].values["x"]
    alone = points.expand(asked[2:], registry, samples=3, seed=7)
    assert [point.values["z"] for point in alone] == [point.values["z"] for point in few[::2]]


def test_whole_numbers_are_drawn_without_the_upper_bound_and_each_once(registry):
    assert sorted(labels(registry, "x=int(interval(1,4))", samples=3)) == ["x=1", "x=2", "x=3"]


def test_a_shuffle_depends_on_the_seed_alone(registry):
    one, same, other = (labels(registry, "x=shuffle(range(0,9))", seed=seed) for seed in (1, 1, 2))
    assert one == same != other
    assert sorted(one) == sorted(other) == [f"x={value}" for value in range(9)]


@pytest.mark.parametrize(
    ("given", "seed"), [(["seed=3"], 3), (["a=1"], 0), (["seed=1,2"], 0), (["seed=1", "seed=2"], 2)]
)
def test_the_seed_of_a_command_line(given, seed):
    assert points.seed_of(given) == seed


@pytest.mark.slow
@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("a=interval(1,2)", "a=interval(1,2): an interval has no number of values. Draw some: --samples 10."),
        ("a=range(5,5)", "a=range(5,5): there is no value in it"),
        ("a=range(0,5,0)", "a=range(0,5,0): steps of 0 never come to an end. Give another step."),
        ("a=range(0,5,0.0)", "a=range(0,5,0.0): steps of 0 never come to an end"),
        ("a=choice(1,choice(2,3))", "a=choice(1,choice(2,3)): one of the values is a sweep itself. Write a=<value>"),
        ("a=range(x,y)", "a=range(x,y): cannot be read as a sweep"),
        ("a=choice()", "a=choice(): cannot be read as a sweep: empty choice"),
        ("a=1,,2", "a=1,,2: of the values one is empty"),
        (
            "a=x[1,y",
            "a=x[1,y: the [ is not closed. Mend it, or put quotes where it belongs to one value: 'a=\"x[1,y\"'.",
        ),
        ("a=x[1],y{2,z", "a=x[1],y{2,z: the { is not closed. Mend it"),
        ("a=choice(1,2", "a=choice(1,2: the ( is not closed. Mend it"),
        ("a=x],y", "a=x],y: the ] closes nothing. Mend it"),
        ("a=range(0,3),7", "a=range(0,3),7: of the values range(0,3) is a sweep itself"),
        ("arch=glob(x*)", "arch=glob(x*): no option of arch matches. Installed: tiny."),
        ("seed=glob(*)", "seed=glob(*): seed is no group of options"),
        ("run_dir=a,b", "run_dir=a,b: run_dir is one for all runs of a sweep"),
        ("launcher.jobs=1,2", "launcher.jobs=1,2: launcher is one for all runs of a sweep"),
        (
            "a=range(0,1001)",
            "a=range(0,1001): 1,001 runs, more than 1,000. Take fewer, or allow them: --max-runs 1001.",
        ),
        ("a=range(0,9,1e-12)", "a=range(0,9,1e-12): at least 100,000 runs, more than 1,000. Take fewer."),
    ],
)
def test_a_sweep_that_cannot_be_is_said_with_its_override(registry, written, said):
    with pytest.raises(ConfigError) as error:
        labels(registry, written)
    assert said in str(error.value)
    assert str(error.value).startswith(written)


@pytest.mark.parametrize(
    ("written", "samples", "said"),
    [
        ("a=1,2", 3, "--samples 3: no setting has an interval"),
        ("a=interval(1,2)", 0, "--samples 0: draw at least one"),
        ("a=interval(2,1)", 3, "a=interval(2,1): from 2.0 to 1.0 there is nothing to draw"),
        ("a=tag(log,interval(0,1))", 3, "tag log: needs numbers above 0"),
        ("a=tag(lg,interval(1,2))", 3, "tag lg: of an interval only the tag log is known"),
        ("a=int(interval(1,3))", 3, "a=int(interval(1,3)): --samples 3: has only 2 different values"),
    ],
)
def test_a_draw_that_cannot_be_is_said(registry, written, samples, said):
    with pytest.raises(ConfigError) as error:
        labels(registry, written, samples=samples)
    assert said in str(error.value)


def test_more_runs_are_made_where_they_are_allowed(registry):
    assert len(labels(registry, "a=range(0,2000)", most=2000)) == 2000


def test_a_limit_that_allows_no_run_is_refused(registry):
    with pytest.raises(ConfigError, match="--max-runs 0: allow at least one"):
        labels(registry, "a=1", most=0)
