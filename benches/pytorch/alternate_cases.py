"""Runs the list of cases alternately in Rust and in PyTorch, and prints a Markdown table for each family.

    python alternate_cases.py --rounds 3 --out cases.jsonl

A round runs the families in order, each first in Rust and then in PyTorch, released and tuned. Cases that need more than
`--at-most` GFLOP, and families without PyTorch cases in `cases.py`, run in the first round only. Both sides compute the
same values from the same inputs; if counts, values or gradients differ, the exit code is 1.

A cell contains the seconds, the ratio to coin's seconds (median, with the smallest and the largest of a round), and the
share of the machine's peak. The peak is the better of the two programs' median peaks. `--out` saves the line of JSON of
every case, with its round. The Rust side is built by cargo in the bench profile before the first round.
"""

import argparse
import json
import math
import sys
import tempfile
from pathlib import Path

from turns import HERE, built, machine, median, ratios, run, spread, table

BOTH = ["loss", "lora", "attention", "tokenizing"]
ALONE = ["training", "generation", "evaluation", "perturbation", "pairs"]
COIN = "coin"
# Maximum relative difference of a value or of a gradient's root mean square.
TOLERANCE = 1e-4


def program(line: dict) -> str:
    return f"{line['program']}, {line['variant']}" if line["variant"] else line["program"]


def figure(value: float) -> str:
    """Formats with three significant digits, or all digits before the decimal point."""
    return f"{value:.3g}" if 1e-4 < value < 1000 else f"{value:.0f}" if value >= 1000 else f"{value:.2e}"


class Peak:
    """Peak of the machine: the better program's median; unknown without peak lines."""

    def __init__(self, lines: dict[str, list[dict]]):
        best = lambda field: 1e9 * max((median(runs, field) for runs in lines.values()), default=math.inf)
        self.flops, self.bytes = best("gflop_per_second"), best("copy_gb_per_second")

    def share(self, line: dict, seconds: float) -> str:
        computing, moving = line["flops"] / self.flops, line["bytes"] / self.bytes
        if self.flops == math.inf:
            return "–"
        share = f"{100 * max(computing, moving) / seconds:.0f} %"
        return f"{share} of the copy" if moving > computing else share


def cell(runs: list[dict], ours: list[dict], peak: Peak) -> str:
    line, seconds = runs[0], median(runs, "seconds_median")
    parts = [f"{figure(seconds)} s"]
    if runs is not ours:
        parts.append("x " + spread(ratios(runs, ours, "seconds_median")))
    else:
        parts.append(f"{figure(line['items'] / seconds)} {line['unit']} a second")
    if line["flops"]:
        parts.append(peak.share(line, seconds))
    return "; ".join(parts)


def family_table(cases: dict[str, dict[str, list[dict]]], peak: Peak) -> str:
    found = {name for results in cases.values() for name in results}
    programs = sorted(found, key=lambda name: (not name.startswith(COIN), name))
    rows = []
    for name, results in cases.items():
        line, ours = results[COIN][0], results[COIN]
        counts = [figure(line["flops"] / 1e9), figure(line["bytes"] / 1e6)]
        cells = [cell(results[program], ours, peak) if program in results else "–" for program in programs]
        rows.append([name, *(count if float(count) else "–" for count in counts), *cells])
    return table(["case", "GFLOP", "MB", *programs], rows)


def differences(cases: dict[str, dict[str, list[dict]]]) -> tuple[list[str], float]:
    """Returns descriptions of disagreements between the programs, and the largest relative difference of values."""
    found, largest = [], 0.0
    for name, results in cases.items():
        ours = results[COIN][0]
        for program, (line, *_) in results.items():
            if any(line[field] != ours[field] for field in ("bytes", "items") if line[field]):
                found.append(f"{name}: {program} has different counts than coin")
            if line["flops"] and ours["flops"] and line["flops"] != ours["flops"]:
                found.append(f"{name}: {program} has different counts than coin")
            for one, other in zip(line["values"] or [], ours["values"] or []):
                largest = max(largest, difference := abs(one - other) / max(abs(one), abs(other)))
                if not difference <= TOLERANCE:
                    found.append(f"{name}: {program} computes {one:.8g}, coin {other:.8g}")
    return found, largest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--families", default=",".join([*BOTH, *ALONE]), help="comma-separated families (%(default)s)")
    add("--rounds", type=int, default=3, help="runs per program (%(default)s)")
    add("--threads", type=int, default=2, help="threads per program (%(default)s)")
    add("--at-most", type=float, default=100, help="GFLOP above which a case runs in the first round only (%(default)s)")
    add("--device", default="cpu", help="cpu, cuda or cuda:i (%(default)s)")
    add("--features", help="cargo features of the Rust side, such as cuda")
    add("--test", action="store_true", help="run each case once")
    add("--out", help="output file for all lines of JSON")
    options = parser.parse_args()
    families = options.families.split(",")
    if unknown := [family for family in families if family not in [*BOTH, *ALONE]]:
        parser.error(f"--families {unknown[0]}: expected one of {', '.join([*BOTH, *ALONE])}")

    coin = built("cases", options.features)
    python = [sys.executable, str(HERE / "cases.py"), "--threads", str(options.threads)]
    out = open(options.out, "w", encoding="utf-8") if options.out else None
    peaks: dict[str, list[dict]] = {}
    results: dict[str, dict[str, dict[str, list[dict]]]] = {}

    def add_lines(lines: list[dict], number: int) -> None:
        for line in lines:
            if out:
                print(json.dumps({"round": number, **line}), file=out, flush=True)
            if line["mode"] == "peak":
                peaks.setdefault(line["program"], []).append(line)
            else:
                of_family = results.setdefault(line["family"], {})
                of_family.setdefault(line["case"], {}).setdefault(program(line), []).append(line)

    with tempfile.TemporaryDirectory() as folder:
        texts = str(Path(folder) / "texts.json")
        run([coin, "--texts", texts], options.threads)
        for number in range(options.rounds):
            for family in families if number == 0 else [family for family in families if family in BOTH]:
                flags = ["--only", f"{family}/", "--device", options.device]
                flags += ["--test"] if options.test else []
                flags += ["--at-most", str(options.at_most)] if number else []
                add_lines(run([coin, *flags], options.threads), number)
                if family in BOTH:
                    add_lines(run([*python, "--texts", texts, *flags], options.threads), number)
    if out:
        out.close()

    first = next(runs[COIN][0] for cases in results.values() for runs in cases.values())
    print(machine(first) + "\n")
    rows = [
        [name, f"{median(runs, 'gflop_per_second'):.0f}", f"{median(runs, 'copy_gb_per_second'):.1f}"]
        for name, runs in peaks.items()
    ]
    print(table(["machine", "product, GFLOP/s", "copy, GB/s"], rows))
    peak = Peak(peaks)
    found, largest = [], 0.0
    for family, cases in results.items():
        print(f"\n{family}:\n\n{family_table(cases, peak)}")
        of_family, difference = differences(cases)
        found, largest = found + of_family, max(largest, difference)
    print(f"\nValues and gradients differ by at most {largest:.1e}.")
    for text in found:
        print(text, file=sys.stderr)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
