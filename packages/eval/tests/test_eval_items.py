"""Single items of an evaluation and the rows made of them, of tasks of several kinds on a tiny model."""

import hashlib
import json
import math

import core.samples
import pytest
from core.errors import InputError
from core.interfaces import Job
from smallwright_eval import parity, statistics
from smallwright_eval.config import LMEvalConfig
from smallwright_eval.stage import LMEval
from smallwright_testing.models import tiny_model

pytestmark = pytest.mark.slow

CHOSEN = """task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {name}.jsonl}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{passage}}}} {{{{question}}}}"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: label
metric_list: [{{metric: acc}}, {{metric: acc_norm}}, {{metric: acc_mutual_info}}]
"""
SAID = """task: said
dataset_path: json
dataset_kwargs: {data_files: {test: few.jsonl}}
test_split: test
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "{{choices[label]}}"
generation_kwargs: {until: ["zzzz"], max_gen_toks: 6}
metric_list: [{metric: exact_match}]
filter_list:
  - {name: whole, filter: [{function: take_first}]}
  - {name: letter, filter: [{function: regex, regex_pattern: "([a-z])"}, {function: take_first}]}
"""
GROUP = "group: {name}\ntask: [few, more]\naggregate_metric_list: [{{metric: acc, weight_by_size: {weighted}}}]\n"
LONG = "far " * 1500


def items(name, count, shared):
    return [
        {
            "id": f"{name}-{n}",
            "passage": f"passage {n // shared}" if n else LONG,
            "question": f"what is {n} of {count}?",
            "choices": ["one", "seven", "two", "eleven"][: 2 + 2 * (n % 2)],
            "label": n % 2,
            "subject": f"s{n % 3}",
        }
        for n in range(count)
    ]


def evaluate(root, output, progress=None, **settings):
    given = {
        "tasks": ("passages", "said", "by_size", "by_task"),
        "task_paths": (str(root / "tasks"),),
        "engine": "transformers",
        "dtype": "float32",
        "prompts": (),
        "fewshot_by_task": {"passages": 2},
    }
    stage = LMEval(LMEvalConfig(**{**given, **settings}))
    told = {} if progress is None else {"progress": progress}
    return stage.run(Job(name="eval", output=output, inputs={"model": root / "model"}, seed=0, **told))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("items")
    tiny_model(root / "model")
    (root / "tasks").mkdir()
    for name, count, shared in (("passages", 24, 2), ("few", 6, 1), ("more", 9, 1)):
        lines = "".join(json.dumps(item) + "\n" for item in items(name, count, shared))
        (root / f"tasks/{name}.jsonl").write_text(lines)
        (root / f"tasks/{name}.yaml").write_text(CHOSEN.format(name=name))
    (root / "tasks/said.yaml").write_text(SAID)
    for name, weighted in (("by_size", "true"), ("by_task", "false")):
        (root / f"tasks/{name}.yaml").write_text(GROUP.format(name=name, weighted=weighted))
    return root


@pytest.fixture(scope="module")
def done(root):
    summary = evaluate(root, root / "output")
    rows = {(row["task"], row["metric"]): row for row in summary["eval"]}
    found = {}
    for sample in core.samples.read(root / "output/samples.parquet"):
        found.setdefault((sample["task"], sample.get("group"), sample.get("filter")), []).append(sample)
    return rows, found


def test_an_item_has_what_was_sent_and_what_came_back(root, done):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(root / "model/hf")
    sample = done[1]["passages", None, None][5]
    assert (sample["id"], sample["subject"], sample["label"]) == ("passages-5", "s2", 1)
    assert sample["prompt"].endswith("\n\npassage 2 what is 5 of 24?")
    assert sample["prompt"].count("what is") == 3, "two examples before it"
    assert [done[0][name]["num_fewshot"] for name in (("passages", "acc"), ("few", "acc"))] == [2, 0]
    assert sample["prompt_tokens"] == len(tokenizer(sample["prompt"], add_special_tokens=False)["input_ids"])
    assert sample["choices"] == [" one", " seven", " two", " eleven"]
    assert sample["gold"] == " seven"
    assert len(sample["loglikelihoods"]) == len(sample["unconditional"]) == len(sample["answer_tokens"]) == 4
    assert sample["chosen"] == max(range(4), key=sample["loglikelihoods"].__getitem__)
    assert sample["correct"] == (sample["chosen"] == 1) == bool(sample["metrics"]["acc"])
    assert not sample["cut"]


def test_a_prompt_longer_than_the_model_is_cut_counted_and_kept_in_part(done):
    rows, found = done
    sample = next(one for one in found["few", "by_size", None] if one["id"] == "few-0")
    prompt = f"{LONG} what is 0 of 6?"
    assert (len(sample["prompt"]), sample["prompt"]) == (4000, prompt[-4000:])
    assert sample["prompt_characters"] == len(prompt)
    assert sample["prompt_hash"] == hashlib.sha256(prompt.encode()).hexdigest()[:16]
    assert sample["cut"]
    assert sample["prompt_tokens"] > 512
    assert (rows["by_size", "acc"]["cut_items"], rows["few", "acc"]["cut_items"]) == (2, 1)
    row, long = rows["passages", "acc"], found["passages", None, None][0]
    assert (long["cut"], long["lost_fewshots"]) == (True, 2), "the item alone is longer than the model reads"
    assert 1 < row["cut_items"] < row["lost_fewshots"] < 2 * row["cut_items"], "and it is an example of others"


def test_an_answer_stands_with_what_was_taken_from_it(done):
    rows, found = done
    whole, letter = found["said", None, "whole"], found["said", None, "letter"]
    assert [one["answers"] for one in whole] == [one["answers"] for one in letter]
    for one, two in zip(whole, letter, strict=True):
        assert one["extracted"] == one["answers"]
        assert two["extracted"][0] in ("[invalid]", *one["answers"][0])
        assert 0 <= one["answer_tokens"][0] <= 6
        assert one["gold"] in ("one", "seven")
    assert rows["said", "exact_match,letter"]["interval"] == "Wilson"
    empty = sum(not one["answers"][0].strip() for one in whole)
    assert rows["said", "exact_match,whole"]["empty_answers"] == empty


def test_items_of_one_passage_are_a_cluster_and_chance_is_of_each_item(done):
    rows, found = done
    row, samples = rows["passages", "acc"], found["passages", None, None]
    values = [sample["metrics"]["acc"] for sample in samples]
    clusters = ["long", *(str(n // 2) for n in range(1, 24))]
    wanted = statistics.of_items(values, clusters, [0.5, 0.25] * 12)
    assert {key: row[key] for key in wanted} == pytest.approx(wanted)
    assert (row["clustered_by"], row["clusters"], row["p_test"]) == ("passage", 13, "exact binomial")
    assert row["chance"] == pytest.approx(0.375)


def test_groups_say_how_they_were_put_together(done):
    rows, _ = done
    by_size, by_task = rows["by_size", "acc"], rows["by_task", "acc"]
    few, more = rows["few", "acc"]["value"], rows["more", "acc"]["value"]
    assert by_size["n"] == by_task["n"] == 15
    assert (by_size["aggregated"], by_task["aggregated"]) == ("mean over items", "mean over tasks")
    assert few != more
    assert by_size["value"] == pytest.approx((6 * few + 9 * more) / 15)
    assert by_task["value"] == pytest.approx((few + more) / 2)
    for row in (by_size, by_task):
        assert (row["mean_over_items"], row["mean_over_tasks"]) == pytest.approx((by_size["value"], by_task["value"]))
    assert by_size["chance"] == pytest.approx((8 * 0.5 + 7 * 0.25) / 15)
    assert by_task["chance"] == pytest.approx((0.375 + (5 * 0.5 + 4 * 0.25) / 9) / 2)
    assert by_size["p_value"] == by_task["p_value"] > 0
    assert math.isfinite(by_task["stderr"])


def test_scores_and_answers_are_those_of_lm_evals_own_backend(root, done, tmp_path):
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from smallwright_eval import cuts, local_tasks, results

    config = LMEvalConfig(tasks=("few", "said"), task_paths=(str(root / "tasks"),))
    manager = local_tasks.task_manager(config, tmp_path)
    lm = HFLM(pretrained=str(root / "model/hf"), dtype="float32", device="cpu", batch_size=1)
    ours = [row for rows in done[1].values() for row in rows if row.get("group") in (None, "by_size")]
    for name in config.tasks:
        task = manager.load([name])["tasks"][name]
        answer = simple_evaluate(model=lm, tasks=[name], task_manager=manager, log_samples=True)
        theirs = results.measured(name, task, answer, cuts.Seen(lm.tok_encode), None).items
        found = parity.difference(ours, theirs, ("transformers", "HFLM"))
        assert found["items"] + found["cut_items"] == len(theirs)
        assert not found["differing"]
        assert found["same_answers"] in (None, 1.0)
        assert (found["largest_difference"] or 0) < 1e-4


def test_a_model_from_outside_has_unknown_training_data(done):
    told = done[0]["passages", "acc"]["contamination"]
    assert (told["checked"], told["documents_removed"]) == ("unknown", None)


def test_an_answer_that_may_be_longer_than_the_model_is_bounded(root, tmp_path, capfd):
    (tmp_path / "long.yaml").write_text(
        f"include: {root / 'tasks/said.yaml'}\ntask: long\n"
        f"dataset_kwargs: {{data_files: {{test: {root / 'tasks/few.jsonl'}}}}}\n"
        "generation_kwargs: {until: [zzzz], max_gen_toks: 5000}\n"
    )
    settings = {"tasks": ("long",), "task_paths": (str(tmp_path),), "fewshot_by_task": None, "limit": 1}
    summary = evaluate(root, tmp_path / "output", engine="auto", max_model_len=32, **settings)
    assert summary["engine"]["name"] == "transformers", "what starts first, for so little"
    assert "engine_table.yaml" in summary["engine"]["chosen"] or "not installed" in summary["engine"]["chosen"]
    assert "bounded by 16 tokens, half of what the model reads" in capfd.readouterr().out
    assert {row["n"] for row in summary["eval"]} == {1}
    assert summary["perplexity"] is None, "there are no tokens"


def test_a_column_that_a_task_reads_and_no_item_has_is_named_before_the_engine_starts(root, tmp_path):
    (tmp_path / "bare.yaml").write_text(
        f"include: {root / 'tasks/said.yaml'}\ntask: bare\n"
        f"dataset_kwargs: {{data_files: {{test: {root / 'tasks/few.jsonl'}}}}}\n"
        'doc_to_text: "{% if id %}{{ questoin }}{% endif %}"\n'
    )
    settings = {"tasks": ("bare",), "task_paths": (str(tmp_path),), "fewshot_by_task": None}
    with pytest.raises(InputError, match=r"an item of bare lacks what the task reads of it: 'questoin' is undefined"):
        evaluate(root, tmp_path / "output", **settings)


def test_the_time_that_is_left_counts_what_the_other_engine_is_asked(root, tmp_path, monkeypatch):
    monkeypatch.setattr(parity, "other", lambda engine: engine)  # it is the same, so that no other one is started
    told = []

    def note(done, total=None, unit="", note=""):
        told.append((done, total))

    asked = {"tasks": ("few", "said"), "limit": 4, "fewshot_by_task": None, "parity": True}
    found = evaluate(root, tmp_path, note, parity_items=3, **asked)["parity"]
    assert (found["items"], found["cut_items"], found["largest_difference"]) == (8, 1, 0.0), "said has two filters"
    assert told[0] == (0, None), "while tasks are read nothing is known"
    assert {(done, 14) for done in (0, 4, 8, 11, 14)} < set(told[1:]), "within a task it moves, too"
    assert told[1:] == sorted(told[1:])
    (tmp_path / "work/transformers/2-parity.json").unlink()
    told.clear()
    found = evaluate(root, tmp_path, note, parity_items=99, **asked)["parity"]
    assert (found["items"], found["cut_items"]) == (11, 1), "no more than had an answer"
    assert told[1] == (8, 16), "what an earlier process did is no part of the speed"
