"""Alternates between a training step on pairs in Rust and two PyTorch versions of it, and prints a Markdown table.

    python alternate_training.py --sizes small,medium --rounds 3 --generate 32 --out training.jsonl

Ratios are relative to coin, followed by the smallest and the largest of a round. `--out` saves the line of JSON of every
run, with its round. `--peak` also measures the speed of the machine, alternating between the programs. Unknown flags are
passed to all programs. The Rust side is built by cargo in the bench profile before the first round.
"""

import argparse
import json
import statistics
import sys

from turns import HERE, built, machine, median, ratios, run, spread, table

SIZES = ["small", "medium", "large"]
COIN = "coin"
VARIANTS = {"released": "PyTorch, released", "tuned": "PyTorch, tuned"}


def steps_table(works: dict[str, dict[str, list[dict]]]) -> str:
    columns = ["work", "program", "seconds", "ratio", "FLOP ratio", "GFLOP/s", "peak MB", "ratio", "before step 1"]
    columns.append("cores busy")
    rows = [
        [
            work,
            program,
            f"{median(runs, 'seconds_median'):.3f}",
            spread(ratios(runs, results[COIN], "seconds_median")),
            spread(ratios(runs, results[COIN], "flops")),
            f"{median(runs, 'gflop_per_second'):.0f}",
            f"{median(runs, 'peak_mb'):.0f}",
            f"{statistics.median(ratios(runs, results[COIN], 'peak_mb')):.2f}",
            f"{median(runs, 'peak_mb_before_first_step'):.0f}",
            f"{100 * median(runs, 'cpu_share'):.0f} %",
        ]
        for work, results in works.items()
        for program, runs in results.items()
    ]
    return table(columns, rows)


def peak_table(results: dict[str, list[dict]]) -> str:
    fields = ("copy_gb_per_second", "multiple_gb_per_second", "sum_gb_per_second")
    rows = [
        [program, f"{median(runs, 'gflop_per_second'):.0f}", *(f"{median(runs, field):.1f}" for field in fields)]
        for program, runs in results.items()
    ]
    return table(["machine", "product, GFLOP/s", "copy, GB/s", "multiple, GB/s", "sum, GB/s"], rows)


def title(line: dict) -> str:
    if line["mode"] == "training":
        what = f"{line['pairs']} pairs x {line['seq']} tokens"
    else:
        what = f"{line['new_tokens']} tokens after {line['rows']} prompts of {line['seq']}"
    return f"{line['size']} (d {line['width']} x {line['layers']}), {what}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--sizes", default="small,medium", help=f"comma-separated sizes out of {', '.join(SIZES)} (%(default)s)")
    add("--rounds", type=int, default=3, help="runs per program (%(default)s)")
    add("--threads", type=int, default=2, help="threads per program (%(default)s)")
    add("--generate", type=int, metavar="ROWS", help="also time greedy generation after this many prompts")
    add("--no-training", action="store_true", help="time generation only")
    add("--variants", default="released,tuned", help="comma-separated PyTorch variants (%(default)s)")
    add("--peak", action="store_true", help="also measure the machine")
    add("--out", help="output file for all lines of JSON")
    add("--features", help="cargo features of the Rust side, such as cuda; --device then goes to all programs")
    options, flags = parser.parse_known_args()
    sizes = options.sizes.split(",")
    if unknown := [size for size in sizes if size not in SIZES]:
        parser.error(f"--sizes {unknown[0]}: expected one of {', '.join(SIZES)}")

    variants = options.variants.split(",")
    if unknown := [variant for variant in variants if variant not in VARIANTS]:
        parser.error(f"--variants {unknown[0]}: expected one of {', '.join(VARIANTS)}")
    if options.no_training and not options.generate:
        parser.error("--no-training requires --generate")

    python = [sys.executable, str(HERE / "training_step.py"), "--threads", str(options.threads)]
    programs = {COIN: [built("training_step", options.features)]}
    programs |= {VARIANTS[variant]: [*python, "--variant", variant] for variant in variants}
    modes = [] if options.no_training else [["--size", size] for size in sizes]
    if options.generate:
        modes += [["--size", size, "--generate", str(options.generate)] for size in sizes]
    works: dict[str, dict[str, list[dict]]] = {}
    peaks: dict[str, list[dict]] = {}
    out = open(options.out, "w", encoding="utf-8") if options.out else None

    def one(command: list[str], mode: list[str], number: int) -> dict:
        line = run([*command, *mode, *flags], options.threads)[-1]
        if out:
            print(json.dumps({"round": number, **line}), file=out, flush=True)
        return line

    for number in range(options.rounds):
        if options.peak:
            for program, command in {COIN: programs[COIN], "PyTorch": [*python, "--variant", "tuned"]}.items():
                peaks.setdefault(program, []).append(one(command, ["--peak"], number))
        for mode in modes:
            for program, command in programs.items():
                line = one(command, mode, number)
                works.setdefault(title(line), {}).setdefault(program, []).append(line)
    if out:
        out.close()

    print(machine(next(iter(works.values()))[COIN][0]) + "\n")
    print(steps_table(works))
    if peaks:
        print("\n" + peak_table(peaks))


if __name__ == "__main__":
    main()
