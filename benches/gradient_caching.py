"""Measures the cost of gradient caching: alternates `coin train` with and without it, on the same pairs and micro-batches.

    cargo build --release -p coin
    python benches/gradient_caching.py --model DIR --pairs pairs.jsonl

Every round trains twice: under preset `paper`, which contrasts within a micro-batch without caching, and under preset
`strict`, which contrasts the whole effective batch. Prints the median seconds per step (without the first two steps), the
peak memory of the process, and the ratios between the two. The model may be any folder that `coin train` reads.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent


def train(options: argparse.Namespace, preset: str, folder: pathlib.Path) -> tuple[float, float]:
    """Returns the median seconds per step and the peak memory in MB."""
    run = folder / preset
    config = folder / f"{preset}.toml"
    config.write_text(
        f"out = '{run}'\n[model]\npath = '{options.model}'\n[data]\npairs = '{options.pairs}'\n"
        f"[train]\npreset = '{preset}'\nsteps = {options.steps + 2}\nbatch_pairs = {options.batch_pairs}\n"
        f"micro_batch_pairs = {options.micro_batch_pairs}\nvalidate_every = 0\ncheckpoint_every = 0\n"
        f"device = '{options.device}'\n"
    )
    process = subprocess.Popen(
        [options.coin, "train", "--config", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(errors)
    steps = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return statistics.median(step["seconds"] for step in steps[2:]), usage.ru_maxrss / 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--model", required=True, help="model folder in Hugging Face's layout")
    add("--pairs", required=True, help="file of pairs, JSON lines")
    add("--batch-pairs", type=int, default=64, help="pairs per optimizer step (%(default)s)")
    add("--micro-batch-pairs", type=int, default=2, help="pairs per micro-batch (%(default)s)")
    add("--steps", type=int, default=3, help="timed steps per run (%(default)s)")
    add("--rounds", type=int, default=3, help="runs of each preset (%(default)s)")
    add("--device", default="cpu", help="device, or comma-separated devices (%(default)s)")
    add("--coin", default=str(ROOT / "target/release/coin"), help="path of the coin command (%(default)s)")
    options = parser.parse_args()
    results: dict[str, list[tuple[float, float]]] = {"paper": [], "strict": []}
    for _ in range(options.rounds):
        for preset, found in results.items():
            with tempfile.TemporaryDirectory() as folder:
                found.append(train(options, preset, pathlib.Path(folder)))
    print("| preset | seconds per step | peak MB |\n|---|---|---|")
    for preset, found in results.items():
        seconds, memory = (statistics.median(values) for values in zip(*found))
        print(f"| {preset} | {seconds:.2f} | {memory:.0f} |")
    ratios = [
        statistics.median(cached[at] / plain[at] for cached, plain in zip(results["strict"], results["paper"]))
        for at in (0, 1)
    ]
    print(f"\ncached / uncached: time {ratios[0]:.2f}, peak memory {ratios[1]:.2f}")


if __name__ == "__main__":
    main()
