"""The files of published scores: whole, each score once, and of every task that our copies of the papers' lists ask."""

from importlib.resources import files

import pytest
import yaml
from core.compare import published
from smallwright_eval import local_tasks, plugin

FILES = {}
plugin.register_published_scores(FILES.__setitem__)


@pytest.fixture(scope="module", params=FILES)
def scores(request):
    package, _, path = FILES[request.param].partition(":")
    return published.read(files(package) / path)


def test_every_score_has_its_source_its_protocol_and_a_value_that_can_be(scores):
    for score in scores:
        assert score.source, score
        assert score.harness, score
        assert score.metric, score
        assert score.form, score
        assert 100e6 < score.parameters < 3e9, score
        assert 0 < score.value < (10 if "of 10" in score.task else 100), score
        assert score.shots is None or 0 <= score.shots <= 25, score


def test_a_source_says_a_score_once_and_sources_that_disagree_say_so(scores):
    by_place = {}
    for score in scores:
        by_place.setdefault((score.model, score.task), []).append(score)
    for said in by_place.values():
        assert len({score.source for score in said}) == len(said), said
        assert len({score.value for score in said}) == len(said), "the same score stands twice"
        assert len(said) == 1 or any(score.note for score in said), said


def test_the_table_of_a_model_is_complete(scores):
    tables = {}
    for score in scores:
        tables.setdefault(score.model, set()).add(score.task)
    assert min(map(len, tables.values())) >= 5


def test_what_papers_and_cards_say_differently_is_there_in_both_ways():
    package, _, path = FILES["smollm2"].partition(":")
    found = published.read(files(package) / path)
    said = {(s.model, s.value) for s in found if s.task == "GSM8K" and s.model.startswith(("SmolLM2-1.7B", "Qwen"))}
    assert said == {
        ("SmolLM2-1.7B", 31.1), ("SmolLM2-1.7B", 31.0), ("Qwen2.5-1.5B", 61.7), ("Qwen2.5-1.5B", 61.3),
        ("SmolLM2-1.7B-Instruct", 48.8), ("SmolLM2-1.7B-Instruct", 48.2),
        ("Qwen2.5-1.5B-Instruct", 63.3), ("Qwen2.5-1.5B-Instruct", 42.8),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("suite", "name"),
    [("smollm2_base", "smollm2"), ("smollm2_instruct", "smollm2"), ("mobillama", "mobillama"), ("pangu", "pangu_pi")],
)
def test_every_task_of_a_suite_has_published_scores_at_its_shots(suite, name):
    asked = yaml.safe_load((files("smallwright_eval") / f"conf/eval/{suite}.yaml").read_text())
    package, _, path = FILES[name].partition(":")
    found = published.read(files(package) / path)
    assert set(asked["tasks"]) <= {task for score in found for task, _ in score.ours}
    own = local_tasks.wanted(asked["tasks"], dict(local_tasks._described(local_tasks.OWN_TASKS)))
    for score in found:
        for task, _ in score.ours:
            if task in asked["tasks"] and score.shots is not None:
                shots = (asked.get("fewshot_by_task") or {}).get(task, own[task][0].get("num_fewshot"))
                assert shots in (score.shots, None if "group" in own[task][0] else score.shots), score


def test_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "scores.yaml"
    path.write_text("tables: [{protocol: x}]")
    with pytest.raises(ValueError, match=r"scores\.yaml: no file of published scores \(KeyError"):
        published.read(path)
