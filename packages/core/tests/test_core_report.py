"""What a run did, collected from the manifests of its stages: also where a stage failed or a manifest is damaged."""

import json

import pytest
from core import graph, report, store
from core.run import StageOutcome

SUMMARIES = {
    "data": {
        "documents": 12,
        "characters": 340,
        "funnel": [{"step": "drop", "in": 20, "kept": 12, "rejected": {"the word": 8}, "failed": {}}],
    },
    "pretrain": {
        "stored_parameters": 40,
        "executed_parameters": 40,
        "tokens": 500,
        "tokens_per_second": 1.0,
        "validation_loss": 2.0,
        "unigram_loss": 3.0,
        "loss_curve": [[1, 3.0], [2, 2.0]],
        "engine": {"name": "toy", "version": "1"},
    },
    "polish": {"loss_curve": [[1, 1.0]], "eval_before": {"accuracy": 0.25}, "eval_after": {"accuracy": 0.75}},
    "eval": {"eval": [{"task": "toy", "metric": "acc", "value": 0.5, "stderr": 0.1, "chance": 0.25}]},
    "eval-polish": {"eval": [{"task": "toy", "metric": "acc", "value": 0.75, "stderr": 0.1, "chance": 0.25}]},
}


@pytest.fixture
def stages(registry, composed):
    return graph.build(composed("+posttrain=polish"), registry)


def finish(spec, root):
    """Write the artifact of a stage as its worker would."""
    job = spec.job(root, (), {})
    job.output.mkdir(parents=True)
    inputs = {role: str(path) for role, path in job.inputs.items()}
    made = {"seconds": 3.0, "peak_memory_bytes": 2**30, "summary": SUMMARIES.get(spec.name, {})}
    store.finish(job.output, {**job.record, **made, "stage": spec.name, "inputs": inputs})


def outcome(spec, root, status="ran", error=None):
    where = str(spec.directory(root))
    return StageOutcome(name=spec.name, status=status, seconds=1.0, artifact=where, error=error)


def test_every_summary_is_where_readers_look_for_it(stages, tmp_path):
    for spec in stages:
        finish(spec, tmp_path)
    found = report.collect("x", stages, [outcome(spec, tmp_path) for spec in stages], {"seed": 0}, tmp_path, 9.0)
    assert [row["name"] for row in found["stages"]] == [spec.name for spec in stages]
    assert found["stages"][0]["seconds_when_made"] == 3.0
    assert found["funnel"] == [{"corpus": "toy", **SUMMARIES["data"]["funnel"][0]}]
    corpora = {"toy": {"documents": 12, "characters": 340}}
    assert found["data"] == {"documents": 12, "characters": 340, "corpora": corpora}
    assert found["pretrain"] == SUMMARIES["pretrain"]
    assert found["posttrain"] == {"polish": SUMMARIES["polish"]}
    assert [(row["model"], row["value"]) for row in found["eval"]] == [("pretrain", 0.5), ("polish", 0.75)]
    places = [node["artifact"] for node in found["lineage"]]
    assert len(places) == len(set(places)) == len(stages), "each artifact once"
    assert not any(place.startswith("/") for place in places), "relative to the store"
    by_stage = {node["stage"]: node for node in found["lineage"]}
    assert by_stage["eval"]["inputs"]["model"] == by_stage["pretrain"]["artifact"]
    for node in found["lineage"]:
        assert all(places.index(made) < places.index(node["artifact"]) for made in node["inputs"].values())


def test_the_report_says_how_the_run_is_made_again_and_nothing_else_is_written(registry, stages, tmp_path):
    for spec in stages:
        finish(spec, tmp_path / "store")
    outcomes = [outcome(spec, tmp_path / "store") for spec in stages]
    (tmp_path / "run").mkdir()
    arguments = ["+data=toy", "data.paths=[a b]"]
    said, path = report.write(
        "my run", tmp_path / "run", stages, outcomes, {}, tmp_path / "store", 9.0, "x", arguments, registry
    )
    found = json.loads(path.read_text())
    assert found == json.loads(json.dumps(said, default=str))
    assert [file.name for file in (tmp_path / "run").iterdir()] == ["report.json"]
    assert (found["version"], found["id"]) == (report.VERSION, "x")
    made = found["made"]
    assert made["command"] == "python -m core.run +data=toy 'data.paths=[a b]'"
    assert made["plugins"] == registry.versions()
    assert made["machine"]["cores"] >= 1
    assert set(made["seeds"]) == {spec.name for spec in stages}
    assert found["model"] is not None
    assert not found["model"].startswith("/")
    for words in ("40 parameters", "500 tokens of toy", "then polish", "75%"):
        assert words in found["headline"], found["headline"]
    assert "nats" not in found["headline"], "the loss of pretraining is not that of the polished model"


def test_a_run_that_failed_shows_what_it_has(stages, tmp_path):
    crawl, data, *rest = stages
    finish(crawl, tmp_path)
    data.directory(tmp_path).mkdir(parents=True)
    (data.directory(tmp_path) / "funnel.json").write_text(json.dumps(SUMMARIES["data"]["funnel"]))
    outcomes = [outcome(crawl, tmp_path), outcome(data, tmp_path, "failed", "not today")]
    found, _ = report.write("x", tmp_path, stages, outcomes, {}, tmp_path, seconds=1.0)
    assert [row["status"] for row in found["stages"]] == ["ran", "failed", *["not started"] * len(rest)]
    assert found["stages"][1]["error"] == "not today"
    assert [row["step"] for row in found["funnel"]] == ["drop"], "the steps that were finished"
    assert [node["stage"] for node in found["lineage"]] == ["crawl"]
    assert found["headline"].startswith("Failed in stage data.")


def test_a_damaged_manifest_in_the_middle_does_not_cost_the_report(stages, tmp_path):
    for spec in stages:
        finish(spec, tmp_path)
    tokens = next(spec for spec in stages if spec.name == "tokens")
    (tokens.directory(tmp_path) / store.MANIFEST).write_text("{")
    found = report.collect("x", stages, [outcome(tokens, tmp_path, "failed", "damaged")], {}, tmp_path, 1.0)
    assert found["pretrain"] == SUMMARIES["pretrain"]
    (damaged,) = [node for node in found["lineage"] if node.get("missing")]
    assert damaged["artifact"].startswith("tokens/")
