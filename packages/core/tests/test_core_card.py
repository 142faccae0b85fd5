"""A model card says what the manifests say, and nothing of the machine."""

import json

import pytest
import yaml
from core import card, store, worker
from core.interfaces import Job, Stage

SCORE = {
    "task": "quiz",
    "metric": "acc",
    "value": 0.75,
    "stderr": 0.02,
    "n": 208,
    "chance": 0.25,
    "num_fewshot": 5,
    "engine": {"name": "vllm", "version": "0.32.0", "dtype": "float32"},
    "harness": {"name": "lm_eval"},
}
FUNNEL = [{"step": "read", "in": 100, "kept": 90, "rejected": {"opted out": 3, "a|b": 6}, "failed": {"corrupt": 1}}]
READ = {"documents": 90, "characters": 5000, "funnel": FUNNEL,
        "step_reports": {"read": {"tables": {"opt-out signals": {"noai": 2, "tdm-reservation": 1}}}}}  # fmt: skip


@pytest.fixture
def artifacts(tmp_path):
    """A store with a corpus, a model made from it, and what writes one more artifact."""

    def make(place, *, inputs=(), config=None, summary=None, external=(), identity=None):
        folder = tmp_path / "store" / place
        folder.mkdir(parents=True, exist_ok=True)
        kind = place.split("/")[0]
        record = {"stage": kind, "folder": kind, "identity": {"implementation": kind, **(identity or {})}, "seed": 0,
                  "inputs": {role: str(tmp_path / "store" / name) for role, name in inputs},
                  "external_files": list(external), "config": config or {}, "summary": summary}  # fmt: skip
        store.finish(folder, record)
        return folder

    def model(place, **manifest):
        hf = tmp_path / "store" / place / "hf"
        hf.mkdir(parents=True)
        (hf / "config.json").write_text(json.dumps({"model_type": "llama", "num_hidden_layers": 4}))
        (hf / "model.safetensors").write_bytes(b"weights")
        return make(place, **manifest)

    step = {"languages": ["en"], "dataset": "owner/pages"}
    make("data/mine-0", summary=READ, config={"name": "mine"}, identity={"data": {"steps": {"read": {"config": step}}}})
    pretrained = model("pretrain/gqa-0", inputs=[("corpus", "data/mine-0")], summary={"stored_parameters": 1234567},
                       config={"steps": 10, "learning_rate": 0.1})  # fmt: skip
    return {"pretrained": pretrained, "make": make, "model": model}


def composed(artifact, **more):
    text = card.compose(artifact / "hf", card.origins(store.load_manifest(artifact), artifact), title="m", **more)
    return yaml.safe_load(text.split("---")[1]), text


def test_the_block_and_the_text_say_what_the_manifests_say(artifacts):
    block, text = composed(artifacts["pretrained"], scores=[SCORE], hub_id="me/m", license="mit")
    assert (block["license"], block["language"], block["datasets"]) == ("mit", ["en"], ["owner/pages"])
    assert block["metrics"] == ["accuracy"]
    [result] = block["model-index"][0]["results"]
    assert (result["dataset"]["name"], result["metrics"][0]["value"]) == ("quiz", 0.75)
    for said in (
        "1,234,567 stored parameters",
        'pipeline("text-generation", model="me/m")',
        "**mine**: 90 documents kept, of 100 records",
        "6 a\\|b, 3 opted out, 1 corrupt",
        "2 noai, 1 tdm-reservation. Set aside for them: 3 pages.",
        "| quiz | acc | 0.7500 | 0.0200 | 0.2500 | 208 | 5 | vllm 0.32.0, lm_eval, float32 |",
    ):
        assert said in text


def test_what_the_model_wrote_stays_within_its_block(artifacts):
    def answer(text, **more):
        return {"prompt": "<b>Who?", "decoding": "greedy", "text": text, "ended": True, **more}

    said = [answer("```\n# heading"), answer(" "), answer("sampled text", decoding="sampled")]
    text = composed(artifacts["pretrained"], said=said)[1]
    assert "**\\<b\\>Who?**\n\n````text\n```\n# heading\n````\n" in text
    assert "sampled text" not in text
    assert "What it says" not in composed(artifacts["pretrained"], said=said[1:])[1]


def test_without_scores_and_licence_it_says_so(artifacts):
    block, text = composed(artifacts["pretrained"])
    assert "license" not in block
    assert "model-index" not in block
    assert block["metrics"] == []
    assert "# license: fill in" in text
    assert "Not measured yet." in text


def test_what_was_entered_from_the_hub_is_the_base_model_and_a_path_is_not(artifacts, tmp_path):
    artifacts["model"]("model/base-0", summary={"origin": "owner/base", "revision": "abc"})
    local = str(tmp_path / "data/chats/train.bin")
    aligned = artifacts["model"]("posttrain/sft-0", inputs=[("model", "model/base-0")], external=[local],
                                 config={"dataset": "data/chats"}, summary={"dataset": local})  # fmt: skip
    block, text = composed(aligned)
    assert (block["base_model"], block["datasets"]) == (["owner/base"], [])
    assert str(tmp_path) not in text
    assert "owner/base abc" in text


def test_a_stage_that_exports_leaves_a_card_and_what_was_entered_stays_as_it_came(artifacts):
    for folder, written in (("pretrain", True), ("model", False)):
        artifact = artifacts["model"](f"{folder}/one-0")
        card.write_at_export(artifact, store.load_manifest(artifact))
        assert (artifact / "hf" / card.FILE).exists() is written
    (artifact / "hf" / card.FILE).write_text("its own")
    card.write_at_export(artifact, {**store.load_manifest(artifact), "folder": "pretrain"})
    assert (artifact / "hf" / card.FILE).read_text() == "its own"


def test_what_was_deleted_from_the_store_is_left_out(artifacts):
    (artifacts["pretrained"].parent.parent / "data/mine-0" / store.MANIFEST).unlink()
    assert "Not known here" in composed(artifacts["pretrained"])[1]


class Exporter(Stage):
    """A stage that leaves a model."""

    def run(self, job):
        (job.output / "hf").mkdir(parents=True)
        (job.output / "hf/config.json").write_text('{"model_type": "llama"}')
        return {"stored_parameters": 7}


def test_the_card_of_an_export_is_part_of_the_artifact(tmp_path):
    record = {"folder": "pretrain", "identity": {"implementation": "x"}, "external_files": []}
    output = tmp_path / "store/pretrain/x-0"
    worker._run(Job(name="pretrain", output=output, inputs={}, seed=0, stage=Exporter(), record=record))
    assert f"hf/{card.FILE}" in store.load_manifest(output)["files"]
    assert "7 stored parameters" in (output / "hf" / card.FILE).read_text()
