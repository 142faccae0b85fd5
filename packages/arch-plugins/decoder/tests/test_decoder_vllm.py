"""vLLM serves every part with Transformers' log-probabilities, and holds a shared feed-forward once.

One process, on the CPU, serves all models; it prints what the tests below look at.
"""

import json
import os
import shutil
import subprocess
import sys

import pytest
import torch
from core.engines import offline_environment, vllm_environment
from safetensors.torch import load_file, save_file
from smallwright_decoder.config import DecoderConfig
from smallwright_decoder.hf_choice import hf_config, hf_model_class

SERVE = """
import gc, json, sys
import torch
from vllm import LLM, SamplingParams

ids, folder, results = json.loads(sys.argv[1]), sys.argv[2], {}
# Dynamic scaling: up to 64 tokens is the original length.
options = {"dtype": "float32", "enforce_eager": True, "skip_tokenizer_init": True, "max_model_len": 64}
options["num_gpu_blocks_override"] = 8  # not a gigabyte to fill with zeros for each model
# vLLM collects garbage many times for each model: four seconds, where what it imported is looked through each time.
gc.unfreeze = lambda: None
params = SamplingParams(max_tokens=8, temperature=0, prompt_logprobs=0, detokenize=False, ignore_eos=True)
for name in sys.argv[3:]:
    gc.freeze()
    llm = LLM(f"{folder}/{name}", max_num_seqs=2, disable_log_stats=True, **options)
    [output] = llm.generate([{"prompt_token_ids": ids}], params, use_tqdm=False)
    worker = llm.llm_engine.model_executor.driver_worker.worker
    served = worker.model_runner.model
    results[name] = {
        "class": type(served).__name__,
        "feed_forwards": sum(module.endswith("gate_up_proj") for module, _ in served.named_modules()),
        "used": len({id(getattr(layer, "mlp", layer)) for layer in served.model.layers}),
        "logprobs": [entry[token].logprob for entry, token in zip(output.prompt_logprobs[1:], ids[1:])],
        "generated": list(output.outputs[0].token_ids),
    }
    update = ("model.norm.weight", torch.full_like(served.model.norm.weight, 0.25))
    worker.model_runner.reload_weights(weights_iterator=[update])
    results[name]["updated"] = served.model.norm.weight.eq(0.25).all().item()
    del llm, served, worker
    gc.collect()
try:
    LLM(f"{folder}/broken", **options)
except ValueError as error:
    results["broken"] = str(error)
print("RESULT", json.dumps(results))
"""
DIMENSIONS = {
    "hidden_size": 128,
    "intermediate_size": 192,
    "num_hidden_layers": 6,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 256,
    "max_position_embeddings": 128,
    "initializer_range": 0.09,
}
SHALLOW = {"num_hidden_layers": 2}
MODELS = {
    "sharing": {"ffn_groups": {"middle": "1-3", "ends": "0,5"}, "tie_word_embeddings": False},
    "parts": {
        "qk_norm": True,
        "qkv_bias": True,
        "sliding_window": 8,
        "global_interval": 3,
        "nope_interval": 4,
        "series_activation": 2,
        "activation": "relu2",
        "augmented_shortcuts": 2,
        "shortcut_reduction": 8,
        "rope_scaling": "yarn",
        "rope_factor": 4.0,
        "head_dim": 64,
    },
    "local plugin": {
        "ffn_groups": {"all": "all"},
        "activation": "local_activation:cubed_silu",
        "sliding_window": 8,
        "rope_scaling": "dynamic",
        "rope_factor": 2.0,
    },
    "qwen2": {"qkv_bias": True, "rope_scaling": "llama3", "rope_factor": 8.0},
    "qwen3": {"qk_norm": True, "rope_scaling": "yarn", "rope_factor": 4.0, "head_dim": 64},
    "experts": {
        "num_experts": 4,
        "moe_intermediate_size": 64,
        "shared_expert_intermediate_size": 96,
        "norm_topk_prob": False,
        "mlp_only_layers": (0,),
        "sliding_window": 8,
        **SHALLOW,
    },
    "mixtral": {"num_experts": 4, "head_dim": 64, **SHALLOW},
    "qwen2-moe": {"num_experts": 4, "qkv_bias": True, "shared_expert_intermediate_size": 96, **SHALLOW},
    "qwen3-moe": {"num_experts": 4, "qk_norm": True, "moe_intermediate_size": 64, "norm_topk_prob": False, **SHALLOW},
}
FEED_FORWARDS = {"sharing": 3, "parts": 6, "local plugin": 1, "qwen2": 6, "qwen3": 6}
"""Of the models without experts."""
LOCAL_ACTIVATION = "import torch\n\ndef cubed_silu(z):\n    return torch.nn.functional.silu(z) ** 3\n"
IDS = torch.randint(0, 256, (1, 48), generator=torch.Generator().manual_seed(1))


def trained_looking(config):
    """Return a model in which no part is at its neutral start: ones would hide a norm in the wrong place."""
    torch.manual_seed(0)
    model = hf_model_class(config)(hf_config(config)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "shortcuts" in name:
                parameter.normal_(std=0.1)
            elif parameter.dim() == 1:
                parameter.uniform_(0.5, 1.0)
    return model


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plugin")
    (folder / "local_activation.py").write_text(LOCAL_ACTIVATION)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SMALLWRIGHT_PLUGIN_FILES", str(folder / "local_activation.py"))
        yield {name: trained_looking(DecoderConfig(**{**DIMENSIONS, **parts})) for name, parts in MODELS.items()}


@pytest.fixture(scope="module")
def served(models, tmp_path_factory):
    pytest.importorskip("vllm", reason="vLLM is not installed")
    folder = tmp_path_factory.mktemp("models")
    for name, model in models.items():
        model.save_pretrained(folder / name)
    shutil.copytree(folder / "sharing", folder / "broken")
    weights = load_file(folder / "broken" / "model.safetensors")
    weights["model.extra.bias"] = weights.pop("model.shared_ffns.ends.up_proj.weight")
    save_file(weights, folder / "broken" / "model.safetensors", metadata={"format": "pt"})

    environment = {**vllm_environment(eager=True), **offline_environment(), "ENGINE_OF_CODE": "vllm"}
    command = [sys.executable, "-c", SERVE, json.dumps(IDS[0].tolist()), str(folder), *models]
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, timeout=550
    )
    results = [line for line in done.stdout.splitlines() if line.startswith("RESULT")]
    assert results, done.stderr[-3000:]
    return json.loads(results[0][7:])


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_vllm_gives_transformers_log_probabilities(name, models, served):
    model, result = models[name], served[name]
    assert result["class"] == type(model).__name__
    with torch.no_grad():
        expected = torch.log_softmax(model(IDS).logits[0, :-1], dim=-1).gather(1, IDS[0, 1:, None])[:, 0]
        options = {"max_new_tokens": 8, "do_sample": False, "pad_token_id": 0}
        generated = model.generate(IDS, attention_mask=torch.ones_like(IDS), **options)[0, 48:]
    assert torch.allclose(torch.tensor(result["logprobs"]), expected, atol=1e-4, rtol=0)
    assert result["generated"] == generated.tolist()


@pytest.mark.slow
@pytest.mark.parametrize("name", FEED_FORWARDS)
def test_vllm_holds_a_shared_feed_forward_once(name, served):
    assert served[name]["feed_forwards"] == served[name]["used"] == FEED_FORWARDS[name]


@pytest.mark.slow
def test_a_trainer_may_update_one_weight(served):
    assert all(served[name]["updated"] for name in MODELS)


@pytest.mark.slow
def test_a_checkpoint_with_missing_and_extra_weights_is_refused_by_name(served):
    assert "missing model.shared_ffns.ends.up_proj.weight;" in served["broken"]
    assert "without a place model.extra.bias." in served["broken"]
