"""Runs a training step on pairs in Rust and in two ways of writing it in PyTorch by turns, and prints a Markdown table.

    python alternate_training.py --sizes small,medium --rounds 3 --generate 32 --out training.jsonl

By turns, because a shared machine drifts: every round runs each program once, and what counts are medians over
rounds, of ratios the median of those within a round. `--out` keeps the line of JSON of every run, with its round.
`--peak` puts the machine's own speed beside, measured by turns too. Flags that are not known here go to all programs.
The Rust side is built by cargo in the bench profile before the first round, and the same file is run throughout.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
SIZES = ["small", "medium", "large"]
COIN, RELEASED, TUNED = "coin", "PyTorch, released", "PyTorch, tuned"


def built(features: str | None) -> list[str]:
    """The Rust side's command."""
    command = ["cargo", "bench", "--quiet", "-p", "coin-benches", "--bench", "training_step", "--no-run"]
    if features:
        command += ["--features", ",".join(f"coin/{feature}" for feature in features.split(","))]
    output = subprocess.run(
        [*command, "--message-format", "json-render-diagnostics"],
        cwd=HERE,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    messages = [json.loads(line) for line in output.stdout.splitlines()]
    names = [message["executable"] for message in messages if message.get("executable")]
    return [names[-1]]


def run(command: list[str], flags: list[str], threads: int) -> dict:
    # Waiting OpenMP threads that spin make PyTorch several times slower where another program wants a core.
    environment = dict(
        os.environ, RAYON_NUM_THREADS=str(threads), OMP_NUM_THREADS=str(threads), OMP_WAIT_POLICY="PASSIVE"
    )
    output = subprocess.run([*command, *flags], cwd=HERE, env=environment, stdout=subprocess.PIPE, text=True)
    if output.returncode:
        sys.exit(f"{' '.join([*command, *flags])}: exit code {output.returncode}")
    return json.loads(output.stdout.strip().splitlines()[-1])


def ratios(theirs: list[dict], ours: list[dict], field: str) -> list[float]:
    """Ascending, one per round."""
    return sorted(one[field] / other[field] for one, other in zip(theirs, ours))


def table(works: dict[str, dict[str, list[dict]]]) -> list[str]:
    """Ratios are to coin's, with the smallest and the largest of a round behind."""
    lines = [
        "| work | program | seconds | ratio | FLOP ratio | GFLOP/s | peak MB | ratio | before step 1 | cores busy |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for work, results in works.items():
        for program, runs in results.items():

            def median(field: str, runs: list[dict] = runs) -> float:
                return statistics.median(run[field] for run in runs)

            def ratio(field: str, runs: list[dict] = runs, ours: list[dict] = results[COIN]) -> str:
                all_rounds = ratios(runs, ours, field)
                spread = f" ({all_rounds[0]:.2f} to {all_rounds[-1]:.2f})"
                return f"{statistics.median(all_rounds):.2f}{spread if all_rounds[0] != all_rounds[-1] else ''}"

            lines.append(
                f"| {work} | {program} | {median('seconds_median'):.3f} | {ratio('seconds_median')} "
                f"| {ratio('flops')} | {median('gflop_per_second'):.0f} | {median('peak_mb'):.0f} "
                f"| {statistics.median(ratios(runs, results[COIN], 'peak_mb')):.2f} "
                f"| {median('peak_mb_before_first_step'):.0f} | {100 * median('cpu_share'):.0f} % |"
            )
    return lines


def peak_table(results: dict[str, list[dict]]) -> list[str]:
    lines = ["| machine | product, GFLOP/s | multiple, GB/s | sum, GB/s |", "|---|---|---|---|"]
    for program, runs in results.items():
        fields = ("gflop_per_second", "multiple_gb_per_second", "sum_gb_per_second")
        product, multiple, total = (statistics.median(run[field] for run in runs) for field in fields)
        lines.append(f"| {program} | {product:.0f} | {multiple:.1f} | {total:.1f} |")
    return lines


def title(line: dict) -> str:
    if line["mode"] == "training":
        what = f"{line['pairs']} pairs x {line['seq']} tokens"
    else:
        what = f"{line['new_tokens']} tokens after {line['rows']} prompts of {line['seq']}"
    return f"{line['size']} (d {line['width']} x {line['layers']}), {what}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--sizes", default="small,medium", help=f"of {', '.join(SIZES)} (%(default)s)")
    add("--rounds", type=int, default=3, help="runs of each program (%(default)s)")
    add("--threads", type=int, default=2, help="threads of every program (%(default)s)")
    add("--generate", type=int, metavar="ROWS", help="time greedy generation after so many prompts, too")
    add("--peak", action="store_true", help="measure the machine, too")
    add("--out", help="file for all lines of JSON")
    add("--features", help="features of the Rust side, such as cuda; --device then goes to all programs")
    options, flags = parser.parse_known_args()
    sizes = options.sizes.split(",")
    if unknown := [size for size in sizes if size not in SIZES]:
        parser.error(f"--sizes: {unknown[0]} is none of {', '.join(SIZES)}")

    python = [sys.executable, str(HERE / "training_step.py"), "--threads", str(options.threads)]
    programs = {
        COIN: built(options.features),
        RELEASED: [*python, "--variant", "released"],
        TUNED: [*python, "--variant", "tuned"],
    }
    modes = [["--size", size] for size in sizes]
    if options.generate:
        modes += [[*mode, "--generate", str(options.generate)] for mode in modes]
    works: dict[str, dict[str, list[dict]]] = {}
    machine: dict[str, list[dict]] = {}
    out = open(options.out, "w", encoding="utf-8") if options.out else None

    def one(command: list[str], mode: list[str], number: int) -> dict:
        line = run(command, [*mode, *flags], options.threads)
        if out:
            print(json.dumps({"round": number, **line}), file=out, flush=True)
        return line

    for number in range(options.rounds):
        if options.peak:
            for program, command in {COIN: programs[COIN], "PyTorch": programs[TUNED]}.items():
                machine.setdefault(program, []).append(one(command, ["--peak"], number))
        for mode in modes:
            for program, command in programs.items():
                line = one(command, mode, number)
                works.setdefault(title(line), {}).setdefault(program, []).append(line)
    if out:
        out.close()

    line = next(iter(works.values()))[COIN][0]
    print(f"{line['cpu']}, {line['cores']} cores, {line['threads']} threads, {line['device']}, {line['dtype']}; "
          f"commit {line['commit']}\n")
    print("\n".join(table(works)))
    if machine:
        print("\n" + "\n".join(peak_table(machine)))


if __name__ == "__main__":
    main()
