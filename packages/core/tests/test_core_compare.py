"""Sides laid beside each other: what is paired, what is left out and said, and what is refused in one line."""

import dataclasses
import json
import math
import shutil
from pathlib import Path

import pytest
from core.compare import __main__ as command
from core.compare import arguments, build, published
from core.compare.sides import named
from core.errors import InputError, UserError
from core.local_files import import_file

made = import_file(Path(__file__).with_name("comparable.py"))

WORSE = [1] * 20 + [0] * 20
BETTER = [1] * 32 + [0] * 8
PEER = published.Published(
    model="Peer-1M", parameters=1100, task="Arithmetic", metric="acc_norm", shots=5, form="cloze", value=61.5,
    source="a paper", harness="lighteval", chat_template=None, note="", ours=(("arith", "acc"),), our_form="letters",
)  # fmt: skip


def evaluated(right, **more):
    samples = made.answers(right)
    return [made.row(samples, **more)], samples


@pytest.fixture
def two(tmp_path):
    """Two runs of one store: the second is better, and has an aligned model too."""
    root = tmp_path / "store"
    made.run(tmp_path / "runs/a", root, "first", {"pretrain": evaluated(WORSE)}, losses=(3.0, 2.5, 2.0))
    config = {"pretrain": {"learning_rate": 0.001}, "posttrain": {"sft": {"epochs": 3}}}
    models = {"pretrain": evaluated(WORSE), "sft": evaluated(BETTER)}
    made.run(tmp_path / "runs/b", root, "second", models, config=config)
    return tmp_path / "runs"


def compare(*places, baseline=0, others=(), wanted=None, store=None):
    sides, notes = arguments.read([str(place) for place in places], store)
    return build.compare(sides, baseline, notes, others, wanted)


def test_the_last_models_of_two_runs_are_paired_item_by_item(two):
    found = compare(two / "a", two / "b")
    (row,) = found["tasks"]
    (pair,) = row["pairs"]
    assert (row["items"], row["values"], row["left_out"]) == (40, [0.5, 0.8], [0, 0])
    assert (pair["a"], pair["b"], pair["difference"]) == ("first", "second:sft", pytest.approx(0.3))
    assert pair["p"] == pair["p_adjusted"] == pytest.approx(2 / 2**12)
    assert row["note"] == ""
    assert found["sentence"] == (
        "Against first, on the same items, at 5 % after Holm's correction: second:sft is better on 1 of 1 measure."
    )
    costs = [[side[key] for key in ("parameters", "tokens", "seconds", "peak_memory_bytes")] for side in found["sides"]]
    assert costs == [[1000, 500, 10.0, 2**30], [1000, 570, 20.0, 2**30]], "evaluation is no part of the cost"


def test_of_the_settings_the_differing_ones_are_shown_with_defaults_for_what_was_not_given(two):
    assert compare(two / "a", two / "b:sft")["differences"] == [
        {"key": "posttrain.sft.epochs", "values": [None, 3]},
        {"key": "pretrain.learning_rate", "values": [0.004, 0.001]},
    ]
    assert [one["key"] for one in compare(two / "a", two / "b:pretrain")["differences"]] == ["pretrain.learning_rate"]


def test_where_files_lie_is_no_difference_but_which_files_is(tmp_path):
    for name, paths in (("a", ["/x/one.gz"]), ("b", ["/y/one.gz"]), ("c", ["/x/two.gz"])):
        samples = evaluated(WORSE if name == "a" else BETTER)
        made.run(tmp_path / name, tmp_path / "store", name, {"pretrain": samples}, config={"data": {"paths": paths}})
    assert compare(tmp_path / "a", tmp_path / "b")["differences"] == []
    assert compare(tmp_path / "a", tmp_path / "c")["differences"] == [
        {"key": "data.paths", "values": [["one.gz"], ["two.gz"]]}
    ]


def test_losses_lie_over_each_other_and_one_training_is_one_curve(two):
    (curve,) = compare(two / "a", two / "b")["curves"].values()
    assert [one["side"] for one in curve["sides"]] == ["first", "second:sft"]
    assert curve["sides"][0]["points"][-1] == [2, 2.0]
    assert compare(two / "b")["curves"] == {}, "base and aligned model come from one training"


def test_a_run_alone_is_its_base_and_its_aligned_model(two):
    assert [side["name"] for side in compare(two / "b")["sides"]] == ["pretrain", "sft"]


def test_only_the_items_that_all_sides_have_are_compared_and_the_others_counted(tmp_path):
    for name, right in (("a", WORSE), ("b", BETTER[:36]), ("c", BETTER)):
        made.run(tmp_path / name, tmp_path / "store", name, {"pretrain": evaluated(right)})
    (row,) = compare(*(tmp_path / name for name in "abc"), baseline=2)["tasks"]
    assert (row["items"], row["left_out"]) == (36, [4, 0, 4])
    assert row["note"] == "left out, since not all sides have them: a 4, c 4"
    assert row["values"] == pytest.approx([20 / 36, 32 / 36, 32 / 36])
    assert [(pair["a"], pair["b"]) for pair in row["pairs"]] == [("c", "a"), ("c", "b")]
    assert row["pairs"][0]["p_adjusted"] == pytest.approx(2 * row["pairs"][0]["p"])


def test_questions_of_another_set_under_the_same_ids_are_not_compared(tmp_path):
    both = made.answers(WORSE, task="other")
    other = [{**sample, "hash": f"x{n}"} for n, sample in enumerate(made.answers(BETTER))]
    for name, samples in (("a", made.answers(WORSE)), ("b", other)):
        rows = [made.row(samples), made.row(both, task="other")]
        made.run(tmp_path / name, tmp_path / "store", name, {"pretrain": (rows, [*samples, *both])})
    arith, same = compare(tmp_path / "a", tmp_path / "b")["tasks"]
    assert (arith["pairs"], arith["values"], arith["note"].partition(";")[0]) == (
        [], [0.5, 0.8], "b was asked other questions: not compared")  # fmt: skip
    assert same["items"] == 40


def test_items_without_hashes_are_known_by_their_ids_and_it_is_said(two):
    for place in ("first-pretrain", "second-sft"):
        folder = two.parent / "store/eval" / place
        config = {"samples": made.answers(WORSE if place.startswith("first") else BETTER)}
        shutil.rmtree(folder)
        for sample in config["samples"]:
            sample.pop("hash")
        made.artifact(two.parent / "store", "eval", place, stage="eval", samples=config["samples"])
    (row,) = compare(two / "a", two / "b")["tasks"]
    assert row["items"] == 40
    assert row["note"] == "items are known by their ids alone: an evaluation kept no hash of the questions"


def test_losses_of_held_out_documents_are_paired_and_of_others_stand_alone(tmp_path):
    base = [200.0 + n for n in range(12)]
    for name, losses in (("a", base), ("b", [loss - 10 - n % 3 for n, loss in enumerate(base)])):
        samples, row = made.documents(losses)
        extra = {**row, "metric": "perplexity", "value": 9.0}
        made.run(tmp_path / name, tmp_path / "store", name, {"pretrain": ([row, extra], samples)})
        made.run(tmp_path / "alone" / name, tmp_path / "alone/store", name, {"pretrain": ([extra], samples)})
    samples, row = made.documents(base)
    made.run(tmp_path / "c", tmp_path / "store", "c", {"pretrain": ([row], None)})
    nats, perplexity = compare(tmp_path / "a", tmp_path / "b")["tasks"]
    assert (nats["items"], nats["pairs"][0]["test"]) == (12, "sign-flip permutation")
    assert nats["pairs"][0]["difference"] == pytest.approx(-0.11)
    assert nats["pairs"][0]["p"] == pytest.approx(2 / 2**12)
    assert build.verdict(nats, nats["pairs"][0]) == "better", "less is better"
    assert (perplexity["pairs"], perplexity["note"]) == ([], "not tested: it follows from nats_per_token")
    (alone,) = compare(tmp_path / "alone" / "a", tmp_path / "alone" / "b")["tasks"]
    assert (alone["pairs"], "nats_per_token" in alone["note"]) == ([], False), "no such row stands in the table"
    (nats,) = compare(tmp_path / "a", tmp_path / "c")["tasks"]
    assert nats["pairs"] == []
    assert nats["stderrs"] == [0.1, 0.1]
    assert nats["note"].startswith("unpaired")


PARTS = (slice(10), slice(10, None))


@pytest.mark.parametrize(("tasks", "more"), [(("group_x", "group_y"), {}), (("few", "rest"), {"group": "group"})])
def test_a_group_is_compared_by_the_items_of_its_tasks_and_a_filter_by_its_own(tmp_path, tasks, more):
    for name, right in (("a", WORSE), ("b", BETTER)):
        few, rest = (made.answers(right[at], task=task, **more) for task, at in zip(tasks, PARTS, strict=True))
        parts = [*few, *rest]
        strict = made.answers(right, task="sums", metric="exact_match", filter="strict")
        loose = made.answers([1] * 40, task="sums", metric="exact_match", filter="loose")
        whole = {**made.row(parts, task=""), "task": "group"}
        rows = [whole, *(made.row(part, task=task) for part, task in zip((few, rest), tasks, strict=True))]
        rows += [made.row(strict, task="sums", metric="exact_match,strict")]
        made.run(tmp_path / name, tmp_path / "store", name, {"pretrain": (rows, [*parts, *strict, *loose])})
    group, sums = compare(tmp_path / "a", tmp_path / "b")["tasks"]
    assert (group["task"], group["items"], group["note"]) == ("group", 40, "the items of its 2 tasks together")
    assert (sums["metric"], sums["values"]) == ("exact_match,strict", [0.5, 0.8])


def test_a_score_that_is_no_mean_over_items_is_not_tested(tmp_path):
    for name, right in (("a", WORSE), ("b", BETTER)):
        rows, samples = evaluated(right)
        rows += [{**rows[0], "metric": "f1", "value": 0.9}]
        samples = [{**sample, "metrics": {**sample["metrics"], "f1": 1.0}} for sample in samples]
        made.run(tmp_path / name, tmp_path / "store", name, {"pretrain": (rows, samples)})
    assert [len(row["pairs"]) for row in compare(tmp_path / "a", tmp_path / "b")["tasks"]] == [1, 0]


def test_what_differs_in_how_sides_were_measured_is_said(tmp_path):
    root = tmp_path / "store"
    made.run(tmp_path / "a", root, "a", {"pretrain": evaluated(WORSE)}, eval_config={"apply_chat_template": False})
    other = {"pretrain": evaluated(BETTER, num_fewshot=5, engine={"name": "transformers", "version": "5"})}
    made.run(tmp_path / "b", root, "b", other, eval_config={"apply_chat_template": True})
    (row,) = compare(tmp_path / "a", tmp_path / "b")["tasks"]
    assert (
        row["note"] == "shots differ: 0, 5; engine differs: vllm 1, transformers 5; chat template differs: False, True"
    )


def test_runs_of_a_sweep_are_sides_and_failed_ones_are_left_out(tmp_path):
    place = made.sweep(tmp_path / "sweep", tmp_path / "store", [0.1, 0.2, 0.3, 0.4], [WORSE, BETTER, WORSE, None])
    found = compare(place)
    assert [side["name"] for side in found["sides"]] == ["learning_rate=0.1", "learning_rate=0.2", "learning_rate=0.3"]
    assert found["notes"] == [f"{place}#4 is left out: failed: stage eval failed: no."]
    assert [side["name"] for side in compare(f"{place}#1", f"{place}#3")["sides"]] == [
        "learning_rate=0.1", "learning_rate=0.3"]  # fmt: skip


def test_runs_of_a_sweep_over_files_are_named_by_them(tmp_path):
    place = made.sweep(tmp_path / "sweep", tmp_path / "store", ["/data/a.gz", "/data/b.gz"], [WORSE, BETTER])
    assert [side["name"] for side in compare(place)["sides"]] == ["learning_rate=a.gz", "learning_rate=b.gz"]


def test_many_sides_are_counted_in_the_sentence(tmp_path):
    scores = [WORSE, BETTER, [1] * 30 + [0] * 10, [0] * 40, [1] * 19 + [0] * 21, [1] * 18 + [0] * 22]
    place = made.sweep(tmp_path / "sweep", tmp_path / "store", [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], scores)
    assert compare(place)["sentence"].partition("correction: ")[2] == (
        "2 of 5 sides are better on a measure; 1 of 5 sides are worse on a measure; 2 differ significantly on none."
    )


def test_runs_of_a_sweep_with_one_evaluation_are_one_side(tmp_path):
    place = made.sweep(tmp_path / "sweep", tmp_path / "store", [0.1, 0.2], [WORSE, BETTER])
    shutil.copy(place / "r1/report.json", tmp_path / "same.json")
    content = json.loads((place / "sweep.json").read_text())
    content["runs"].append({**content["runs"][0], "number": 3, "values": {"pretrain.learning_rate": "0.10"}})
    (place / "sweep.json").write_text(json.dumps(content))
    found = compare(place)
    assert len(found["sides"]) == 2
    assert found["notes"] == [f"{place}#3 is left out: its model and evaluation are those of {place}#1."]


def test_a_model_has_the_evaluations_of_its_store_that_ask_most(two):
    root = two.parent / "store"
    few = made.answers(BETTER[:5])
    judged = {"stage": "eval", "inputs": {"model": "pretrain/first-pretrain"}, "summary": {"eval": [made.row(few)]}}
    made.artifact(root, "eval", "later", samples=few, started=9.0, **judged)
    made.artifact(root, "eval", "broken", stage="eval")
    (root / "eval/broken/manifest.json").write_text("{")
    found = compare(root / "pretrain/first-pretrain", root / "posttrain/second-sft")
    assert [side["name"] for side in found["sides"]] == ["first", "second"]
    assert (found["tasks"][0]["items"], found["tasks"][0]["values"]) == (40, [0.5, 0.8])
    assert found["notes"][1] == "first: of 2 evaluations these count: first-pretrain."
    assert "broken/manifest.json is damaged" in found["notes"][0]
    assert {"key": "posttrain.sft.seed", "values": [None, 0]} not in found["differences"]
    assert [side["tokens"] for side in found["sides"]] == [500, 1000]


def test_evaluations_that_left_the_store_have_their_scores_alone(two):
    shutil.rmtree(two.parent / "store/eval/first-pretrain")
    found = compare(two / "a", two / "b")
    assert found["notes"] == ["first: its evaluation is not in the store: only its scores are compared."]
    assert (found["tasks"][0]["values"], found["tasks"][0]["pairs"]) == ([0.5, 0.8], [])


def test_a_score_that_is_no_number_is_said_and_one_evaluation_can_be_a_side(two):
    rows, samples = evaluated(WORSE)
    rows[0]["value"] = math.nan
    made.run(two / "c", two.parent / "store", "third", {"pretrain": (rows, samples)})
    (row,) = compare(two.parent / "store/eval/first-pretrain", two / "c")["tasks"]
    assert (row["values"], row["pairs"], row["note"].partition(";")[0]) == ([0.5, None], [], "third: not a number")


def test_a_moved_store_is_named(two, tmp_path):
    shutil.move(tmp_path / "store", tmp_path / "elsewhere")
    assert compare(two / "a", two / "b")["tasks"][0]["pairs"] == []
    assert compare(two / "a", two / "b", store=tmp_path / "elsewhere")["tasks"][0]["items"] == 40
    with pytest.raises(InputError, match="nowhere: no such folder"):
        compare(two / "a", two / "b", store=tmp_path / "nowhere")


def test_published_scores_stand_beside_ours_with_what_differs(two):
    (row,) = compare(two / "a", two / "b", others=[PEER])["published"]
    assert (row["value"], row["ours"]) == (61.5, [50.0, 80.0])
    assert row["differences"] == [
        "metric: acc_norm there, acc here",
        "shots: 5 there, 0 here",
        "prompt: cloze there, letters here",
        "harness: lighteval there, lm_eval 0 here",
        "engine: vllm here",
    ]


def test_a_chat_template_and_a_part_of_the_items_are_differences_of_protocol(tmp_path):
    for name, right in (("a", WORSE), ("b", BETTER)):
        settings = {"apply_chat_template": name == "a", "limit": 40}
        made.run(tmp_path / name, tmp_path / "s", name, {"pretrain": evaluated(right)}, eval_config=settings)
    peer = dataclasses.replace(
        PEER, chat_template=False, metric="acc", shots=0, form="letters", harness="lm_eval 0, vllm"
    )
    (row,) = compare(tmp_path / "a", tmp_path / "b", others=[peer])["published"]
    assert row["differences"][-2:] == [
        "chat template: off there, on and off here",
        "items: all there, at most 40 of each task here",
    ]


@pytest.mark.parametrize(
    ("wanted", "parameters", "shown"),
    [(None, 2000, 1), (None, 2001, 0), (None, None, 0), ("peer", 10**9, 1), ("all", None, 1)],
)
def test_published_models_are_shown_by_size_or_by_name(two, wanted, parameters, shown):
    other = dataclasses.replace(PEER, parameters=parameters)
    assert len(compare(two / "a", two / "b", others=[other], wanted=wanted)["published"]) == shown


def broken(two, place="a", **changes):
    path = two / place / "report.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def truncated_samples(two):
    path = two.parent / "store/eval/first-pretrain/samples.jsonl"
    path.write_text(path.read_text()[:-9])


def other_task(two):
    rows, samples = [made.row(made.answers(BETTER, task="other"), task="other")], made.answers(BETTER, task="other")
    made.run(two / "c", two.parent / "store", "third", {"pretrain": (rows, samples)})


def other_items(two):
    samples = [{**sample, "hash": f"x{n}"} for n, sample in enumerate(made.answers(BETTER))]
    made.run(two / "c", two.parent / "store", "third", {"pretrain": ([made.row(samples)], samples)})


def nothing(two):
    pass


@pytest.mark.parametrize(
    ("prepare", "sides", "said"),
    [
        (nothing, ["a", "nowhere"], "nowhere: no such folder. Give the folder of a run"),
        (nothing, ["a", "a"], "a: the same side twice."),
        (nothing, ["b", "b:sft"], "b:sft: the same side as "),
        (nothing, ["a"], "one side only"),
        (nothing, ["a", "b:dpo"], "b:dpo: the run evaluated pretrain, sft, not 'dpo'"),
        (nothing, ["a", "b#3"], "b#3: #3 names a run of a sweep, and "),
        (nothing, ["a", "../store"], "store: neither a run, nor a sweep, nor a model's artifact"),
        (lambda two: broken(two, eval=[]), ["a", "b"], "a: the run has no evaluation. Run its command"),
        (lambda two: broken(two, version=1), ["a", "b"], "has version 1, this core reads 2. Run its command again."),
        (lambda two: broken(two, eval=[{"model": "pretrain"}]), ["a", "b"], "damaged (KeyError: 'value')"),
        (lambda two: broken(two, stages=None), ["a", "b"], "report.json is damaged (TypeError"),
        *((lambda two, row=row: broken(two, eval=[{"model": "pretrain", **made.row(made.answers(WORSE)), **row}]),
           ["a", "b"], "report.json is damaged (") for row in ({"stderr": "x"}, {"n": []}, {"engine": 3})),
        *((lambda two, curve=curve: broken(two, curves={"pretrain": [{"key": "loss", **curve}]}),
           ["a", "b"], "report.json is damaged (") for curve in ({}, {"name": "", "unit": "", "points": [[1, None]]})),
        (lambda two: (two / "a/report.json").write_text("{"), ["a", "b"], "report.json is damaged (JSONDecodeError"),
        (lambda two: (two / "a/report.json").rename(two / "a/logs"), ["a", "b"], "a: neither a run"),
        (truncated_samples, ["a", "b"], "samples.jsonl is missing or was changed. Delete"),
        (other_task, ["a", "c"], "c: no task in common with "),
        (other_items, ["a", "c"], "c: no item in common with "),
        (lambda two: (two / "b/sweep.json").write_text("[]"), ["a", "b"], "sweep.json is damaged (TypeError"),
        (lambda two: (two / "b/sweep.json").write_text('{"runs": []}'), ["a", "b"], "no run of this sweep is finished"),
        (lambda two: (two / "b/sweep.json").write_text('{"runs": []}'), ["a", "b#1"], "no run 1 in this sweep"),
        (lambda two: (two / "b/sweep.json").write_text('{"runs": [], "version": 9}'), ["a", "b"], "has version 9, th"),
        (lambda two: made.sweep(two / "c", two.parent / "store", (1, 2), (WORSE, None)), ["c"],
         "c: one side only (" ),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_told_in_one_line(two, prepare, sides, said):
    prepare(two)
    with pytest.raises(UserError) as refused:
        compare(*(two / side for side in sides))
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_folder_of_a_model_is_told_how_to_become_a_side(two):
    (two / "m").mkdir()
    (two / "m/config.json").write_text("{}")
    with pytest.raises(InputError, match=r"Evaluate it \(python -m core\.run model="):
        compare(two / "a", two / "m")
    made.artifact(two.parent / "store", "pretrain", "lonely", stage="pretrain")
    with pytest.raises(InputError, match="no evaluation of it in"):
        compare(two / "a", two.parent / "store/pretrain/lonely")


def test_names_grow_until_they_tell_sides_apart(tmp_path):
    for place, right in (("x", WORSE), ("y", BETTER)):
        made.run(tmp_path / place / "run", tmp_path / place, "same", {"pretrain": evaluated(right)})
    sides = [arguments.run_side.sides(place, tmp_path / place / "run", None, None, every=False)[0] for place in "xy"]
    assert named(sides) == [str(tmp_path / "x/run"), str(tmp_path / "y/run")]
    assert named([sides[0], dataclasses.replace(sides[1], names=("other",))]) == ["same", "other"]


def test_the_command_writes_the_same_comparison_every_time(two, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SMALLWRIGHT_PLUGINS", "")
    assert command.main(["runs/a", "runs/b", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    (folder,) = (tmp_path / "runs").glob("compare-first-second-sft-*")
    written = (folder / "compare.json").read_bytes()
    assert json.loads(written) == printed
    assert printed["published"] == []
    assert command.main(["runs/a", "runs/b"]) == 0
    again = json.loads((folder / "compare.json").read_text())
    assert again.pop("command") == "python -m core.compare runs/a runs/b"
    assert again == {key: value for key, value in printed.items() if key != "command"}
    shown = capsys.readouterr().out
    for words in ("second:sft is better on 1 of 1 measure", "+30.0", "pretrain.learning_rate", "570", "20.0 s",
                  "no page: no installed plugin makes one. Install one: pip install smallwright-report"):  # fmt: skip
        assert words in shown, words
    assert command.main(["runs/a", "runs/b", "--baseline", "3"]) == 2
    assert command.main(["runs/a", "runs/b", "--published", "SmolLM9"]) == 2
    said = capsys.readouterr().err.splitlines()
    assert said == [
        "error: --baseline 3: there are 2 sides. Give a number from 1.",
        "error: --published SmolLM9: no such model. There are: none; no plugin brings any.",
    ]
