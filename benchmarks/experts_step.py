"""Tokens/s of training steps: a mixture of experts against a dense model that executes as many parameters per token.

Both are the decoder as the trainer builds it, unsharded, with one fused AdamW. Rounds are interleaved; medians
count. Stored parameters are the price: the mixture's AdamW updates all experts.

    python benchmarks/experts_step.py
    python benchmarks/experts_step.py --experts 16 --experts-per-token 4 --width 256
"""

import argparse
import statistics
import time
from typing import Any


def build(settings: dict[str, Any], seq_len: int) -> tuple[Any, Any]:
    """Return the architecture and its TorchTitan model."""
    from core.typed import build as typed
    from smallwright_decoder.architecture import DecoderArchitecture
    from smallwright_decoder.config import DecoderConfig
    from smallwright_pretrain.cpu import use_device

    use_device("cpu")
    from smallwright_pretrain.attention import inner_attention
    from smallwright_pretrain.weights import unsharded

    architecture = DecoderArchitecture(typed(DecoderConfig, settings, "arch"))
    config = architecture.titan_config(inner_attention=inner_attention("cpu"), seq_len=seq_len)
    return architecture, unsharded(config).train()


def step_of(model: Any, ids_BL: Any, precision: str) -> Any:
    """Return a function that does one optimizer step."""
    import torch
    from smallwright_pretrain.attention import document_mask

    model.to(getattr(torch, precision))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    positions_BL = torch.arange(ids_BL.shape[1]).expand_as(ids_BL)
    mask_B1LL = document_mask(positions_BL, getattr(torch, precision))

    def step() -> None:
        logits_BLV = model(ids_BL, positions=positions_BL, attention_masks=mask_B1LL).float()
        loss = torch.nn.functional.cross_entropy(logits_BLV[:, :-1].flatten(0, 1), ids_BL[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def main() -> None:
    """Run the command."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("experts", 8), ("experts-per-token", 2), ("width", 512), ("layers", 8), ("rounds", 7)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--hidden", type=int, default=384)
    parser.add_argument("--seq-len", type=int, default=256)
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    options = parser.parse_args()
    shape = {
        "hidden_size": options.hidden,
        "num_hidden_layers": options.layers,
        "num_attention_heads": 6,
        "num_key_value_heads": 6,
        "vocab_size": 8192,
    }
    per_token = options.experts_per_token
    dense = {**shape, "intermediate_size": per_token * options.width}
    mixture = {**shape, "intermediate_size": options.width, "num_experts": options.experts}
    ids_BL = torch.randint(0, 8192, (options.rows, options.seq_len), generator=torch.Generator().manual_seed(0))
    steps, seconds = {}, {"dense": [], "experts": []}
    for name, settings in (("dense", dense), ("experts", {**mixture, "num_experts_per_tok": per_token})):
        architecture, model = build(settings, options.seq_len)
        print(f"{name:8} {architecture.parameters():12,} stored {architecture.executed_parameters():12,} executed")
        steps[name] = step_of(model, ids_BL, options.precision)
        steps[name]()
    for _ in range(options.rounds):
        for name, step in steps.items():
            started = time.perf_counter()
            step()
            seconds[name].append(time.perf_counter() - started)
    rates = {name: ids_BL.numel() / statistics.median(times) for name, times in seconds.items()}
    for name, rate in rates.items():
        print(f"{name:8} {rate:8,.0f} tokens/s")
    print(f"experts / dense: {rates['experts'] / rates['dense']:.2f}")


if __name__ == "__main__":
    main()
