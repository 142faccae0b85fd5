"""The studies that are shipped can be planned, and compare what they say."""

from pathlib import Path

import pytest
from core import discovery
from core.study import find, plan
from core.sweep.plan import plan as plan_runs

SHIPPED = sorted(path.stem for path in (Path(__file__).parents[2] / "hydra_conf" / "study").glob("*.yaml"))


@pytest.fixture(scope="module")
def registry():
    return discovery.load()


@pytest.mark.slow
@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_study_is_planned_and_its_arms_are_equal_in_what_it_says(registry, name):
    label, study = find.load(name, ["seeds=range(0,2)"], registry)
    planned = plan_runs(plan.points(study, []), registry, Path())
    plan.check(study, planned)
    assert label == name
    assert len(planned) == 2 * len(study.arms)
    known = plan.known(planned[0].stages)
    assert {"pretrain.stored_parameters", "pretrain.tokens"} <= known.keys() & study.equal.keys()
    assert len({artifact for run in planned for artifact in run.artifacts if artifact.parent.name == "crawl"}) == 1


def test_shipped_studies_are_listed(registry):
    assert set(SHIPPED) <= dict(find.listed(registry)).keys()
    assert len(SHIPPED) >= 2
