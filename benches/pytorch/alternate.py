"""Runs the LoRA training step of this project, of burn's own LoRA and of PyTorch + peft by turns, and prints ratios.

    python alternate.py --runs 3 --threads 2 [--width 288 --layers 6 ...]

By turns, because a shared machine drifts: every round runs each program once, and what counts are the medians over
rounds and their ratio to PyTorch's. Flags that are not known here go to all programs. The Rust side is built by cargo
in the bench profile before the first round.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
CARGO = ["cargo", "bench", "--quiet", "-p", "coin-benches", "--bench", "lora_step", "--"]
PROGRAMS = {
    "PyTorch + peft": [sys.executable, str(HERE / "lora_step.py")],
    "coin": [*CARGO, "--adapter", "ours"],
    "burn's apply_lora": [*CARGO, "--adapter", "burn"],
    "coin, int8 base": [*CARGO, "--quantize", "int8"],
    "coin, int4 base": [*CARGO, "--quantize", "int4"],
    "coin, checkpointing": [*CARGO, "--checkpointing"],
    "coin, int4 base, checkpointing": [*CARGO, "--quantize", "int4", "--checkpointing"],
}


def run(command: list[str], flags: list[str], threads: int) -> dict:
    # Waiting OpenMP threads that spin make PyTorch several times slower where another program wants a core.
    environment = dict(
        os.environ, RAYON_NUM_THREADS=str(threads), OMP_NUM_THREADS=str(threads), OMP_WAIT_POLICY="PASSIVE"
    )
    if command[0] == sys.executable:
        flags = [*flags, "--threads", str(threads)]
    output = subprocess.run([*command, *flags], cwd=HERE.parent.parent, env=environment, check=True, capture_output=True, text=True)
    return json.loads(output.stdout.strip().splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="rounds (%(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="threads of every program (%(default)s)")
    parser.add_argument("--only", help="names of programs, separated by commas")
    options, flags = parser.parse_known_args()
    names = [name for name in PROGRAMS if not options.only or name in options.only.split(",")]
    if any(name != "PyTorch + peft" for name in names):
        subprocess.run([*CARGO[:-1], "--no-run"], cwd=HERE.parent.parent, check=True)
    results: dict[str, list[dict]] = {name: [] for name in names}
    for _ in range(options.runs):
        for name in names:
            results[name].append(run(PROGRAMS[name], flags, options.threads))
    median = lambda name, key: statistics.median(result[key] for result in results[name])
    base = names[0]
    print(f"| program | seconds a step | ratio | peak MB | before the first step |\n|---|---|---|---|---|")
    for name in names:
        seconds = median(name, "seconds_median")
        ratio = statistics.median(
            ours["seconds_median"] / theirs["seconds_median"] for ours, theirs in zip(results[name], results[base])
        )
        print(
            f"| {name} | {seconds:.3f} | {ratio:.2f} | {median(name, 'peak_mb'):.0f} "
            f"| {median(name, 'peak_mb_before_first_step'):.0f} |"
        )


if __name__ == "__main__":
    main()
