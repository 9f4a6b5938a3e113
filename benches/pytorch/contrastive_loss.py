"""Times the symmetric InfoNCE of a batch in PyTorch, as a whole matrix, forward and backward.

    python contrastive_loss.py --batch 4096 --width 4096 --threads 2

A step normalizes both sides, multiplies them into a [batch, batch] matrix, takes the cross entropy of its rows and of its
columns against the diagonal, and goes backward to both inputs, in f32. Prints one line of JSON; seconds are wall time,
`peak_mib_beyond_inputs` is the growth of the process's peak resident memory over what it held with the inputs made, in
MiB (0 where the system does not say).
"""

import argparse
import json
import statistics
import time

import torch
from torch.nn.functional import cross_entropy, normalize


def flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Times the symmetric InfoNCE of a batch in PyTorch.")
    for name, default, text in [
        ("batch", 4096, "pairs"),
        ("width", 4096, "numbers of a row"),
        ("threads", 2, "threads of PyTorch"),
        ("rounds", 5, "timed steps"),
        ("warm-up", 1, "steps before the timed ones"),
        ("seed", 1, "seed of the inputs"),
    ]:
        parser.add_argument(f"--{name}", type=int, default=default, help=f"{text} (%(default)s)")
    parser.add_argument("--temperature", type=float, default=0.05, help="divides the cosines (%(default)s)")
    return parser.parse_args()


def step(anchor: torch.Tensor, positive: torch.Tensor, temperature: float) -> float:
    anchor.grad = positive.grad = None
    logits = normalize(anchor) @ normalize(positive).T / temperature
    own = torch.arange(len(logits))
    loss = (cross_entropy(logits, own) + cross_entropy(logits.T, own)) / 2
    loss.backward()
    return loss.item()


def memory(field: str) -> float:
    try:
        with open("/proc/self/status") as status:
            line = next(line for line in status if line.startswith(field))
            return int(line.split()[1]) / 1024
    except OSError:
        return 0.0


def main() -> None:
    options = flags()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    anchor, positive = (torch.rand(options.batch, options.width, requires_grad=True) for _ in range(2))
    before = memory("VmRSS:")

    seconds = []
    for index in range(options.warm_up + options.rounds):
        start = time.perf_counter()
        loss = step(anchor, positive, options.temperature)
        if index >= options.warm_up:
            seconds.append(time.perf_counter() - start)

    lower, median, upper = statistics.quantiles(seconds, n=4) if len(seconds) > 1 else seconds * 3
    report = {
        "seconds_median": round(median, 4),
        "seconds_quartiles": [round(lower, 4), round(upper, 4)],
        "peak_mib_beyond_inputs": round(memory("VmHWM:") - before, 1),
        "loss": round(loss, 6),
        "torch": torch.__version__,
        **vars(options),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
