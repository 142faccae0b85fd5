"""What it costs to keep the training loss apart by sequence: the time of the loss, forwards and backwards, on one core.

python benchmarks/loss_by_source.py
python benchmarks/loss_by_source.py --vocab 49152 --rounds 5
"""

import argparse
import statistics
import time

from smallwright_pretrain.cpu import use_device

use_device("cpu")

import torch  # noqa: E402
from smallwright_pretrain.by_source import LossBySequence  # noqa: E402
from torchtitan.components.loss import CrossEntropyLoss  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sequences", type=int, default=8)
    parser.add_argument("--seq-len", type=int, default=256)
    parser.add_argument("--vocab", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=12, help="of each, in turn")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    logits_BLV = torch.randn(options.sequences, options.seq_len, options.vocab)
    labels_BL = torch.randint(options.vocab, (options.sequences, options.seq_len))
    tokens = torch.tensor(labels_BL.numel())
    losses = {"TorchTitan's": CrossEntropyLoss.Config().build(), "by sequence": LossBySequence.Config().build()}
    seconds: dict[str, list[float]] = {name: [] for name in losses}
    for _ in range(options.rounds):
        for name, loss_fn in losses.items():
            if isinstance(loss_fn, LossBySequence):
                loss_fn.seen = []
            given_BLV = logits_BLV.clone().requires_grad_()
            began = time.process_time()
            loss, _ = loss_fn(given_BLV, labels_BL, tokens)
            loss.backward()
            seconds[name].append(time.process_time() - began)
    for name, took in seconds.items():
        print(f"{name:14} {1000 * statistics.median(took):8.1f} ms (median), {1000 * min(took):.1f} at least")


if __name__ == "__main__":
    main()
