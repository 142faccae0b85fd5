"""The whole stage on a tiny random model: vLLM against Transformers, perplexity against a plain loss, resuming."""

import json
import os
import subprocess
import sys

import core.samples
import numpy as np
import pytest
from core.errors import ConfigError, InputError
from core.interfaces import Job
from core.token_files import TokenShards
from smallwright_eval.config import LMEvalConfig
from smallwright_eval.stage import LMEval
from smallwright_testing.tokens import write_tokens

ITEMS = 12
POSITIONS = 128
VOCAB = 300
TASK_YAML = """task: {name}
dataset_path: json
dataset_kwargs:
  data_files:
    test: {name}.jsonl
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{context}}}}"
doc_to_choice: choices
doc_to_target: label
metric_list:
  - metric: acc
  - metric: acc_norm
"""
SAID_YAML = """task: said
dataset_path: json
dataset_kwargs: {data_files: {test: second.jsonl}}
test_split: test
output_type: generate_until
doc_to_text: "{{context}}"
doc_to_target: "{{choices[label]}}"
generation_kwargs: {until: ["zzzz"], max_gen_toks: 8}
metric_list: [{metric: exact_match}]
"""
ASKED = {"prompts": ("red",), "answer_tokens": 8}
RUN_TWICE = """
import json, sys
from pathlib import Path
from core.interfaces import Job
from smallwright_eval.config import LMEvalConfig
from smallwright_eval.stage import LMEval
root, asked = Path(sys.argv[1]), json.loads(sys.argv[2])
kept, told = {}, []
both = ("first", "second")
for output, tasks in (("vllm", both), ("other", ("second", "said")), ("vllm_again", both)):
    given = {"task_paths": (str(root / "tasks"),), "engine": "vllm", "dtype": "float32", **asked}
    if output == "other":
        given |= {"num_fewshot": 2, "limit": 5, "prompts": ("blue is",), "answer_tokens": 5}
        given |= {"parity": True, "parity_items": 3}
    stage = LMEval(LMEvalConfig(tasks=tasks, **given))
    inputs = {"model": root / "model", "tokens": root / "tokens"}
    stage.run(Job(name="eval", output=root / output, inputs=inputs, seed=0, kept=kept,
        progress=lambda done, *more, note="", **other: told.append((done, note))))
(root / "told.json").write_text(json.dumps(told))
"""


def words(random, count):
    return " ".join(
        random.choice(["red", "blue", "sum", "of", "two", "and", "seven", "is", "far"]) for _ in range(count)
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A random Llama with a byte-level BPE tokenizer, two tasks, and tokens of eight documents, one of them long."""
    import random

    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    root = tmp_path_factory.mktemp("eval")
    chosen = random.Random(0)
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator([words(chosen, 50) for _ in range(20)], trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="<|endoftext|>")
    tokenizer.save_pretrained(root / "model/hf")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCAB,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=POSITIONS,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=0,
        initializer_range=0.2,  # far from uniform, so that the engines have something to differ in
    )
    LlamaForCausalLM(config).save_pretrained(root / "model/hf")
    (root / "tasks").mkdir()
    for name in ("first", "second"):
        items = [
            {
                "id": f"{name}-{i}",
                "context": words(chosen, 6 + i),
                "choices": [words(chosen, 2 + j) for j in range(4)],
                "label": chosen.randrange(4),
            }
            for i in range(ITEMS)
        ]
        (root / f"tasks/{name}.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
        (root / f"tasks/{name}.yaml").write_text(TASK_YAML.format(name=name))
    (root / "tasks/said.yaml").write_text(SAID_YAML)
    texts = [words(chosen, count) + " é" for count in (20, 5, 60, 300, 31, 9, 44, 17)]
    documents = [[*tokenizer(text)["input_ids"], 0] for text in texts]
    assert max(map(len, documents)) > 2 * POSITIONS
    size = sum(len(text.encode()) for text in texts)
    write_tokens(root / "tokens", [], documents, vocab_size=VOCAB, validation_bytes=size)
    first = sum(len(text.encode()) for text in texts[:5])
    write_tokens(root / "tokens-a", [], documents[:5], vocab_size=VOCAB, validation_bytes=first)
    write_tokens(
        root / "tokens-b", [], documents[5:], vocab_size=VOCAB, validation_bytes=size - first, unigram_loss=4.0
    )
    return root


def evaluate(root, output, progress=None, inputs=("model", "tokens"), **settings):
    given = {
        "tasks": ("first", "second"),
        "task_paths": (str(root / "tasks"),),
        "engine": "transformers",
        "prompts": (),
    }
    stage = LMEval(LMEvalConfig(**{**given, **ASKED, "dtype": "float32", **settings}))
    job = Job(name="eval", output=output, inputs={name: root / name for name in inputs}, seed=0)
    if progress is not None:
        job = Job(name="eval", output=output, inputs=job.inputs, seed=0, progress=progress)
    return stage.run(job)


def samples(output, held_out=False):
    items = list(core.samples.read(output / "samples.parquet"))
    return [item for item in items if (item["task"] == "validation") == held_out]


def value(summary, task, metric):
    return next(row["value"] for row in summary["eval"] if (row["task"], row["metric"]) == (task, metric))


@pytest.fixture(scope="module")
def by_transformers(root):
    summary = evaluate(root, root / "transformers")
    return summary, samples(root / "transformers")


@pytest.fixture(scope="module")
def by_vllm(root):
    """Three evaluations in a process of their own, the first with a new engine, the others with that one."""
    pytest.importorskip("vllm", reason="vLLM is an extra: pip install 'smallwright-eval[cpu]'")
    environment = {**os.environ, **LMEval(LMEvalConfig()).environment(), "ENGINE_OF_CODE": "vllm"}
    done = subprocess.run(
        [sys.executable, "-c", RUN_TWICE, str(root), json.dumps(ASKED)],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads((root / "vllm/results.json").read_text()), samples(root / "vllm")


@pytest.mark.slow
def test_vllm_and_transformers_agree_on_every_loglikelihood(by_vllm, by_transformers):
    (_, served), (_, reference) = by_vllm, by_transformers
    assert [item["id"] for item in served] == [item["id"] for item in reference]
    assert len(served) == 2 * ITEMS
    ours = np.array([item["loglikelihoods"] for item in served])
    theirs = np.array([item["loglikelihoods"] for item in reference])
    assert ours.shape == (2 * ITEMS, 4)
    assert np.ptp(theirs) > 10
    assert np.abs(ours - theirs).max() < 1e-3


@pytest.mark.slow
def test_vllm_and_transformers_agree_on_perplexity(by_vllm, by_transformers):
    for metric in ("nats_per_token", "bits_per_byte"):
        assert value(by_vllm[0], "validation", metric) == pytest.approx(
            value(by_transformers[0], "validation", metric), abs=1e-3
        )


@pytest.mark.slow
def test_an_engine_that_answered_another_evaluation_answers_as_a_new_one(root, by_vllm):
    for name in ("results.json", "samples.parquet", "answers.jsonl"):
        assert (root / "vllm" / name).read_bytes() == (root / "vllm_again" / name).read_bytes()


@pytest.mark.slow
def test_vllm_and_transformers_say_the_same_where_nothing_is_sampled(root, by_vllm, by_transformers):
    served, reference = ((root / name / "answers.jsonl").read_text().splitlines() for name in ("vllm", "transformers"))
    assert json.loads(served[0])["decoding"] == "greedy"
    assert served[0] == reference[0] != served[1]


@pytest.mark.slow
def test_parity_asks_the_first_items_on_the_other_engine(root, by_vllm):
    found = json.loads((root / "other/results.json").read_text())["parity"]
    assert (found["engines"], found["items"], found["loglikelihoods"]) == (["vllm", "transformers"], 6, 12)
    assert 0 < found["largest_difference"] < 1e-3
    assert (found["answers"], found["same_answers"]) == (3, 1.0), "a task that names no temperature is greedy on both"
    assert found["other"]["dtype"] == "float32"


@pytest.mark.slow
def test_rows_name_the_engine_which_tells_of_each_answer(root, by_vllm):
    told = json.loads((root / "told.json").read_text())
    assert all([5 + count, f"said: {count} requests"] in told for count in range(1, 6)), "behind 5 items of second"
    row = by_vllm[0]["eval"][0]
    assert (row["engine"]["name"], row["engine"]["dtype"]) == ("vllm", "float32")
    assert row["harness"]["name"] == "lm_eval"


def test_accuracy_and_its_error_follow_from_the_items(root, by_transformers):
    summary, items = by_transformers
    for task in ("first", "second"):
        labels = [json.loads(line)["label"] for line in (root / f"tasks/{task}.jsonl").read_text().splitlines()]
        best = [int(np.argmax(item["loglikelihoods"])) for item in items if item["task"] == task]
        hits = np.array([a == b for a, b in zip(best, labels, strict=True)], dtype=float)
        row = next(row for row in summary["eval"] if (row["task"], row["metric"]) == (task, "acc"))
        assert row["value"] == pytest.approx(hits.mean())
        assert row["stderr"] == pytest.approx(hits.std(ddof=1) / ITEMS**0.5)
        assert (row["n"], row["chance"]) == (ITEMS, 0.25)
        assert [item["correct"] for item in items if item["task"] == task] == hits.astype(bool).tolist()


def test_perplexity_is_the_plain_loss(root, by_transformers):
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(root / "model/hf", dtype=torch.float32)
    shards = TokenShards(root / "tokens", "validation")
    longest = POSITIONS - 2
    total = 0.0
    for index in range(shards.documents):
        document = [0, *shards.document(index).tolist()]
        done = 0
        while done < len(document) - 1:
            stop = min(len(document), done + longest + 1)
            window = document[max(0, stop - 1 - longest) : stop]
            with torch.no_grad():
                log_probabilities = model(torch.tensor([window])).logits[0].log_softmax(-1)
            for position in range(len(window) - (stop - 1 - done), len(window)):
                total -= float(log_probabilities[position - 1, window[position]])
            done = stop - 1
    expected = total / shards.tokens
    summary = by_transformers[0]
    assert value(summary, "validation", "nats_per_token") == pytest.approx(expected, abs=1e-3)
    assert value(summary, "validation", "perplexity") == pytest.approx(np.exp(expected), rel=1e-3)
    assert summary["perplexity"]["tokens"] == shards.tokens
    documents = samples(root / "transformers", held_out=True)
    held_out = [shards.document(index) for index in range(shards.documents)]
    assert sum(document["metrics"]["nats"] for document in documents) == pytest.approx(total, rel=1e-3)
    assert [document["metrics"]["tokens"] for document in documents] == [*map(len, held_out)]
    hashes = {item["hash"] for item in (*by_transformers[1], *documents)}
    assert len(hashes) == 2 * ITEMS + len(documents), "items and documents are told apart"


def test_corpora_count_by_their_tokens_and_each_is_told(root, by_transformers, tmp_path):
    whole = by_transformers[0]["perplexity"]
    found = evaluate(root, tmp_path, inputs=("model", "tokens-a", "tokens-b"), tasks=())["perplexity"]
    parts = found.pop("by_corpus")
    assert found == {**whole, "unigram_nats_per_token": pytest.approx(3 + parts["b"]["tokens"] / whole["tokens"])}
    assert (parts["a"]["documents"], parts["b"]["documents"]) == (5, 3)
    for summed in ("tokens", "bytes", "cut_documents"):
        assert parts["a"][summed] + parts["b"][summed] == whole[summed]
    nats = sum(part["nats_per_token"] * part["tokens"] for part in parts.values())
    assert nats == pytest.approx(whole["nats_per_token"] * whole["tokens"])


def test_bytes_of_a_part_are_counted_from_its_text(root, by_transformers, tmp_path):
    whole = by_transformers[0]["perplexity"]
    part = evaluate(root, tmp_path, tasks=(), perplexity_tokens=whole["tokens"] - 1)["perplexity"]
    assert part["documents"] == whole["documents"] - 1
    shards = TokenShards(root / "tokens", "validation")
    last = shards.document(shards.documents - 1).tolist()
    assert part["tokens"] == whole["tokens"] - len(last)
    from transformers import AutoTokenizer

    text = AutoTokenizer.from_pretrained(root / "model/hf").decode(last[:-1])
    assert part["bytes"] == whole["bytes"] - len(text.encode())


def test_a_killed_evaluation_asks_only_what_is_left(root, by_transformers, tmp_path):
    class Killed(Exception):
        pass

    def kill_in_the_second_task(done, total=None, unit="", note=""):
        if note.startswith("second: "):
            raise Killed

    with pytest.raises(Killed):
        evaluate(root, tmp_path, progress=kill_in_the_second_task)
    assert not (tmp_path / "results.json").exists()
    notes = []
    evaluate(root, tmp_path, lambda done, total=None, unit="", note="": notes.append(note))
    assert any(note.startswith("second: ") for note in notes)
    assert not any(note.startswith("first") for note in notes)
    for name in ("results.json", "samples.parquet", "answers.jsonl"):
        assert (tmp_path / name).read_bytes() == (root / "transformers" / name).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(("how", "first"), [("killed", 3), ("full", 7)])
def test_the_stage_can_be_ended_at_any_of_its_writes(root, faults, tmp_path, monkeypatch, how, first):
    """At one in twenty of them; a continued run leaves the same bytes."""
    import torch

    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")

    def work(output):
        torch.set_num_threads(1)
        return evaluate(root, output, limit=2, perplexity_tokens=50)

    faults.check_artifacts(work, tmp_path, how, first, every=20)


def test_an_evaluation_starts_no_process(root, tmp_path, monkeypatch):
    started, start = [], subprocess.Popen.__init__

    def noted(self, command, *arguments, **options):
        started.append(command)
        start(self, command, *arguments, **options)

    monkeypatch.setattr(subprocess.Popen, "__init__", noted)
    evaluate(root, tmp_path, limit=1, prompts=())
    assert started == []


def test_items_longer_than_the_model_are_counted(root, tmp_path):
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks/shots.yaml").write_text(
        f"include: {root / 'tasks/first.yaml'}\ntask: shots\nfewshot_split: test\n"
        f"dataset_kwargs: {{data_files: {{test: {root / 'tasks/first.jsonl'}}}}}\n"
    )
    folder = {"tasks": ("shots",), "task_paths": (str(tmp_path / "tasks"),), "perplexity": False, "limit": 4}
    short = evaluate(root, tmp_path / "short", fewshot_by_task={"shots": 1}, **folder)["eval"][0]
    assert (short["cut_items"], short["lost_fewshots"]) == (0, 0)
    long = evaluate(root, tmp_path / "long", fewshot_by_task={"shots": 8}, **folder)["eval"][0]
    assert long["cut_items"] == 4
    assert 4 * 1 <= long["lost_fewshots"] <= 4 * 4  # of about 150 tokens 25 are cut, each example has 13 to 19
    cut = evaluate(root, tmp_path / "cut", tasks=(), perplexity_tokens=500, max_model_len=16)["eval"][0]
    assert cut["cut_items"] > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tasks": ("frist",)}, r"unknown task 'frist'\. Did you mean 'first'\?.*data of their own: first, .*second"),
        ({"tasks": ("hellaswag",)}, r"'hellaswag' comes from the Hugging Face hub.*allow_network=true"),
        ({"task_paths": ("/nowhere",)}, r"task_paths: /nowhere is not a folder"),
    ],
)
def test_wrong_tasks_are_named(root, tmp_path, change, message):
    with pytest.raises((ConfigError, InputError), match=message):
        evaluate(root, tmp_path, **change)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"id": 1,', r"first\.jsonl:2: not JSON"),
        ("[1]", r"first\.jsonl:2: a JSON list"),
        ('{"context": "a", "label": 0}', r"first\.jsonl:2: no key 'choices', which first\.yaml uses"),
        ('{"context": "a", "choices": ["b", "c"], "label": 2}', r"first\.jsonl:2: label=2, but there are 2 choices"),
    ],
)
def test_a_wrong_line_is_named(root, tmp_path, line, message):
    folder = tmp_path / "tasks"
    folder.mkdir()
    good = (root / "tasks/first.jsonl").read_text().splitlines()[0]
    (folder / "first.jsonl").write_text(f"{good}\n{line}\n{good}\n")
    (folder / "first.yaml").write_text(TASK_YAML.format(name="first"))
    with pytest.raises(InputError, match=message):
        evaluate(root, tmp_path / "output", tasks=("first",), task_paths=(str(folder),))


def test_tokens_of_another_tokenizer_are_refused(root, tmp_path):
    write_tokens(tmp_path / "tokens", [], [[5, VOCAB, 0], [7, 0]])
    os.symlink(root / "model", tmp_path / "model")
    with pytest.raises(InputError, match=f"id {VOCAB} is outside the model's vocabulary of {VOCAB}"):
        evaluate(tmp_path, tmp_path / "output", tasks=(), task_paths=())
