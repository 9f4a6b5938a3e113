"""Alternates between the LoRA training steps of this project, of burn's LoRA and of PyTorch + peft, and prints ratios.

    python alternate.py --runs 3 --threads 2 [--width 288 --layers 6 ...]

Ratios are relative to the first program, which is PyTorch unless `--only` excludes it. Unknown flags are passed to all
programs. The Rust side is built by cargo in the bench profile before the first round.
"""

import argparse
import statistics
import sys

from turns import HERE, built, median, ratios, run, table

PYTORCH = "PyTorch + peft"
VARIANTS = {
    "coin": ["--adapter", "ours"],
    "burn's apply_lora": ["--adapter", "burn"],
    "coin, int8 base": ["--quantize", "int8"],
    "coin, int4 base": ["--quantize", "int4"],
    "coin, checkpointing": ["--gradient-checkpointing"],
    "coin, int4 base, checkpointing": ["--quantize", "int4", "--gradient-checkpointing"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="rounds (%(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="threads per program (%(default)s)")
    parser.add_argument("--only", help="comma-separated names of programs")
    options, flags = parser.parse_known_args()
    names = [name for name in [PYTORCH, *VARIANTS] if not options.only or name in options.only.split(",")]
    ours = built("lora_step") if names != [PYTORCH] else ""

    def command(name: str) -> list[str]:
        if name == PYTORCH:
            return [sys.executable, str(HERE / "lora_step.py"), "--threads", str(options.threads), *flags]
        return [ours, *VARIANTS[name], *flags]

    results: dict[str, list[dict]] = {name: [] for name in names}
    for _ in range(options.runs):
        for name in names:
            results[name].append(run(command(name), options.threads)[-1])
    base = results[names[0]]
    rows = [
        [
            name,
            f"{median(runs, 'seconds_median'):.3f}",
            f"{statistics.median(ratios(runs, base, 'seconds_median')):.2f}",
            f"{median(runs, 'peak_mb'):.0f}",
            f"{median(runs, 'peak_mb_before_first_step'):.0f}",
        ]
        for name, runs in results.items()
    ]
    print(table(["program", "seconds per step", "ratio", "peak MB", "before the first step"], rows))


if __name__ == "__main__":
    main()
