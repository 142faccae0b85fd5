"""Tokens/s of training steps in bfloat16 against float32, on this CPU, by the size of the model.

The table of `pretrain.precision=auto` (`smallwright_pretrain.precision`) comes from it. For each size both trainers are
built in one process; rounds are interleaved, and the median of the rounds' ratios counts.

    python benchmarks/precision.py
    python benchmarks/precision.py --sizes 1M 20M --compile
"""

import argparse
import logging
import statistics
import tempfile
import time
from pathlib import Path

import pretrain_step
from pretrain_step import architecture, restart_as_trained, titan_steps, write_tokens

SIZES = {
    "1M": (128, 384, 6, 4, 2048),
    "4M": (256, 704, 4, 4, 2048),
    "9M": (320, 896, 6, 5, 4096),
    "20M": (384, 1024, 8, 6, 8192),
    "60M": (576, 1536, 12, 9, 16384),
}
"""Width, feed-forward, layers, heads and ids, tied, of about as many parameters."""


def main() -> None:
    """Build both of each size, run the rounds, print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", choices=list(SIZES), default=list(SIZES))
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--seq-len", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    restart_as_trained()

    from smallwright_pretrain.cpu import use_device

    use_device("cpu")
    from smallwright_pretrain.config import TorchTitanConfig

    logging.disable(logging.INFO)
    print(
        f"{'size':5} {'parameters':>12} {'float32':>9} {'bfloat16':>9} {'ratio':>6}   tokens/s; medians of the rounds"
    )
    for size in arguments.sizes:
        width, ffn, layers, heads, vocab = SIZES[size]
        pretrain_step.SHAPE["vocab_size"] = vocab
        shape = {"hidden_size": width, "intermediate_size": ffn, "num_hidden_layers": layers, "vocab_size": vocab}
        shape |= {"num_attention_heads": heads, "num_key_value_heads": heads, "tie_word_embeddings": True}
        model = architecture("gqa", **shape)
        steps = {}
        with tempfile.TemporaryDirectory() as folder:
            tokens = Path(folder)
            write_tokens(tokens, arguments.seq_len)
            for precision in ("float32", "bfloat16"):
                settings = TorchTitanConfig(
                    steps=100_000,
                    seq_len=arguments.seq_len,
                    global_batch_size=arguments.batch,
                    precision=precision,
                    compile=arguments.compile,
                    checkpoint_interval=100_000,
                    validation_interval=100_000,
                    warmup_steps=5,
                )
                steps[precision], _ = titan_steps(model, settings, tokens, tokens / precision)
            for step in steps.values():  # compiles, and fills the allocator
                for _ in range(3):
                    step()
            seconds: dict[str, list[float]] = {name: [] for name in steps}
            for _ in range(arguments.rounds):
                for name, step in steps.items():
                    begin = time.perf_counter()
                    step()
                    seconds[name].append(time.perf_counter() - begin)
        each = arguments.batch * arguments.seq_len
        rates = {name: each / statistics.median(times) for name, times in seconds.items()}
        ratio = statistics.median(a / b for a, b in zip(seconds["float32"], seconds["bfloat16"], strict=True))
        print(
            f"{size:5} {model.parameters():12,} {rates['float32']:9,.0f} {rates['bfloat16']:9,.0f} {ratio:6.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
