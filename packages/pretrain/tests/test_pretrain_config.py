"""Settings, their errors, the plan; and that none of it needs torch."""

import dataclasses
import subprocess
import sys

import pytest
from core import served
from core.errors import ConfigError, UserError
from core.interfaces import Job
from core.typed import build, identity
from pretrain_support import Tiny, TinyConfig, write_tokens
from smallwright_pretrain.config import TorchTitanConfig
from smallwright_pretrain.plan import memory_parts
from smallwright_pretrain.stage import TorchTitanPretrain
from smallwright_pretrain.summary import rising


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"global_batch_size": 3, "nproc": 2, "nodes": 2},
            r"global_batch_size=3: fewer sequences .* nproc \* nodes = 4",
        ),
        ({"nproc": 4, "tensor_parallel": 3}, r"tensor_parallel=3, .*must divide the ranks, nproc \* nodes = 4"),
        ({"nproc": 4, "tensor_parallel": 2, "replicate": 4}, r"replicate=4: must divide nproc \* nodes = 4 / 2 = 2"),
        ({"nproc": 2, "context_parallel": 2, "seq_len": 30}, r"seq_len=30: .*cut sequences into 4 pieces\. Use 32"),
        ({"steps": 0}, r"steps=0: must be at least 1"),
        ({"steps": 5, "warmup_steps": 6}, r"warmup_steps=6: longer than steps=5"),
        ({"learning_rate": float("nan")}, r"learning_rate=nan"),
        ({"decay_ratio": 1.5}, r"decay_ratio=1\.5"),
        ({"keep_latest": 1}, r"keep_latest=1: must be 2 or more"),
        ({"nproc": 2, "replicate": 4}, r"replicate=4: must divide nproc \* nodes = 2"),
        ({"precision": "float16"}, r"precision=float16: must be one of"),
    ],
)
def test_wrong_settings_name_the_key_and_the_fix(values, message):
    with pytest.raises(ConfigError, match=message):
        build(TorchTitanConfig, values, "pretrain")


@pytest.mark.parametrize(("steps", "warmup"), [(1, 0), (2, 1), (19, 9), (20, 10), (260, 10)])
def test_a_warm_up_that_is_not_given_fits_into_the_steps(steps, warmup):
    assert build(TorchTitanConfig, {"steps": steps}, "pretrain").warmup_steps == warmup
    given = build(TorchTitanConfig, {"steps": steps, "warmup_steps": warmup}, "pretrain")
    assert identity(given) == identity(build(TorchTitanConfig, {"steps": steps}, "pretrain"))


def test_heads_that_vllm_does_not_serve_are_refused_only_where_it_will_be_asked(monkeypatch):
    monkeypatch.setattr(served, "cpu_head_widths", lambda: (32, 64))
    tiny = Tiny(TinyConfig())
    monkeypatch.setattr(tiny, "head_width", lambda: 8)
    with pytest.raises(ConfigError, match=r"arch.head_dim=8: pretrain.verify_vllm=true .* Set arch.head_dim=32, or"):
        TorchTitanPretrain(TorchTitanConfig()).check_plan("pretrain", tiny, None)
    TorchTitanPretrain(TorchTitanConfig(verify_vllm=False)).check_plan("pretrain", tiny, None)


@pytest.mark.parametrize(
    ("batch", "ranks", "most", "rows", "padded"),
    [
        (8, 2, 2, 2, 8),
        (800, 8, 8, 5, 800),  # of 100 sequences of a rank 5 at a time, for 8 would leave 4 empty
        (800, 64, 8, 7, 896),  # 12.5 of a rank; one or two at a time would leave fewer empty, and take many passes
        (800, 160, 8, 5, 800),
        (800, 64, None, 13, 832),
        (4, 3, None, 2, 6),
    ],
)
def test_any_number_of_ranks_shares_out_the_global_batch(batch, ranks, most, rows, padded):
    settings = TorchTitanConfig(global_batch_size=batch, nproc=ranks, micro_batch_size=most)
    assert (settings.rows_per_forward, settings.padded_batch_size) == (rows, padded)
    assert settings.tokens == TorchTitanConfig(global_batch_size=batch).tokens
    notes = TorchTitanPretrain(settings).plan(Tiny(TinyConfig()))["notes"]
    assert [note for note in notes if "for nothing" in note] == notes
    assert bool(notes) == (padded > batch)


def test_ranks_that_split_the_model_share_their_sequences():
    settings = TorchTitanConfig(
        nproc=4, nodes=2, tensor_parallel=2, pipeline_parallel=2, global_batch_size=6, seq_len=128
    )
    assert (settings.ranks, settings.data_ranks, settings.share_of_rank) == (8, 2, 3)


@pytest.mark.parametrize(
    ("config", "split", "message"),
    [
        ({"num_key_value_heads": 1}, {"tensor_parallel": 2}, r"pretrain\.tensor_parallel=2: .* 2 heads and the 1 key"),
        ({"tie_word_embeddings": True}, {"pipeline_parallel": 2}, r"pretrain\.pipeline_parallel=2: .*tied embedding"),
        ({"num_hidden_layers": 1}, {"pipeline_parallel": 2}, r"pretrain\.pipeline_parallel=2: the model has 1 layers"),
        ({"sliding": True}, {"context_parallel": 2}, r"pretrain\.context_parallel=2: layers with a sliding window"),
        ({"num_experts": 4}, {"global_batch_size": 5}, r"pretrain\.global_batch_size=5: .* balance of the experts"),
    ],
)
def test_ranks_that_a_model_cannot_be_split_over_are_refused_while_planning(config, split, message, monkeypatch):
    extra = {key: config.pop(key) for key in ("sliding", "num_experts") if key in config}
    tiny = Tiny(TinyConfig(**{"num_key_value_heads": 2, **config}))
    if "sliding" in extra:
        monkeypatch.setattr(tiny, "mask_kinds", lambda: 2)
    if "num_experts" in extra:
        object.__setattr__(tiny.config, "num_experts", 4)
    settings = TorchTitanConfig(**{"nproc": 2, "verify_vllm": False, **split})
    with pytest.raises(ConfigError, match=message):
        TorchTitanPretrain(settings).check_plan("pretrain", tiny, None)


def test_several_machines_without_a_way_to_find_one_another_are_refused_before_the_run(monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    with pytest.raises(UserError, match=r"pretrain\.nodes=2: this is no job of Slurm\. Add \+launcher=slurm"):
        TorchTitanPretrain(TorchTitanConfig(nodes=2)).check_here("pretrain")
    TorchTitanPretrain(TorchTitanConfig(nodes=2, rendezvous="here")).check_here("pretrain")


def test_hardware_settings_are_no_identity():
    other = TorchTitanConfig(
        nproc=2,
        nodes=3,
        tensor_parallel=2,
        rendezvous="here:1",
        micro_batch_size=2,
        device="cpu",
        compile=True,
        log_interval=3,
        global_batch_size=6,
    )
    assert identity(other) == identity(TorchTitanConfig(global_batch_size=6))
    assert identity(TorchTitanConfig(learning_rate=1e-4)) != identity(TorchTitanConfig())


def test_planning_imports_no_torch_and_counts_tokens():
    code = (
        "import sys; from smallwright_pretrain.stage import TorchTitanPretrain as T; "
        "from smallwright_pretrain.config import TorchTitanConfig as C; from pretrain_support import *; "
        "plan = T(C(steps=10, seq_len=32, global_batch_size=4)).plan(Tiny(TinyConfig())); "
        "assert plan['tokens'] == 1280 and plan['seq_len'] == 32, plan; "
        "print(sorted({'torch', 'transformers', 'torchtitan', 'vllm'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_memory_follows_states_and_activations():
    tiny = Tiny(TinyConfig())
    settings = {"global_batch_size": 16, "seq_len": 32, "device": "cuda"}
    one = memory_parts(TorchTitanConfig(**settings), tiny)
    weights = 4 * tiny.parameters()
    assert (one["weights"], one["gradients"], one["optimizer"], one["gathered"]) == (weights, weights, 2 * weights, 0)
    assert one["logits"] == 16 * 32 * 3 * 4 * 64
    layer = 6 * 64 + 2 * 64 + 2 * 32 + 4 * 96
    assert one["activations"] == 16 * 32 * 4 * (2 * layer + 1.5 * layer)
    two = memory_parts(TorchTitanConfig(**settings, nproc=2), tiny)
    shared_out = ("weights", "gradients", "optimizer", "activations", "logits")
    assert {name: two[name] * 2 for name in shared_out} == {name: one[name] for name in shared_out}
    # Both layers and the embeddings are whole while they compute: all matrices, in float32.
    assert two["gathered"] == 4 * (tiny.executed_parameters() + 64 * 64)
    whole = memory_parts(TorchTitanConfig(**settings, nproc=2, replicate=2), tiny)
    assert (whole["weights"], whole["gathered"]) == (weights, 0)
    small = memory_parts(TorchTitanConfig(**settings, micro_batch_size=4), tiny)
    assert small["activations"] * 4 == one["activations"]
    full = memory_parts(TorchTitanConfig(**settings, activation_checkpoint="full"), tiny)
    half = memory_parts(TorchTitanConfig(**settings, activation_checkpoint="selective"), tiny)
    assert full["activations"] < half["activations"] < one["activations"]
    bfloat16 = memory_parts(TorchTitanConfig(**settings, precision="bfloat16"), tiny)
    assert bfloat16["activations"] == (one["activations"] + 16 * 32 * 4 * 2 * 4 * 64) / 2, "norms are in float32"


def test_memory_on_a_cpu_counts_the_process_the_masks_and_the_scores():
    tiny = Tiny(TinyConfig())
    settings = {"global_batch_size": 16, "seq_len": 32}
    gpu, cpu = (memory_parts(TorchTitanConfig(**settings, device=device), tiny) for device in ("cuda", "cpu"))
    assert (gpu.get("process"), cpu["process"]) == (None, 690 * 2**20)
    assert (gpu["masks"], cpu["masks"]) == (0, 16 * 32 * 32 * 4)
    assert cpu["activations"] - gpu["activations"] == 16 * 32 * 4 * 3.5 * 2 * 32
    assert cpu["logits"] * 3 == gpu["logits"] * 8
    assert cpu["gradients"] == 0, "they take the place of what the backward pass frees"
    whole = memory_parts(TorchTitanConfig(**settings, device="cpu", compile=True), tiny)
    assert whole["gradients"] == gpu["gradients"]
    settings["micro_batch_size"] = 8
    assert memory_parts(TorchTitanConfig(**settings, device="cpu"), tiny)["gradients"] == gpu["gradients"]
    compiled = memory_parts(TorchTitanConfig(**settings, device="cpu", compile=True), tiny)
    assert compiled["process"] > cpu["process"]
    assert compiled["logits"] * 2 == gpu["logits"]


def test_memory_of_ranks_that_split_the_model_or_the_sequence():
    tiny = Tiny(TinyConfig(num_key_value_heads=2))
    settings = {"global_batch_size": 16, "seq_len": 32, "device": "cuda"}
    one = memory_parts(TorchTitanConfig(**settings), tiny)
    tensor = memory_parts(TorchTitanConfig(**settings, nproc=2, tensor_parallel=2), tiny)
    context = memory_parts(TorchTitanConfig(**settings, nproc=2, context_parallel=2), tiny)
    for name in ("weights", "optimizer", "activations", "logits"):
        assert tensor[name] * 2 == context[name] * 2 == one[name]
    assert tensor["gathered"] == 0
    pipeline = memory_parts(TorchTitanConfig(**settings, nproc=2, pipeline_parallel=2), tiny)
    assert pipeline["weights"] * 2 == one["weights"]
    assert pipeline["logits"] * 8 == one["logits"], "two sequences at once"


class Uneven(Tiny):
    """An architecture with numbers of its own: two kinds of layers and a part that they share."""

    def shared_parameters(self) -> int:
        return 1000

    def layer_parameters(self) -> int:
        return 5000

    def activation_values(self, seq_len: int, *, scores: bool) -> tuple[int, ...]:
        return (100, 300 + seq_len * scores)

    def mask_kinds(self) -> int:
        return 2


def test_memory_follows_the_numbers_that_an_architecture_gives():
    uneven = Uneven(TinyConfig())
    settings = {"global_batch_size": 16, "seq_len": 32, "nproc": 2}
    gpu = memory_parts(TorchTitanConfig(**settings, device="cuda"), uneven)
    assert gpu["gathered"] == 4 * (2 * 64 * 64 + 1000 + 2 * 5000)
    assert (gpu["activations"], gpu["masks"]) == (8 * 32 * 4 * (400 + 450), 0)
    cpu = memory_parts(TorchTitanConfig(**settings, device="cpu"), uneven)
    assert (cpu["activations"], cpu["masks"]) == (8 * 32 * 4 * (432 + 1.5 * 332), 8 * 32 * 2 * 32 * 4)
    full = memory_parts(TorchTitanConfig(**settings, device="cuda", activation_checkpoint="full"), uneven)
    assert full["activations"] == 8 * 32 * 4 * (2 * 64 + 300)


def test_a_plan_for_other_hardware_changes_ranks_and_device_only():
    tiny = Tiny(TinyConfig())
    trainer = TorchTitanPretrain(TorchTitanConfig(global_batch_size=16, seq_len=32, device="cuda"))
    eight, one = trainer.on(8, "cuda").plan(tiny), trainer.plan(tiny)
    assert (eight["ranks"], one["ranks"]) == (8, 1)
    assert eight["memory_bytes"] == sum(eight["memory"].values()) < one["memory_bytes"]
    assert {eight[key] == one[key] for key in ("tokens", "seq_len", "batch_tokens", "learning_rate")} == {True}
    with pytest.raises(ConfigError, match=r"global_batch_size=16: fewer sequences than ranks that share them"):
        trainer.on(17, "cuda")


@pytest.mark.parametrize(
    ("settings", "checkpoints", "revisions"),
    [
        ({}, 4, 0),  # the latest two, the one that is written, and the one before the decay
        ({"schedule": "cosine", "keep_latest": 3}, 4, 0),
        ({"schedule": "cosine", "keep_latest": 0, "checkpoint_interval": 30}, 4, 0),
        ({"keep_every": 25}, 8, 4),
        ({"keep_every": 25, "revisions": False}, 8, 0),
        ({"keep_steps": (7, 200), "keep_every_tokens": 32 * 1024}, 4 + 1 + 12, 13),
    ],
)
def test_the_disk_that_a_plan_asks_for_holds_all_that_is_kept(settings, checkpoints, revisions):
    tiny = Tiny(TinyConfig())
    plan = TorchTitanPretrain(TorchTitanConfig(steps=100, global_batch_size=16, **settings)).plan(tiny)
    assert plan["disk_bytes"] == checkpoints * plan["checkpoint_bytes"] + (1 + revisions) * 4 * tiny.parameters()


def test_a_sequence_longer_than_the_file_is_refused_before_any_process_starts(tmp_path):
    tokens = write_tokens(tmp_path, documents=3, vocab=64)
    job = Job(name="pretrain", output=tmp_path, inputs={"tokens": tokens}, seed=0, architecture=Tiny(TinyConfig()))
    with pytest.raises(UserError, match=r"pretrain\.seq_len=4096: a sequence takes 4097 tokens, and no corpus"):
        TorchTitanPretrain(TorchTitanConfig(seq_len=4096)).run(job)


def test_more_ranks_than_cores_are_refused_on_a_cpu(tmp_path):
    tokens = write_tokens(tmp_path, documents=60, vocab=64)
    job = Job(name="pretrain", output=tmp_path, inputs={"tokens": tokens}, seed=0, architecture=Tiny(TinyConfig()))
    settings = TorchTitanConfig(seq_len=32, nproc=4096, global_batch_size=4096, device="cpu")
    with pytest.raises(UserError, match=r"pretrain\.nproc=4096: this machine has \d+ cores"):
        TorchTitanPretrain(settings).check_here("pretrain")
    TorchTitanPretrain(settings).check_plan("pretrain", Tiny(TinyConfig()), None)  # of another machine, say
    with pytest.raises(UserError, match=r"pretrain\.nproc=4096: this machine has \d+ cores"):
        TorchTitanPretrain(settings).run(job)


def test_the_gpu_of_a_rank_does_not_evaluate():
    settings = TorchTitanConfig(eval_every=2, eval_gpu=1, nproc=2, device="cuda")
    with pytest.raises(UserError, match=r"pretrain\.eval_gpu=1: a rank has this GPU. Use 2 or more"):
        TorchTitanPretrain(settings).check_here("pretrain")
    TorchTitanPretrain(dataclasses.replace(settings, eval_gpu=2)).check_here("pretrain")
    TorchTitanPretrain(dataclasses.replace(settings, eval_gpu=0, device="cpu")).check_here("pretrain")


def test_a_training_that_made_the_model_worse_says_so():
    [note] = rising([3.9, 4.5, *[8.9] * 20], 0.004)
    assert note == "the loss rose from 3.90 to 8.90 nats per token: lower pretrain.learning_rate (now 0.004)."
    assert rising([8.3, 9.5, *[6.0] * 20], 0.004) == rising([4.0], 1.0) == rising([], 1.0) == []
