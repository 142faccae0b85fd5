"""What a report shows beyond the summaries: thinned curves, items of tasks, a few documents of each fate, costs."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from core import answers, circumstances, curves, graph, headline, receipt
from core.data import picks


def test_a_thinned_curve_keeps_its_ends_its_spikes_and_its_order():
    points = [(step, 1.0) for step in range(100_000)]
    points[54_321] = (54_321, 9.0)
    points[70_000] = (70_000, -9.0)
    thinned = curves.thinned(points)
    assert len(thinned) <= curves.POINTS
    assert thinned == sorted(thinned)
    assert (thinned[0][0], thinned[-1][0]) == (0, 99_999)
    assert [54_321, 9.0] in thinned
    assert [70_000, -9.0] in thinned
    assert curves.thinned(points[:5]) == [[step, 1.0] for step in range(5)]


def test_curves_are_read_whatever_a_kill_left_of_the_file(tmp_path):
    lines = [
        '{"step": 1, "loss": 3.0, "lr": 0.1, "tokens": 5}',
        '{"step": 2, "loss": NaN}',
        "3",
        '{"loss": 1}',
        '{"ste',
    ]
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines))
    found = curves.of_stage(tmp_path, {"throughput_curve": [[1, 4800.0], [2, float("inf")]]})
    assert [(curve["key"], curve["unit"], curve["points"]) for curve in found] == [
        ("loss", "nats per token", [[1, 3.0]]),
        ("lr", "", [[1, 0.1]]),
        ("tokens_per_second", "tokens per second", [[1, 4800.0]]),
    ]
    assert curves.of_stage(tmp_path, {}, per_token=False)[0]["unit"] == ""
    parts = {"validation_loss_by_source": {"web": 3.0, "code": 2.0}, "validation_stderr_by_source": {"web": 0.1}}
    (tmp_path / "metrics.jsonl").write_text(json.dumps({"step": 2, "validation_stderr": 0.1, **parts}))
    assert [
        (curve["key"], curve["name"], curve["unit"], curve["points"]) for curve in curves.of_stage(tmp_path, {})
    ] == [
        ("validation_loss_by_source.web", "web", "nats per token", [[2, 3.0]]),
        ("validation_loss_by_source.code", "code", "nats per token", [[2, 2.0]]),
    ]
    assert curves.of_stage(tmp_path / "nowhere", {}) == []


def test_right_and_wrong_items_come_with_their_texts_and_the_models_choice(tmp_path):
    samples = [{"task": "t", "id": f"i{n}", "correct": n % 2 == 0, "loglikelihoods": [-1.0, -2.0]} for n in range(20)]
    samples += [{"task": "u", "id": 7, "correct": True, "answers": ["x" * 5000]}, {"task": "u", "correct": None}]
    (tmp_path / "samples.jsonl").write_text("\n".join(map(json.dumps, samples)) + "\n{")
    items = tmp_path / "items.jsonl"
    texts = [{"id": f"i{n}", "context": f"what is {n}", "choices": ["a", "b"], "label": n % 2} for n in range(3)]
    items.write_text("\n".join(map(json.dumps, texts)))
    found = answers.of_stage(tmp_path, {"t": items}.get)
    assert [(task["task"], len(task["right"]), len(task["wrong"])) for task in found] == [("t", 5, 5), ("u", 1, 0)]
    wrong = found[0]["wrong"][0]
    assert (wrong["question"], wrong["choices"], wrong["label"], wrong["chosen"]) == ("what is 1", ["a", "b"], 1, 0)
    assert "question" not in found[0]["wrong"][-1], "the file does not know it"
    assert len(found[1]["right"][0]["answers"][0]) == 1000
    assert answers.of_stage(tmp_path / "nowhere", {}.get) == []


def test_what_a_model_says_is_told_as_it_is(tmp_path):
    nothing = {"prompt": "p", "form": "chat", "decoding": "greedy", "text": "", "ended": True}
    cut = {"prompt": "p", "decoding": "sampled", "text": "\ufffd\x00<b>", "ended": False}
    lines = [json.dumps(nothing), json.dumps(cut), '{"prompt": 3}', '{"prompt": "p", "decoding": "greedy"}', "{"]
    (tmp_path / "answers.jsonl").write_text("\n".join(lines))
    assert answers.said(tmp_path) == [nothing, {**cut, "form": "text"}]
    assert answers.said(tmp_path / "nowhere") == []


@pytest.fixture
def corpus(tmp_path):
    """A corpus with one rare reason among many documents, and a damaged file."""

    def write(path, number, **more):
        path.parent.mkdir(exist_ok=True)
        rows = {"id": [f"{path.stem}-{i}" for i in range(number)], "text": ["word " * 900] * number}
        rows |= {"url": [""] * number, "score": [None] * number}
        pq.write_table(pa.table(rows | more), path, row_group_size=500)

    write(tmp_path / "documents" / "00000.parquet", 2000)
    for shard in range(20):
        reasons = ["short"] * 1000
        reasons[400] = "rare"
        fate = {"step": ["length"] * 1000, "outcome": ["rejected"] * 1000, "reason": reasons}
        write(tmp_path / "rejected" / f"01-length-{shard:05d}.parquet", 1000, **fate)
    (tmp_path / "rejected" / "02-other-00000.parquet").write_bytes(b"PAR1 no")
    return tmp_path


def test_a_few_documents_of_each_fate_are_picked_without_reading_all(corpus, monkeypatch):
    read = []
    whole = pq.ParquetFile.read_row_group
    monkeypatch.setattr(pq.ParquetFile, "read_row_group", lambda *a, **k: read.append(k["columns"]) or whole(*a, **k))
    found = picks.pick(corpus)
    assert [(group["outcome"], group["reason"], len(group["documents"])) for group in found] == [
        ("kept", "", picks.EACH),
        ("rejected", "short", picks.EACH),
        ("rejected", "rare", picks.EACH),
    ]
    assert {(len(d["text"]), d["characters"]) for group in found for d in group["documents"]} == {
        (picks.CHARACTERS, 4500)
    }
    assert sum("text" in columns for columns in read) <= 2 + picks.FILES, "of 44 groups"
    assert found == picks.pick(corpus)


def test_a_training_is_told_beside_its_plan(registry, composed):
    spec = next(spec for spec in graph.build(composed(), registry) if spec.name == "pretrain")
    found = receipt.of_training(spec, {"device": "cpu", "tokens": 50, "peak_memory_bytes": 5}, 7200.0)
    assert found is not None
    assert found["used"]["money"] == pytest.approx(2 * found["price"])
    assert found["planned"]["tokens"] == 500
    assert set(found["planned"]) == set(found["used"])
    assert found["missing"] == ["the speed: the trainer did not say"]
    assert receipt.of_name("cuda", "NVIDIA A100-SXM4-80GB") == "a100-80gb"
    assert receipt.of_name("cuda", "NVIDIA GeForce RTX 4090") == "rtx4090"


@pytest.mark.parametrize(
    ("name", "went_on", "missing"),
    [
        ("Unheard 9000", False, ["time and money: Unheard 9000 is not in the planner's table"]),
        ("NVIDIA H100 80GB HBM3", True, ["time and money before the training was interrupted: these are of its last"]),
        ("NVIDIA H100 80GB HBM3", False, []),
    ],
)
def test_a_receipt_says_what_it_lacks_and_why(registry, composed, name, went_on, missing):
    spec = next(spec for spec in graph.build(composed(), registry) if spec.name == "pretrain")
    summary = {"device": "cuda", "device_name": name, "tokens": 50, "peak_memory_bytes": 5, "tokens_per_second": 1e6}
    found = receipt.of_training(spec, summary, 3600.0, went_on)
    assert found is not None
    assert [line[: len(begin)] for line, begin in zip(found["missing"], missing, strict=True)] == missing
    assert found["planned"]["memory_bytes"] > 0
    is_known = not name.startswith("Unheard")
    assert (found["used"]["money"] is not None, found["used"]["mfu"] is not None) == (is_known, is_known)


def test_the_meter_counts_money_where_a_price_is_known_and_it_is_a_cent_or_more(registry, composed):
    def said(device, steps):
        config = composed(f"pretrain.steps={steps}")
        spec = next(spec for spec in graph.build(config, registry) if spec.name == "pretrain")
        return receipt.Meter(spec)(device, 2, 1800.0)

    many = 10**15
    assert said("NVIDIA H100 80GB HBM3", many).startswith("$3.00 of $"), "two for half an hour at 3 dollars"
    assert said("NVIDIA H100 80GB HBM3", 1) == ""
    assert said("Unheard 9000", many) == ""


def test_the_circumstances_can_be_typed_again():
    made = circumstances.describe(["data.paths=[a b]", "+arch=gqa"], 0.0, {"p": "1"})
    assert made["command"] == "python -m core.run 'data.paths=[a b]' +arch=gqa"
    assert made["started"] == "1970-01-01T00:00:00Z"
    assert made["machine"]["cores"] >= 1
    assert made["plugins"] == {"p": "1"}


@pytest.mark.parametrize(("seconds", "said"), [(0.5, "0.5 s"), (89.0, "89.0 s"), (90.0, "1.5 min"), (5400.0, "1.50 h")])
def test_durations_as_people_say_them(seconds, said):
    assert headline.duration(seconds) == said


def test_the_sentence_of_a_corpus_alone():
    report = {"stages": [{"status": "ran", "seconds": 4.0, "peak_memory_bytes": 2**30}], "eval": [], "posttrain": {}}
    report |= {"funnel": [{"corpus": "web", "step": "read", "in": 50}], "data": {"documents": 40, "characters": 9000}}
    report["data"]["corpora"] = {"web": {}}
    assert headline.sentence(report) == (
        "A corpus of 40 documents (9.00 k characters) out of 50 records. It took 4.0 s and 1.0 GiB of memory."
    )


def score(task, metric, value, chance=None, **more):
    return {"model": "m", "task": task, "metric": metric, "value": value, "chance": chance, "n": 2376, **more}


SCORES = [
    score("arc", "acc_norm", 0.2, 0.25, low=0.1, high=0.3),
    score("arc", "acc", 0.0, 0.25),
    score("bbh", "exact_match", 0.28, aggregated="mean over items"),
    score("bbh_snarks", "exact_match", 0.5),
    score("validation", "nats_per_token", 2.41234, 7.625, low=2.4, high=2.43),
]


def test_the_sentence_has_the_first_metric_of_a_task_which_is_the_one_that_its_suite_asks_for():
    report = {"stages": [], "eval": SCORES, "posttrain": {}, "started_from": {"origin": None, "label": "there"}}
    assert "It reaches 20% on arc, where chance is 25%; 2.41 nats per token" in headline.sentence(report)


def test_the_sentence_about_a_model_that_was_aligned_says_what_it_reached_before():
    rows = [*SCORES, {**score("arc", "acc_norm", 0.3, 0.25), "model": "sft"}]
    report = {"stages": [], "eval": rows, "posttrain": {"sft": {}}, "started_from": {"label": "there"}}
    assert "The model there, then sft. It reaches 30% on arc (20% before), where" in headline.sentence(report)


def test_scores_in_the_terminal_are_a_line_a_task_without_the_parts_of_groups():
    assert headline.scores(SCORES) == [
        "arc 20.0 % acc_norm, 95 %: 10.0 to 30.0, chance 25.0, 2,376 items",
        "bbh 28.0 % exact_match, 2,376 items",
        "validation 2.412 nats_per_token, 95 %: 2.4 to 2.43, chance 7.625, 2,376 items",
    ]
    many = [score(f"task{number}", "acc", 0.5, 0.25) for number in range(headline.MOST_SCORES + 3)]
    assert headline.scores(many)[-1] == "and 3 more"
    assert headline.scores([score("judged", "score", None)]) == []
    held_out = {**score("validation", "nats_per_token", 2.4, 7.6), "n_of": "tokens"}
    assert headline.scores([held_out])[0].endswith(", 2,376 tokens")
