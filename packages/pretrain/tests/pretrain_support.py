"""Token files and a small Llama for the tests of this package."""

import contextlib
import dataclasses
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from core.errors import UserError
from core.interfaces import Architecture, Job, Stage


def write_tokens(folder: Path, *, documents: int, vocab: int, seed: int = 0) -> Path:
    """Write a tokens artifact of documents that count up from a random id, so that a model can learn them."""
    from smallwright_testing import tokens  # imports pytest: not for the ranks

    generator = np.random.Generator(np.random.PCG64(seed))

    def split(count: int) -> list[list[int]]:
        parts = []
        for _ in range(count):
            length = int(generator.integers(5, 60))
            start = int(generator.integers(1, vocab))
            parts.append([*((start + np.arange(length)) % (vocab - 1) + 1).tolist(), 0])
        return parts

    train, validation = split(documents), split(max(2, documents // 10))
    counts = np.bincount(np.concatenate(train), minlength=vocab) + 1
    unigram = float(-np.log(counts / counts.sum())[np.concatenate(validation)].mean())
    return tokens.write_tokens(folder, train, validation, vocab_size=vocab, unigram_loss=unigram)


def write_two_corpora(folder: Path) -> dict[str, Path]:
    """Write tokens of ``web`` and ``code``, and return them by the roles that they have for a training."""
    return {
        f"tokens-{name}": write_tokens(folder / name, documents=60, vocab=64, seed=seed)
        for seed, name in enumerate(("web", "code"))
    }


class Killed(BaseException):
    """What ends a stage in the middle of a test."""


@contextlib.contextmanager
def one_rank_here() -> Iterator[Any]:
    """Let the stage train in this process, with one rank and no launcher; gives the patch, for more of it."""
    import pytest
    import torch
    import torchtitan.trainer
    from smallwright_pretrain import metrics, rank, records, stage

    def append(path: Path, record: dict[str, Any]) -> None:
        assert path.name != records.METRICS or record.keys() <= {*records.KEYS}, "a curve that has no name in a report"
        records.append(path, record)

    with pytest.MonkeyPatch.context() as patch:
        ranks = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
        for name, value in {**ranks, "TOKENIZERS_PARALLELISM": "false"}.items():
            patch.setenv(name, value)
        patch.setattr(stage, "run_ranks", lambda job_file, *_: rank.main(job_file))
        patch.setattr(metrics, "append", append)
        patch.setattr(torchtitan.trainer.time, "sleep", lambda _: None)
        torch.set_num_threads(1)
        yield patch


@dataclasses.dataclass(frozen=True, kw_only=True)
class TinyConfig:
    """Dimensions of the test model, with Hugging Face's keys."""

    vocab_size: int = 64
    hidden_size: int = 64  # heads of 32, the smallest that vLLM has on a CPU
    intermediate_size: int = 96
    num_hidden_layers: int = 2
    num_attention_heads: int = 2
    num_key_value_heads: int = 1
    tie_word_embeddings: bool = False
    rope_theta: float = 10000.0
    break_adapter: bool = False


class Tiny(Architecture):
    """TorchTitan's Llama 3 beside Transformers' Llama, untied."""

    config: TinyConfig

    def parameters(self) -> int:
        c = self.config
        attention = 2 * c.hidden_size**2 + 2 * c.hidden_size * 32
        feed_forward = 3 * c.hidden_size * c.intermediate_size
        layers = c.num_hidden_layers * (attention + feed_forward + 2 * c.hidden_size)
        return 2 * c.vocab_size * c.hidden_size + layers + c.hidden_size

    def executed_parameters(self) -> int:
        return self.parameters() - self.config.vocab_size * self.config.hidden_size

    def attention_width(self) -> int:
        return self.config.num_hidden_layers * self.config.hidden_size

    def hf_config(self) -> Any:
        from transformers import LlamaConfig

        c = self.config
        return LlamaConfig(
            vocab_size=c.vocab_size,
            hidden_size=c.hidden_size,
            intermediate_size=c.intermediate_size,
            num_hidden_layers=c.num_hidden_layers,
            num_attention_heads=c.num_attention_heads,
            num_key_value_heads=c.num_key_value_heads,
            rms_norm_eps=1e-5,
            rope_theta=c.rope_theta,
            max_position_embeddings=128,
            tie_word_embeddings=False,
        )

    def hf_model_class(self) -> type:
        from transformers import LlamaForCausalLM

        return LlamaForCausalLM

    def titan_config(self, *, inner_attention: Any, seq_len: int) -> Any:
        import torch.nn as nn
        from torchtitan.models.common import ComplexRoPE, Embedding, Linear, RMSNorm
        from torchtitan.models.common.config_utils import make_ffn_config, make_gqa_config
        from torchtitan.models.llama3.model import Llama3Model, Llama3TransformerBlock

        c = self.config
        normal = {"weight": partial(nn.init.normal_, std=0.1)}

        def norm() -> RMSNorm.Config:  # each its own: TorchTitan writes into it how it is sharded
            return RMSNorm.Config(normalized_shape=c.hidden_size, eps=1e-5, param_init={"weight": nn.init.ones_})

        rope = ComplexRoPE.Config(dim=c.hidden_size // c.num_attention_heads, max_seq_len=128, theta=c.rope_theta)

        def block() -> Llama3TransformerBlock.Config:
            return Llama3TransformerBlock.Config(
                attention_norm=norm(),
                ffn_norm=norm(),
                attention=make_gqa_config(
                    dim=c.hidden_size,
                    n_heads=c.num_attention_heads,
                    n_kv_heads=c.num_key_value_heads,
                    wqkv_param_init=normal,
                    wo_param_init=normal,
                    inner_attention=inner_attention,
                    rope=rope,
                ),
                feed_forward=make_ffn_config(
                    dim=c.hidden_size,
                    hidden_dim=c.intermediate_size,
                    w1_param_init=normal,
                    w2w3_param_init=normal,
                ),
            )

        return Llama3Model.Config(
            dim=c.hidden_size,
            vocab_size=c.vocab_size,
            tok_embeddings=Embedding.Config(
                num_embeddings=c.vocab_size, embedding_dim=c.hidden_size, param_init=normal
            ),
            norm=norm(),
            lm_head=Linear.Config(in_features=c.hidden_size, out_features=c.vocab_size, param_init=normal),
            layers=[block() for _ in range(c.num_hidden_layers)],
        )

    def state_dict_adapter(self) -> type:
        from torchtitan.models.llama3.state_dict_adapter import Llama3StateDictAdapter

        class MixedUp(Llama3StateDictAdapter):
            """Keeps every shape, and so passes every check but the comparison of engines."""

            def _permute(self, *args: Any, **kwargs: Any) -> Any:
                return super()._permute(*args, **kwargs).flip(0)

        return MixedUp if self.config.break_adapter else Llama3StateDictAdapter

    def vllm_architecture(self) -> str:
        return "LlamaForCausalLM"


@dataclasses.dataclass(frozen=True, kw_only=True)
class MarksConfig:
    """Settings of the test evaluator."""

    fails: bool = False
    seconds: float = 0.0
    """How long it takes."""


class Marks(Stage):
    """An evaluator whose score is the number in the file ``mark`` of the model's folder."""

    config: MarksConfig

    def run(self, job: Job) -> dict[str, Any]:
        if self.config.fails:
            raise UserError("eval.tasks: nobody\nhas such a task")
        time.sleep(self.config.seconds)
        mark = float((job.inputs["model"] / "mark").read_text())
        return {"eval": [{"task": "mark", "metric": "acc", "value": mark, "stderr": 0.1, "chance": 0.25, "n": 7}]}
