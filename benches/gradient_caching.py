"""What gradient caching costs: `coin train` with and without it, by turns, on the same pairs in the same micro-batches.

    cargo build --release -p coin
    python benches/gradient_caching.py --model DIR --pairs pairs.jsonl

Every round trains twice: under preset `paper`, which contrasts within a micro-batch and caches nothing, and under preset
`strict`, which contrasts the whole effective batch. Prints the median seconds of a step (the first two are left out),
the process's peak memory, and the ratios between the two. The model is any folder that `coin train` reads.
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
    """Median seconds of a step, peak memory in MB."""
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
    add("--model", required=True, help="folder in Hugging Face's layout")
    add("--pairs", required=True, help="pairs, as JSON lines")
    add("--batch-pairs", type=int, default=64, help="pairs per optimiser step (%(default)s)")
    add("--micro-batch-pairs", type=int, default=2, help="pairs at a time (%(default)s)")
    add("--steps", type=int, default=3, help="timed steps of a run (%(default)s)")
    add("--rounds", type=int, default=3, help="runs of each kind (%(default)s)")
    add("--device", default="cpu", help="device, or several separated by commas (%(default)s)")
    add("--coin", default=str(ROOT / "target/release/coin"), help="the command (%(default)s)")
    options = parser.parse_args()
    results: dict[str, list[tuple[float, float]]] = {"paper": [], "strict": []}
    for _ in range(options.rounds):
        for preset, found in results.items():
            with tempfile.TemporaryDirectory() as folder:
                found.append(train(options, preset, pathlib.Path(folder)))
    print("| preset | seconds a step | peak MB |\n|---|---|---|")
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
