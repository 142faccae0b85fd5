"""Peak memory of a loss by a teacher beside that of cross-entropy: 2,048 tokens, 49,152 rows, float32, on a CPU.

python benchmarks/distillation.py cross-entropy
python benchmarks/distillation.py forward_kl
python benchmarks/distillation.py forward_kl --chunk 2048      # all tokens at once
python benchmarks/distillation.py forward_kl --stored 100      # by 100 stored probabilities of each token
"""

import argparse
import resource

import torch
from smallwright_pretrain.distill_config import Mix
from smallwright_pretrain.distillation import distill, distill_stored
from torch.nn import functional

TOKENS, ROWS, WIDTH = 2048, 49_152, 64


def peak() -> float:
    """Return the most memory that this process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Compute one loss with its gradient, and say by how much the peak has grown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("loss", choices=["cross-entropy", "forward_kl", "reverse_kl", "jsd"])
    parser.add_argument("--chunk", type=int, help="tokens at a time; as the training does unless given")
    parser.add_argument("--stored", type=int, metavar="K", help="the teacher's K largest probabilities, without it")
    options = parser.parse_args()
    torch.manual_seed(0)
    states = torch.randn(TOKENS, WIDTH)
    head = torch.nn.Linear(WIDTH, ROWS, bias=False).requires_grad_(False)
    student = torch.randn(TOKENS, ROWS).requires_grad_()
    labels = torch.randint(0, ROWS, (TOKENS,))
    if options.stored:  # distinct ids of each token, and probabilities that sum to 1 with the rest
        ids = (torch.randint(0, ROWS, (TOKENS, 1)) + torch.arange(options.stored) * 7).remainder(ROWS).int()
        logs = torch.log_softmax(torch.randn(TOKENS, options.stored + 1), -1).half()
    before = peak()
    if options.loss == "cross-entropy":
        functional.cross_entropy(student, labels, reduction="sum").backward()
    elif options.stored:
        distill_stored(Mix(loss=options.loss), student, labels, ids, logs, options.chunk).loss.backward()
    else:
        distill(Mix(loss=options.loss), student, labels, states, head, options.chunk).loss.backward()
    print(f"{options.loss}: {peak() - before:,.0f} MiB more at the peak")


if __name__ == "__main__":
    main()
