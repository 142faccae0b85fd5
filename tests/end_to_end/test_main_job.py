"""The main job with every real engine, made small by settings alone: run, reused, changed, killed and resumed."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from core.compare import arguments, build

pytestmark = pytest.mark.slow

SMALL = [
    "+arch=shared_ffn",
    "+data=finemath",
    "data.source.scale=0.2",
    "tokenizer.vocab_size=1024",
    "pretrain.steps=12",
    "pretrain.seq_len=128",
    "pretrain.checkpoint_interval=4",
    "pretrain.validation_sequences=8",
    "eval.limit=24",
    "eval.perplexity_tokens=2048",
    "eval.answer_tokens=8",
]
BY_TRANSFORMERS = "eval.engine=transformers"
ALIGN = ["+posttrain=[sft,dpo]", "eval.engine=vllm"]
ALIGN += [
    f"posttrain.{method}.{setting}" for method in ("sft", "dpo") for setting in ("max_steps=3", "max_examples=80")
]


LONGEST = 1800
"""Seconds that a run may take on a machine that has other work: alone it takes one or two minutes."""


def start(folder, name, *overrides):
    command = [
        sys.executable,
        "-m",
        "core.run",
        *SMALL,
        *overrides,
        f"store={folder / 'store'}",
        f"run_dir={folder / name}",
    ]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(folder, name, *overrides):
    process = start(folder, name, *overrides)
    output, errors = process.communicate(timeout=LONGEST)
    assert process.returncode == 0, f"{output}\n{errors}"
    return json.loads((folder / name / "report.json").read_text())


def statuses(report):
    return {stage["name"]: stage["status"] for stage in report["stages"]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("main_job")


@pytest.fixture(scope="module")
def report(folder):
    return run(folder, "first", *ALIGN)


def artifact(report, stage):
    return Path(next(row["artifact"] for row in report["stages"] if row["name"] == stage))


def test_every_stage_ran_and_every_record_is_accounted_for(report):
    assert set(statuses(report).values()) == {"ran"}
    records = report["funnel"][0]["in"]
    aside = sum(sum(step[kind].values()) for step in report["funnel"] for kind in ("rejected", "failed"))
    assert records == aside + report["funnel"][-1]["kept"]
    assert report["funnel"][-1]["kept"] == report["data"]["documents"] > 50


def test_training_is_reported(report):
    training = report["pretrain"]
    assert training["stored_parameters"] < training["executed_parameters"]
    assert training["engine"]["name"] == "torchtitan"
    assert training["tokens"] == 12 * 4 * 128
    assert training["loss_curve"][-1][1] < training["loss_curve"][0][1]
    assert training["validation_loss"] > 0
    assert training["unigram_loss"] > 0
    assert set(training["verification"]["max_difference"]) == {"TorchTitan - Transformers", "TorchTitan - vLLM"}
    assert max(training["verification"]["max_difference"].values()) < 1e-3


def test_evaluation_is_reported_before_and_after(report):
    for model in ("pretrain", "dpo"):
        rows = {(row["task"], row["metric"]): row for row in report["eval"] if row["model"] == model}
        row = rows["smallwright_lesson_completion", "acc"]
        assert (row["n"], row["chance"], row["engine"]["name"]) == (24, 0.25, "vllm")
        assert rows["validation", "nats_per_token"]["n"] > 500
    assert report["posttrain"]["sft"]["eval_after"]["loss"] < report["posttrain"]["sft"]["eval_before"]["loss"]
    assert "eval_after" in report["posttrain"]["dpo"]


def test_the_export_loads_and_holds_one_feed_forward_network(report):
    from safetensors import safe_open
    from transformers import AutoModelForCausalLM, AutoTokenizer

    for stage in ("pretrain", "dpo"):
        exported = artifact(report, stage) / "hf"
        with safe_open(next(exported.glob("*.safetensors")), "pt") as weights:
            names = list(weights.keys())
        assert len([name for name in names if "mlp" in name or "ffn" in name]) == 3
        model = AutoModelForCausalLM.from_pretrained(exported, trust_remote_code=True)
        assert sum(p.numel() for p in model.parameters()) == report["pretrain"]["stored_parameters"]
        assert len(AutoTokenizer.from_pretrained(exported)) == 1024


def test_the_report_is_one_file_without_a_network(folder, report):
    page = (folder / "first" / "report.html").read_text()
    assert "default-src 'none'" in page
    assert not re.search(r"""(?:src|href)=["'](?!#|\.\./store/eval/)""", page.partition("<script>")[0])
    assert "smallwright_lesson_completion" in page
    assert len(page.encode()) < 3_000_000


@pytest.fixture(scope="module")
def changed(folder, report):
    """The run again, with another evaluation."""
    return run(folder, "changed", BY_TRANSFORMERS)


def test_a_second_run_reuses_everything_and_a_changed_evaluation_only_that(folder, report, changed):
    again = run(folder, "again", *ALIGN)
    assert set(statuses(again).values()) == {"reused"}
    assert again["pretrain"] == report["pretrain"]
    assert {name for name, status in statuses(changed).items() if status == "ran"} == {"eval"}


def test_a_run_killed_in_any_stage_goes_on_to_the_same_result(tmp_path, report, changed, wait_for_ends):
    """Without vLLM, whose start is most of the time: it has no part in going on. One worker does what several did."""
    light = [BY_TRANSFORMERS, "pretrain.verify_vllm=false", "executor.workers=1"]
    for stage in ("data", "tokenizer", "pretrain", "eval"):
        process = start(tmp_path, f"killed-{stage}", *light)
        deadline = time.monotonic() + LONGEST
        while not _under_way(tmp_path, f"killed-{stage}", stage):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL, f"{stage} had ended"
        wait_for_ends(tmp_path)
    final = run(tmp_path, "final", *light)
    assert statuses(final)["pretrain"] == "reused"
    assert final["pretrain"]["loss_curve"] == report["pretrain"]["loss_curve"]
    assert final["pretrain"]["validation_loss"] == report["pretrain"]["validation_loss"]
    assert [row["value"] for row in final["eval"]] == [row["value"] for row in changed["eval"]]
    assert final["funnel"] == report["funnel"]


def _under_way(folder, name, stage):
    """Whether a stage has begun its work; training, when it is past its first checkpoint."""
    if stage == "pretrain":
        files = list((folder / "store" / "pretrain").glob("*/metrics.jsonl"))
        return bool(files) and len(files[0].read_text().splitlines()) >= 6
    begun = folder / name / "logs" / (f"{stage}.progress" if stage == "eval" else f"{stage}.log")
    return begun.exists() and (stage != "eval" or begun.stat().st_size > 0)


def test_base_and_aligned_model_are_compared_on_the_same_items(folder, report):
    sides, notes = arguments.read([str(folder / "first")], None)
    found = build.compare(sides, 0, notes, [], None)
    assert [side["name"] for side in found["sides"]] == ["pretrain", "dpo"]
    tested = {(row["task"], row["metric"]): row for row in found["tasks"] if row["pairs"]}
    row = tested["smallwright_lesson_completion", "acc"]
    assert (row["items"], row["note"]) == (24, "")
    before, after = row["values"]
    assert row["pairs"][0]["difference"] == pytest.approx(after - before)
    assert {one["key"] for one in found["differences"]} >= {"posttrain.sft.max_steps", "posttrain.dpo.max_steps"}


def test_lineage_reaches_the_crawl(folder, report):
    command = [sys.executable, "-m", "core.lineage", str(artifact(report, "eval-dpo")), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ".warc.gz" in done.stdout
