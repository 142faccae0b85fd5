"""vLLM serves the exported model with the same log-probabilities as Hugging Face (its own process, on the CPU)."""

import json
import os
import subprocess
import sys

import pytest
import torch
from core.typed import build
from smallwright_gqa.architecture import GQA
from smallwright_gqa.config import GQAConfig

SERVE = """
import json, sys
from vllm import LLM, SamplingParams
model, ids = sys.argv[1], json.loads(sys.argv[2])
llm = LLM(model, dtype="float32", enforce_eager=True, skip_tokenizer_init=True, max_model_len=64, max_num_seqs=2)
params = SamplingParams(max_tokens=1, temperature=0, prompt_logprobs=1, detokenize=False)
[output] = llm.generate([{"prompt_token_ids": ids}], params)
print("RESULT", json.dumps([entry[token].logprob for entry, token in zip(output.prompt_logprobs[1:], ids[1:])]))
"""


@pytest.mark.slow
def test_vllm_gives_hugging_faces_log_probabilities(tmp_path):
    pytest.importorskip("vllm", reason="vLLM is not installed")
    architecture = GQA(build(GQAConfig, {"size": "nano", "vocab_size": 512}, "arch"))
    torch.manual_seed(0)
    model = architecture.hf_model_class()(architecture.hf_config()).eval()
    model.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["architectures"] == [architecture.vllm_architecture()]
    ids = torch.randint(0, 512, (48,)).tolist()

    environment = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", SERVE, str(tmp_path), json.dumps(ids)]
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=300)
    results = [line for line in done.stdout.splitlines() if line.startswith("RESULT")]
    assert results, done.stderr[-2000:]

    with torch.no_grad():
        expected = torch.log_softmax(model(torch.tensor([ids])).logits[0, :-1], dim=-1)
    expected = expected.gather(1, torch.tensor(ids[1:])[:, None])[:, 0]
    assert torch.allclose(torch.tensor(json.loads(results[0][7:])), expected, atol=1e-4, rtol=0)
