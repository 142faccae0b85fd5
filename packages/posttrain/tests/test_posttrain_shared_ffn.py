"""Both methods on a plugin's own model class, where the plugin is installed."""

import json
from pathlib import Path

import pytest
from core.interfaces import Job
from core.typed import build
from smallwright_posttrain.config import DpoConfig, SftConfig
from smallwright_posttrain.dpo import Dpo
from smallwright_posttrain.sft import Sft

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' }}{% if message['role'] == 'assistant' %}"
    "{% generation %}{{ message['content'] + '<|im_end|>' }}{% endgeneration %}{% else %}"
    "{{ message['content'] + '<|im_end|>' }}{% endif %}{{ '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)

pytest.importorskip("smallwright_shared_ffn", reason="the plugin smallwright-arch-shared-ffn is not installed")


def test_sft_then_dpo_on_a_shared_ffn(tmp_path):
    import torch
    from smallwright_shared_ffn.architecture import SharedFFN
    from smallwright_shared_ffn.config import SharedFFNConfig

    tokenizer_directory = tmp_path / "model" / "hf"
    architecture = SharedFFN(
        build(
            SharedFFNConfig,
            {
                "vocab_size": 300, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
                "num_attention_heads": 4, "num_key_value_heads": 2,
            },
            "arch",
        )
    )  # fmt: skip
    torch.manual_seed(0)
    architecture.hf_model_class()(architecture.hf_config()).save_pretrained(tokenizer_directory)
    _byte_tokenizer(tokenizer_directory, CHATML)

    settings = {"max_steps": 3, "logging_steps": 1, "max_length": 192}
    source = tmp_path / "model"
    for stage in (Sft(build(SftConfig, settings, "sft")), Dpo(build(DpoConfig, settings, "dpo"))):
        output = tmp_path / stage.method
        output.mkdir()
        job = Job(name=stage.method, output=output, inputs={"model": source}, seed=1, architecture=architecture)
        assert stage.run(job)["steps"] == 3
        source = output
    before, after = (json.loads((tmp_path / name / "hf" / "config.json").read_text()) for name in ("model", "dpo"))
    assert after["architectures"] == before["architectures"]
    assert after.get("auto_map") == before.get("auto_map")
    loaded, report = architecture.hf_model_class().from_pretrained(tmp_path / "dpo" / "hf", output_loading_info=True)
    assert not report["missing_keys"]
    stored = sum(parameter.numel() for parameter in {id(p): p for p in loaded.parameters()}.values())
    assert stored == architecture.parameters()


def _byte_tokenizer(directory: Path, template: str) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>"]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(special + alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=special[0], pad_token=special[3], additional_special_tokens=special[1:3]
    )
    fast.chat_template = template
    fast.save_pretrained(directory)
