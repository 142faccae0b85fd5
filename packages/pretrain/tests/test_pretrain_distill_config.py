"""Settings of distillation, what is refused while planning, and what a plan counts of a teacher."""

import json

import pytest
from core.errors import UserError
from core.typed import build, identity
from pretrain_support import Tiny, TinyConfig
from smallwright_pretrain.config import TorchTitanConfig
from smallwright_pretrain.distill_config import counted
from smallwright_pretrain.plan import memory_parts
from smallwright_pretrain.stage import TorchTitanPretrain

LLAMA = {
    "model_type": "llama",
    "vocab_size": 70,
    "hidden_size": 8,
    "intermediate_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 128,
    "tie_word_embeddings": True,
}
PARAMETERS = 70 * 8 + 2 * (4 * 8 * 8 + 3 * 8 * 16)


def write(folder, parameters=None, **changed):
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({**LLAMA, **changed}))
    if parameters:
        shape = {"dtype": "F32", "shape": [parameters], "data_offsets": [0, 4 * parameters]}
        header = json.dumps({"weight": shape}).encode()
        weights = len(header).to_bytes(8, "little") + header + bytes(4 * parameters)
        (folder / "model.safetensors").write_bytes(weights)
    return folder


def made(teacher, distill=None, **values):
    return build(
        TorchTitanConfig,
        {"device": "cpu", "seq_len": 128, "distill": {"teacher": str(teacher), **(distill or {})}, **values},
        "pretrain",
    )


@pytest.mark.parametrize(
    ("distill", "values", "message"),
    [
        ({"loss": "mse"}, {}, r"distill\.loss=mse: must be one of forward_kl, reverse_kl, jsd"),
        ({"alpha": 0}, {}, r"distill\.alpha=0"),
        ({"temperature": 0}, {}, r"distill\.temperature=0"),
        ({"beta": 0.3}, {}, r"beta=0\.3: is of loss=jsd, and loss=forward_kl\. Set beta=null"),
        ({}, {"nproc": 2, "pipeline_parallel": 2}, r"pipeline_parallel=2: distill needs whole .* pipeline_parallel=1"),
        ({}, {"nproc": 2, "tensor_parallel": 2}, r"tensor_parallel=2: distill needs whole models"),
    ],
)
def test_wrong_settings_name_the_key_and_the_fix(distill, values, message):
    with pytest.raises(UserError, match=message):
        made("teacher", distill, **values)


@pytest.mark.parametrize(
    ("described", "distill", "rows", "message"),
    [
        ({"vocab_size": 60}, {}, 64, r"pretrain\.distill\.teacher=.*: has 60 rows, and the tokenizer 64 ids"),
        (
            {"max_position_embeddings": 100},
            {},
            64,
            r"teacher=.*: reads 100 tokens .*Set pretrain\.seq_len=100",
        ),
        ({}, {"loss": "reverse_kl"}, 72, r"distill\.loss=reverse_kl: the model has 8 rows more .*arch\.vocab_size=64"),
    ],
)
def test_a_teacher_that_does_not_fit_is_refused_while_planning(tmp_path, described, distill, rows, message):
    stage = TorchTitanPretrain(made(write(tmp_path / "teacher", **described), {**distill}, verify_vllm=False))

    class Tokenizer:
        def vocab_size(self):
            return 64

    with pytest.raises(UserError, match=message):
        stage.check_plan("pretrain", Tiny(TinyConfig(vocab_size=rows)), Tokenizer())


def test_where_the_teacher_lies_is_no_part_of_the_identity():
    one, other = (identity(made(place)) for place in ("here", "there"))
    assert one == other
    mix = {"loss": "forward_kl", "alpha": 1.0, "temperature": 1.0, "beta": None}
    assert one["distill"] == {**mix, "logits": "live", "top_k": None, "windows": "all"}
    assert identity(made("here", {"loss": "jsd"})) == identity(made("here", {"loss": "jsd", "beta": 0.5}))


@pytest.mark.parametrize("parameters", [None, PARAMETERS])
def test_a_plan_counts_the_teachers_memory_and_its_forward_pass(tmp_path, parameters):
    folder = write(tmp_path / "teacher", parameters)
    assert counted(str(folder)).parameters() == PARAMETERS
    taught, alone = made(folder), TorchTitanConfig(device="cpu", seq_len=128)
    memory = memory_parts(taught, Tiny(TinyConfig()))
    assert memory["teacher"] == 4 * PARAMETERS
    assert memory["teacher's work"] > 0
    plans = [TorchTitanPretrain(config).plan(Tiny(TinyConfig())) for config in (taught, alone)]
    assert plans[0]["extra_flops_per_token"] == 2 * PARAMETERS + 2 * (2 * 2 * 4) * 128
    assert "extra_flops_per_token" not in plans[1]
