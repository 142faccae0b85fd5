"""Which engine ``auto`` takes, what runs out of memory, how two engines are compared, numbers of quantised weights."""

import json

import pytest
import torch
from core.errors import ConfigError
from smallwright_eval import choosing, engines, memory, parity
from smallwright_eval.config import LMEvalConfig
from smallwright_testing.models import tiny_model

TABLE = {
    "cpu": {
        "rows": [
            {"parameters": 1e6, "engine": "vllm", "start": 20, "short": 2, "long": 20, "answers": 50},
            {"parameters": 1e8, "engine": "vllm", "start": 30, "short": 40, "long": 400, "answers": 500},
            {"parameters": 1e6, "engine": "transformers", "start": 5, "short": 3, "long": 30, "answers": 200},
            {"parameters": 1e8, "engine": "transformers", "start": 6, "short": 60, "long": 600, "answers": 4000},
        ]
    }
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("model")) / "hf"


@pytest.fixture
def table(monkeypatch):
    monkeypatch.setattr(choosing, "measured", lambda: TABLE)
    monkeypatch.setattr(choosing, "vllm_distribution", lambda: "vllm")
    monkeypatch.setattr(choosing, "cpu_head_widths", lambda: (32,))


@pytest.mark.parametrize(
    ("work", "engine"),
    [
        ({"short": 800}, "transformers"),
        ({"short": 20_000}, "vllm"),
        ({"answers": 50}, "transformers"),
        ({"answers": 200}, "vllm"),
        ({"short": 800, "answers": 200}, "vllm"),
    ],
)
def test_the_engine_that_is_done_first_is_taken(table, model, work, engine):
    chosen, why = choosing.choose(LMEvalConfig(), model, choosing.Work(**work), gpu=False)
    assert chosen == engine
    assert f"s with {parity.other(engine)}, by engine_table.yaml for 0 M parameters" in why


def test_what_vllm_cannot_serve_or_nobody_measured_is_not_guessed(table, model, monkeypatch):
    work = choosing.Work(answers=1e9)
    assert choosing.choose(LMEvalConfig(engine="transformers"), model, work, gpu=False)[0] == "transformers"
    monkeypatch.setattr(choosing, "cpu_head_widths", lambda: (64,))
    assert choosing.choose(LMEvalConfig(), model, work, gpu=False) == (
        "transformers", "vLLM has no kernels here for heads of 32"
    )  # fmt: skip
    assert choosing.choose(LMEvalConfig(), model, choosing.Work(), gpu=True)[0] == "vllm"
    monkeypatch.setattr(choosing, "vllm_distribution", lambda: None)
    assert choosing.choose(LMEvalConfig(), model, work, gpu=True) == ("transformers", "vLLM is not installed")


def test_figures_between_two_sizes_lie_between_theirs_and_grow_beyond():
    rows = choosing._of(TABLE["cpu"]["rows"], "vllm")
    figures = [choosing._between(rows, "short", size) for size in (1, 10**6, 10**7, 10**8, 10**9)]
    assert figures == pytest.approx([2, 2, 80**0.5, 40, 400])
    assert choosing._between(rows, "start", 10**9) == pytest.approx(30)


def test_the_table_of_the_package_has_both_engines():
    for device in choosing.measured().values():
        assert {row["engine"] for row in device["rows"]} == {"vllm", "transformers"}
        assert all(row[key] > 0 for row in device["rows"] for key in ("start", "short", "long", "answers"))


def test_an_engine_out_of_memory_gets_half_the_rows_until_it_fits(model, capsys):
    config = LMEvalConfig(engine="transformers", dtype="float32", batch_size=8)
    lm = engines.start(config, model, None, lambda requests: None)
    rows, call = [], lm._model_call

    def short_of_memory(inputs, *arguments, **options):
        rows.append(len(inputs))
        if len(inputs) > 2:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")
        return call(inputs, *arguments, **options)

    lm._model_call = short_of_memory
    requests = [(None, [5, 6], [7 + n, 8]) for n in range(6)]
    answers = memory.asked(lm, config, lambda: lm._loglikelihood_tokens(requests, disable_tqdm=True))
    assert (len(answers), rows, lm.batch_size) == (6, [6, 4, 2, 2, 2], 2)
    assert "asked again with 2 rows in a batch" in capsys.readouterr().out

    def never(inputs, *arguments, **options):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    lm._model_call = never
    with pytest.raises(ConfigError, match=r"out of memory \(CUDA out of memory.*Set a smaller eval\.max_model_len"):
        memory.asked(lm, config, lambda: lm._loglikelihood_tokens(requests, disable_tqdm=True))
    with pytest.raises(RuntimeError, match="something else"):
        memory.asked(lm, config, lambda: exec("raise RuntimeError('something else')"))


def test_the_same_text_parted_otherwise_has_log_probabilities_of_its_own(model):
    config = LMEvalConfig(engine="transformers", dtype="float32")
    lm = engines.start(config, model, None, lambda requests: None)
    ids = [9, 5, 6, 7, 8]
    with torch.no_grad():
        each = lm.model(torch.tensor([ids])).logits[0].log_softmax(-1)
    wanted = [sum(float(each[at - 1, ids[at]]) for at in range(begin, 5)) for begin in (1, 3, 4, 1)]
    requests = [(None, ids[:begin], ids[begin:]) for begin in (1, 3, 4, 1)]
    assert engines.apart(requests) == [[0, 3], [1], [2]]
    found = [answer[0] for answer in lm._loglikelihood_tokens(requests, disable_tqdm=True)]
    assert found == pytest.approx(wanted, abs=1e-5)


def test_vllm_out_of_memory_says_which_settings_need_less():
    said = memory.advice(LMEvalConfig(engine="vllm"), ValueError("No available memory for the cache blocks."))
    assert memory.ran_out(ValueError("No available memory for the cache blocks."))
    assert "eval.kv_cache_gib" in str(said)
    assert not memory.ran_out(ValueError("memory of the task"))


def test_quantised_weights_are_computed_in_bfloat16_and_say_so(tmp_path, capsys):
    described = {"quantization_config": {"quant_method": "compressed-tensors", "format": "pack-quantized"}}
    (tmp_path / "config.json").write_text(json.dumps(described))
    assert engines.quantization(tmp_path) == "compressed-tensors pack-quantized"
    assert engines.resolve_dtype(LMEvalConfig(), tmp_path) == "bfloat16"
    engines.check_numbers(LMEvalConfig(engine="vllm"), tmp_path)
    assert (
        "the weights are quantised (compressed-tensors pack-quantized): computed in bfloat16" in capsys.readouterr().out
    )
    with pytest.raises(ConfigError, match=r"eval\.dtype=float32: .* are quantised .*Leave eval\.dtype=auto"):
        engines.check_numbers(LMEvalConfig(engine="vllm", dtype="float32"), tmp_path)
    (tmp_path / "config.json").write_text("{}")
    assert engines.quantization(tmp_path) is None
    assert engines.resolve_dtype(LMEvalConfig(), tmp_path) == ("bfloat16" if torch.cuda.is_available() else "float32")


def test_what_two_engines_say_of_the_same_items_is_compared():
    def row(n, chances=None, answers=None, chosen=None, correct=True):
        found = {"task": "t", "id": str(n), "hash": "h", "correct": correct, "loglikelihoods": chances}
        return {**found, "answers": answers, "chosen": chosen}

    first = [row(0, [-1.0, -2.0], chosen=0), row(1, [-3.0, -3.1], chosen=0), row(2, answers=["a"]), row(3)]
    second = [
        row(0, [-1.0, -2.25], chosen=0),
        row(1, [-3.0, -2.9], chosen=1, correct=False),
        row(2, answers=["b"], correct=False),
        row(9),
    ]
    found = parity.difference(first, second, ("vllm", "transformers"))
    assert (found["items"], found["loglikelihoods"], found["answers"]) == (3, 4, 1)
    assert found["largest_difference"] == pytest.approx(0.25)
    assert (found["same_choice"], found["same_answers"]) == (0.5, 0.0)
    assert [one["id"] for one in found["differing"]] == ["1", "2"]
    assert parity.sentence(found) == (
        "3 items on vllm and transformers, log-likelihoods differ by at most 0.25 nats, 50.0% of choices are the same, "
        "0.0% of answers are the same"
    )
