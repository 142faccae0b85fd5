"""Tokens/s of training steps: TorchTitan's trainer as a recipe uses it, against a plain PyTorch loop, in one run.

The plain model has the same shape, attention, packed documents, allocator, threads, precision and compilation, one
fused AdamW and clipping; no sharding, no configuration, no metrics. With ``--shared`` the comparison is of our model
with one shared feed-forward and of the same shape without sharing. Rounds are interleaved; medians count.

    python benchmarks/pretrain_step.py
    python benchmarks/pretrain_step.py --compile
    python benchmarks/pretrain_step.py --shared
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

SHAPE = {
    "hidden_size": 384,
    "intermediate_size": 1024,
    "num_hidden_layers": 8,
    "num_attention_heads": 6,
    "num_key_value_heads": 6,
    "vocab_size": 8192,
    "tie_word_embeddings": False,
}
"""20.45 M parameters."""


def restart_as_trained() -> None:
    """Start this process anew with the environment that the stage gives to the processes that train."""
    from smallwright_pretrain.config import TorchTitanConfig
    from smallwright_pretrain.stage import TorchTitanPretrain

    if os.environ.get("RANK") is None:
        environment = TorchTitanPretrain(TorchTitanConfig()).environment()
        ranks = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **environment, **ranks})


def write_tokens(folder: Path, seq_len: int) -> None:
    """Write a tokens artifact of random ids in documents of about half a sequence."""
    from smallwright_testing import tokens

    generator = np.random.Generator(np.random.PCG64(0))
    train, validation = (
        generator.integers(1, SHAPE["vocab_size"], (2 * windows + 1, seq_len // 2)).tolist() for windows in (512, 8)
    )
    tokens.write_tokens(folder, train, validation, vocab_size=SHAPE["vocab_size"], unigram_loss=9.0)


def architecture(name: str, **values: Any) -> Any:
    """Build an installed architecture of the benchmark's shape."""
    from core import discovery
    from core.typed import build

    entry = next(e for e in discovery.load().entries() if e.kind == "architectures" and e.name == name)
    return entry.load()(build(entry.load_config(), {**SHAPE, **values}, "arch"))


def titan_steps(arch: Any, settings: Any, tokens: Path, output: Path) -> tuple[Callable[[], None], Any]:
    """Return a function that makes one optimizer step with TorchTitan's trainer, and the trainer."""
    from smallwright_pretrain.attention import inner_attention
    from smallwright_pretrain.titan import trainer_config

    output.mkdir()
    model = arch.titan_config(inner_attention=inner_attention("cpu"), seq_len=settings.seq_len)
    config = trainer_config(settings, model=model, name="benchmark", tokens={"corpus": tokens}, output=output, seed=0)
    trainer = config.build()
    batches = trainer.batch_generator(trainer.dataloader)

    def step() -> None:
        trainer.step += 1
        trainer.train_step(batches)

    return step, trainer


def plain_steps(settings: Any, tokens: Path) -> Callable[[], None]:
    """Return a function that makes one optimizer step of the plain loop."""
    import torch
    from smallwright_pretrain.attention import document_mask
    from smallwright_pretrain.data import TokenWindows, batch

    bfloat16 = settings.precision == "bfloat16"
    model = plain_model(settings.seq_len)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    file = TokenWindows(tokens, "train", settings.seq_len)
    order = np.random.default_rng(0).permutation(file.full_windows)

    def loss_of(ids: torch.Tensor, mask: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(model(ids, mask).float().flatten(0, 1), labels.flatten())

    compiled = torch.compile(loss_of) if settings.compile else loss_of

    def batches() -> Iterator[Any]:
        first = 0
        while True:
            places = np.arange(first, first + settings.global_batch_size) % len(order)
            yield batch([file.window(int(order[place])) for place in places])
            first += settings.global_batch_size

    data = batches()

    def step() -> None:
        inputs, labels = next(data)
        mask = document_mask(inputs["positions"], torch.bfloat16 if bfloat16 else torch.float32)
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            loss = compiled(inputs["input"], mask, labels)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        loss.item()

    return step


def plain_model(seq_len: int) -> Any:
    """Return a Llama in the fewest operations: fused query, key and value, rotation from two tables.

    Shape suffixes: B batch, L sequence, D hidden, N heads, H head size.
    """
    import torch
    from torch import nn
    from torch.nn import functional as F

    dim, heads, ffn, vocab = (
        SHAPE[key] for key in ("hidden_size", "num_attention_heads", "intermediate_size", "vocab_size")
    )
    size = dim // heads

    def linear(fan_in: int, fan_out: int) -> nn.Linear:
        return nn.Linear(fan_in, fan_out, bias=False)

    def rotated(x_BNLH: torch.Tensor, cos_LH: torch.Tensor, sin_LH: torch.Tensor) -> torch.Tensor:
        left, right = x_BNLH.chunk(2, -1)
        return x_BNLH * cos_LH + torch.cat((-right, left), -1) * sin_LH

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm1, self.norm2 = nn.RMSNorm(dim, eps=1e-5), nn.RMSNorm(dim, eps=1e-5)
            self.qkv, self.out = linear(dim, 3 * dim), linear(dim, dim)
            self.gate, self.up, self.down = linear(dim, ffn), linear(dim, ffn), linear(ffn, dim)

        def forward(self, x_BLD, mask_BLL, cos_LH, sin_LH):
            batch, length, _ = x_BLD.shape
            qkv = self.qkv(self.norm1(x_BLD)).view(batch, length, 3, heads, size).permute(2, 0, 3, 1, 4)
            q_BNLH, k_BNLH, v_BNLH = qkv.unbind(0)
            q_BNLH, k_BNLH = rotated(q_BNLH, cos_LH, sin_LH), rotated(k_BNLH, cos_LH, sin_LH)
            scores_BNLL = torch.matmul(q_BNLH, k_BNLH.transpose(-1, -2)) * size**-0.5
            weights_BNLL = torch.softmax(scores_BNLL + mask_BLL.to(scores_BNLL.dtype), -1).to(v_BNLH.dtype)
            x_BLD = x_BLD + self.out(torch.matmul(weights_BNLL, v_BNLH).transpose(1, 2).flatten(2))
            y_BLD = self.norm2(x_BLD)
            return x_BLD + self.down(F.silu(self.gate(y_BLD)) * self.up(y_BLD))

    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(vocab, dim)
            self.blocks = nn.ModuleList(Block() for _ in range(SHAPE["num_hidden_layers"]))
            self.norm, self.head = nn.RMSNorm(dim, eps=1e-5), linear(dim, vocab)
            angle_LH = torch.outer(torch.arange(seq_len), 10000 ** -(torch.arange(0, size, 2) / size)).repeat(1, 2)
            self.register_buffer("cos_LH", angle_LH.cos())
            self.register_buffer("sin_LH", angle_LH.sin())
            for parameter in self.parameters():
                if parameter.ndim > 1:
                    nn.init.normal_(parameter, std=0.02)

        def forward(self, ids_BL, mask_BLL):
            x_BLD = self.embedding(ids_BL)
            for block in self.blocks:
                x_BLD = block(x_BLD, mask_BLL, self.cos_LH.to(x_BLD.dtype), self.sin_LH.to(x_BLD.dtype))
            return self.head(self.norm(x_BLD))

    torch.manual_seed(0)
    return Plain()


def state_bytes(trainer: Any) -> dict[str, int]:
    """Return the bytes of weights, gradients and optimizer states that a rank holds."""
    parameters = list(trainer.model_parts[0].parameters())
    moments = [
        value
        for optimizer in trainer.optimizers.optimizers
        for state in optimizer.state.values()
        for value in state.values()
        if value.ndim
    ]
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    named = {"weights": parameters, "gradients": gradients, "optimizer": moments}
    return {name: sum(t.numel() * t.element_size() for t in tensors) for name, tensors in named.items()}


def main() -> None:
    """Build both, run the rounds, print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compile", action="store_true", help="compile both")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--shared", action="store_true", help="shared_ffn against the same shape without sharing")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seq-len", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=2, help="steps of each in a round")
    arguments = parser.parse_args()
    restart_as_trained()

    from smallwright_pretrain.cpu import use_device

    use_device("cpu")
    import logging

    from smallwright_pretrain.config import TorchTitanConfig

    settings = TorchTitanConfig(
        steps=100_000,
        seq_len=arguments.seq_len,
        global_batch_size=arguments.batch,
        precision=arguments.precision,
        compile=arguments.compile,
        checkpoint_interval=100_000,
        validation_interval=100_000,
        log_interval=1,
        warmup_steps=5,
    )
    logging.disable(logging.INFO)
    steps: dict[str, Callable[[], None]] = {}
    trainers: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        tokens = Path(folder)
        write_tokens(tokens, settings.seq_len)
        if arguments.shared:
            for name, groups in (("not shared", {}), ("one shared", {"all": "all"})):
                arch = architecture("shared_ffn", ffn_groups=groups)
                steps[name], trainers[name] = titan_steps(arch, settings, tokens, tokens / name.replace(" ", "_"))
        else:
            steps["plain loop"] = plain_steps(settings, tokens)
            steps["ours"], trainers["ours"] = titan_steps(architecture("gqa"), settings, tokens, tokens / "gqa")
        for step in steps.values():  # compiles, and fills the allocator
            for _ in range(3):
                step()
        seconds: dict[str, list[float]] = {name: [] for name in steps}
        for _ in range(arguments.rounds):
            for name, step in steps.items():
                begin = time.perf_counter()
                for _ in range(arguments.steps):
                    step()
                seconds[name].append((time.perf_counter() - begin) / arguments.steps)
    first = next(iter(steps))
    print(json.dumps({**vars(arguments), **SHAPE}))
    print(f"{'':14} {'tokens/s':>9} {'ratio':>6}   weights, gradients, optimizer states in MB")
    for name, times in seconds.items():
        rate = arguments.batch * settings.seq_len / statistics.median(times)
        ratio = statistics.median(a / b for a, b in zip(seconds[first], times, strict=True))
        sizes = (
            ", ".join(f"{size / 1e6:.1f}" for size in state_bytes(trainers[name]).values()) if name in trainers else ""
        )
        print(f"{name:14} {rate:9.0f} {ratio:6.3f}   {sizes}")


if __name__ == "__main__":
    main()
