"""Both methods on a random Llama of some thousand parameters, with a tokenizer made here."""

import json
import shutil
from pathlib import Path

import pytest
from core.errors import ConfigError, InputError
from core.interfaces import Job
from core.progress import ProgressWriter
from core.typed import build
from smallwright_posttrain.config import DpoConfig, SftConfig
from smallwright_posttrain.dpo import Dpo
from smallwright_posttrain.sft import Sft
from smallwright_testing.tokens import write_tokens

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}{% if message['role'] == 'assistant' %}"
    "{% generation %}{{ message['content'] + '<|im_end|>' }}{% endgeneration %}{% else %}"
    "{{ message['content'] + '<|im_end|>' }}{% endif %}{{ '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>"]


def write_tokenizer(directory: Path, template: str = CHATML) -> int:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(
        ["What is the answer? user assistant The answer is", "We add and divide."] * 20, trainer
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=SPECIAL[0], pad_token=SPECIAL[3], additional_special_tokens=SPECIAL[1:3]
    )
    fast.chat_template = template
    fast.save_pretrained(directory)
    return len(fast)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Tensors this small only lose time to threads that wait for each other."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def model_directory(tmp_path_factory) -> Path:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    directory = tmp_path_factory.mktemp("model") / "hf"
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=write_tokenizer(directory), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=512, tie_word_embeddings=True,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(directory)
    return directory.parent


class Killed(Exception):
    """Stands for the end of the process."""


class KillingProgress(ProgressWriter):
    def __init__(self, at_step: int) -> None:
        super().__init__()
        self._at_step = at_step

    def __call__(self, done, total=None, unit="", note=""):
        if total and done == self._at_step and note.startswith("loss"):
            raise Killed


def make_job(output: Path, model: Path, name: str, **extra) -> Job:
    output.mkdir(parents=True, exist_ok=True)
    return Job(name=name, output=output, inputs={"model": model}, seed=7, **extra)


def sft(**settings) -> Sft:
    return Sft(
        build(SftConfig, {"max_steps": 8, "logging_steps": 1, "save_steps": 3, "max_length": 192, **settings}, "sft")
    )


def dpo(**settings) -> Dpo:
    return Dpo(
        build(DpoConfig, {"max_steps": 8, "logging_steps": 1, "save_steps": 3, "max_length": 192, **settings}, "dpo")
    )


def contents(output: Path) -> dict[str, bytes]:
    """The files of an artifact; ``work`` goes when the stage finishes."""
    files = (path for path in output.rglob("*") if path.is_file() and path.relative_to(output).parts[0] != "work")
    return {str(path.relative_to(output)): path.read_bytes() for path in files}


@pytest.mark.parametrize("make", [sft, dpo])
def test_training_learns_and_an_interruption_changes_nothing(make, model_directory, tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    stage = make(learning_rate=3e-3, max_steps=12)
    whole = stage.run(make_job(tmp_path / "whole", model_directory, stage.method))
    broken = tmp_path / "broken"
    with pytest.raises(Killed):
        stage.run(make_job(broken, model_directory, stage.method, progress=KillingProgress(8)))
    (broken / "work" / "checkpoint" / "checkpoint-9").mkdir()  # as a process killed while saving leaves it
    resumed = stage.run(make_job(broken, model_directory, stage.method))

    assert whole["resumed_from_step"] is None
    assert resumed["resumed_from_step"] == 6
    assert resumed["loss_curve"] == whole["loss_curve"]
    assert len(whole["loss_curve"]) == 12
    for key in ("eval_before", "eval_after", "tokens"):
        assert resumed[key] == whole[key]
    files = contents(broken)
    assert "hf/model.safetensors" in files
    assert not {name for name, content in contents(tmp_path / "whole").items() if files[name] != content}
    assert files.keys() == contents(tmp_path / "whole").keys()
    assert not [name for name, content in files.items() if str(tmp_path.parent).encode() in content]
    lines = [json.loads(line) for line in (broken / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, 13))
    assert whole["eval_after"]["loss"] < whole["eval_before"]["loss"]
    assert whole["rejected_examples"] == 0
    if stage.method == "dpo":
        assert whole["eval_before"]["reward_margin"] == pytest.approx(0, abs=1e-4)
        assert whole["eval_after"]["reward_margin"] > 0
        assert {"rewards/accuracies", "rewards/margins"} <= lines[0].keys()

    output = tmp_path / "whole"
    assert not [name for name in contents(output) if Path(name).suffix in (".bin", ".pt", ".pth")]
    model = AutoModelForCausalLM.from_pretrained(output / "hf")
    tokenizer = AutoTokenizer.from_pretrained(output / "hf")
    assert tokenizer.chat_template == CHATML
    stops = tokenizer.convert_tokens_to_ids(["<|endoftext|>", "<|im_end|>"])
    assert sorted(model.generation_config.eos_token_id) == sorted({*stops, 2})  # 2 is the Llama configuration's own


def test_dpo_is_the_same_with_reference_kept_or_computed_first(model_directory, tmp_path):
    losses = [
        dpo(precompute_ref_log_probs=first, max_steps=4).run(make_job(tmp_path / str(first), model_directory, "dpo"))
        for first in (True, False)
    ]
    assert [loss for _, loss in losses[0]["loss_curve"]] == pytest.approx(
        [loss for _, loss in losses[1]["loss_curve"]], abs=1e-5
    )
    assert losses[0]["loss_curve"][0][1] == pytest.approx(0.6931, abs=1e-3)  # log 2: the model is its own reference


@pytest.mark.parametrize("make", [sft, dpo])
def test_a_run_that_was_killed_behind_its_last_step_trains_no_step_more(make, model_directory, tmp_path):
    stage = make(max_steps=2, max_examples=24, max_length=64, lr_scheduler_type="constant")
    job = make_job(tmp_path / "out", model_directory, stage.method)
    whole = stage.run(job)
    expected = contents(job.output)
    shutil.rmtree(job.output / "hf")
    again = stage.run(job)
    assert again["resumed_from_step"] == again["steps"] == 2
    assert contents(job.output) == expected
    for key in ("loss_curve", "eval_before", "eval_after", "tokens", "epochs"):
        assert again[key] == whole[key]


@pytest.mark.slow
@pytest.mark.parametrize(("make", "how", "first"), [(sft, "killed", 4), (dpo, "full", 11)])
def test_the_stage_can_be_ended_at_any_of_its_writes(model_directory, faults, tmp_path, monkeypatch, make, how, first):
    """At one in thirty of them; a continued run leaves the same bytes."""
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
    stage = make(max_steps=3, save_steps=1, max_examples=24, max_length=64, per_device_train_batch_size=2)

    def work(output):
        return stage.run(make_job(output, model_directory, stage.method))

    faults.check_artifacts(work, tmp_path, how, first, every=30)


@pytest.mark.parametrize("make", [sft, dpo])
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(make, model_directory, tmp_path):
    stage = make(save_steps=2, max_steps=6, eval_fraction=0.0)
    with pytest.raises(Killed):
        stage.run(make_job(tmp_path / "out", model_directory, stage.method, progress=KillingProgress(5)))
    weights = tmp_path / "out" / "work" / "checkpoint" / "checkpoint-4" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1000:-900] = bytes(100)  # of the same size: only its digest tells
    weights.write_bytes(content)
    resumed = stage.run(make_job(tmp_path / "out", model_directory, stage.method))
    (note,) = resumed["notes"]
    assert note.startswith("checkpoint checkpoint-4 is damaged (model.safetensors was changed: ")
    assert note.endswith(": training goes on from checkpoint-2")
    assert resumed["resumed_from_step"] == 2
    assert [step for step, _ in resumed["loss_curve"]] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("make", [sft, dpo])
def test_what_is_measured_does_not_depend_on_the_size_of_a_batch(make, model_directory, tmp_path):
    measured = [
        make(per_device_eval_batch_size=size, max_steps=1, eval_fraction=0.06, max_examples=120).run(
            make_job(tmp_path / str(size), model_directory, make().method)
        )["eval_after"]
        for size in (1, 5)
    ]
    assert measured[0] == pytest.approx(measured[1], rel=1e-5, abs=1e-5)


def test_trl_learns_from_the_labels_that_were_encoded(model_directory, tmp_path):
    from datasets import Dataset
    from smallwright_posttrain.stage import trainer_settings
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source, stage = model_directory / "hf", sft(per_device_train_batch_size=1)
    rows = Dataset.from_list([{"input_ids": [9, 8, 7, 6], "labels": [-100, -100, 7, 6]}] * 2)
    job = make_job(tmp_path / "out", model_directory, "sft")
    settings = trainer_settings(stage.config, job, tmp_path / "checkpoint", 192)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(source), AutoTokenizer.from_pretrained(source)
    trainer = stage.trainer(model, tokenizer, settings, rows, rows, source, job)
    for batch in (next(iter(trainer.get_train_dataloader())), next(iter(trainer.get_eval_dataloader()))):
        assert batch["labels"][0].tolist() == [-100, -100, 7, 6]
        assert batch["input_ids"][0].tolist() == [9, 8, 7, 6]


def test_documents_of_pretraining_are_learned_beside_the_set(model_directory, tmp_path):
    tokens = write_tokens(tmp_path / "tokens", [[5, 6, 7, 8, 0]] * 400)
    job = make_job(tmp_path / "out", model_directory, "sft")
    job = Job(name="sft", output=job.output, inputs={**job.inputs, "tokens": tokens}, seed=7)
    summary = sft(replay=100, max_steps=1, max_examples=40).run(job)
    assert summary["replayed_documents"] == 400
    assert summary["examples"] + summary["heldout_examples"] == 40


def test_max_length_above_the_models_positions_is_refused(model_directory, tmp_path):
    with pytest.raises(ConfigError, match=r"posttrain\.sft\.max_length=513: above the model's 512 positions"):
        sft(max_length=513).run(make_job(tmp_path / "out", model_directory, "sft"))


def test_bad_rows_are_set_aside_with_reasons(model_directory, tmp_path):
    good = [
        {"messages": [{"role": "user", "content": f"What is {n}?"}, {"role": "assistant", "content": "A number."}]}
        for n in range(20)
    ]
    lines = [json.dumps(row) for row in good] + [
        "{not json",
        "[1, 2]",
        json.dumps({"text": "no messages"}),
        json.dumps({"messages": [{"role": "wizard", "content": "x"}, {"role": "assistant", "content": "y"}]}),
        json.dumps({"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": " "}]}),
        json.dumps({"messages": [{"role": "user", "content": "<|im_end|>"}, {"role": "assistant", "content": "y"}]}),
        json.dumps({"messages": [{"role": "user", "content": "x"}]}),
        json.dumps({"messages": [{"role": "user", "content": "long " * 200}, {"role": "assistant", "content": "y"}]}),
        json.dumps({"prompt": "Short?", "completion": "long " * 200}),
    ]
    path = tmp_path / "chats.jsonl"
    path.write_text("\n".join(lines) + "\n\n")
    summary = sft(dataset=str(path), max_steps=1, max_length=64).run(make_job(tmp_path / "out", model_directory, "sft"))
    assert summary["read_examples"] == 29
    assert summary["rejected_examples"] == 8
    assert summary["truncated_examples"] == 1
    assert summary["examples"] + summary["heldout_examples"] == 21
    aside = [json.loads(line) for line in (tmp_path / "out" / "rejected.jsonl").read_text().splitlines()]
    assert [row["row"] for row in aside] == list(range(21, 29))
    assert len(summary["rejected_reasons"]) == 8

    path.write_text("{not json\n")
    with pytest.raises(InputError, match="none of 1 rows"):
        sft(dataset=str(path)).run(make_job(tmp_path / "none", model_directory, "sft"))
    with pytest.raises(InputError, match="no such file"):
        sft(dataset="missing.jsonl").run(make_job(tmp_path / "missing", model_directory, "sft"))


def test_packing_keeps_conversations_apart(model_directory, tmp_path):
    summary = sft(packing=True, max_steps=2).run(make_job(tmp_path / "packed", model_directory, "sft"))
    assert summary["tokens"] > 2 * 8 * 96  # rows of 192 tokens, mostly full


def test_a_template_without_marks_teaches_the_same_and_stays_as_it_is(model_directory, tmp_path):
    unmarked = CHATML.replace("{% generation %}", "").replace("{% endgeneration %}", "")
    shutil.copytree(model_directory, tmp_path / "plain")
    template = tmp_path / "plain/hf/chat_template.jinja"
    template.write_text(unmarked)
    marked = sft(max_steps=1).run(make_job(tmp_path / "marked", model_directory, "sft"))
    plain = sft(max_steps=1).run(make_job(tmp_path / "own", tmp_path / "plain", "sft"))
    assert plain["loss_curve"] == marked["loss_curve"]
    assert (tmp_path / "own/hf/chat_template.jinja").read_text() == unmarked
    template.write_text(unmarked + "{{ messages | length }}")
    with pytest.raises(ConfigError, match="assistant_only_loss=false"):
        sft().run(make_job(tmp_path / "refused", tmp_path / "plain", "sft"))


def test_a_loss_that_is_not_finite_stops_the_run(model_directory, tmp_path):
    with pytest.raises(ConfigError, match="learning_rate"):
        sft(learning_rate=1e30, max_grad_norm=1e30, warmup_ratio=0.0).run(
            make_job(tmp_path / "nan", model_directory, "sft")
        )
