"""Compares the optimizer steps of two runs, field by field.

    python compare_metrics.py coin-run/metrics.jsonl pytorch.jsonl [--tolerance 1e-4]

Prints the largest relative difference, |a - b| / max(|a|, |b|), of every field that both files have, and the step where
it occurs. Lines of held-out evaluation are skipped, and so are the fields `epoch` and `seconds`. The exit code is 1 if
the losses differ by more than the tolerance at any step, if tokens or pairs differ at all, or if one file has steps that
the other lacks; 2 if a file cannot be compared.
"""

import argparse
import json
import math
import sys
from pathlib import Path

COMPARED = ("loss", "loss_generation", "loss_contrastive")
COUNTS = ("pairs", "supervised_tokens")
IGNORED = ("step", "epoch", "seconds")


def stop(message: str) -> None:
    print(message, file=sys.stderr)
    sys.exit(2)


def read(path: str) -> dict[int, dict[str, float]]:
    steps = {}
    try:
        lines = Path(path).read_text(encoding="utf-8").split("\n")
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            metrics = json.loads(line)
            if "split" in metrics:
                continue
            if metrics["step"] in steps:
                stop(f"{path}, line {number}: step {metrics['step']} occurs twice")
            steps[metrics["step"]] = metrics
    except OSError as error:
        stop(str(error))
    except (ValueError, TypeError, KeyError) as error:
        stop(f"{path}, line {number}: not a line of metrics: {error!r}")
    if not steps:
        stop(f"{path}: no optimizer steps")
    missing = [field for field in COMPARED if any(field not in metrics for metrics in steps.values())]
    if missing:
        stop(f"{path}: missing field `{missing[0]}`")
    return steps


def difference(a: float | None, b: float | None) -> float:
    """Difference relative to the larger of the two; infinite if either is null or not a finite number."""
    if a is None or b is None or not (math.isfinite(a) and math.isfinite(b)):
        return math.inf
    return abs(a - b) / max(abs(a), abs(b)) if a != b else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description="Compares the optimizer steps of two runs, field by field.")
    parser.add_argument("ours")
    parser.add_argument("theirs")
    parser.add_argument("--tolerance", type=float, default=1e-4, help="relative tolerance of the losses (%(default)s)")
    options = parser.parse_args()
    ours, theirs = read(options.ours), read(options.theirs)
    common = sorted(ours.keys() & theirs.keys())
    if not common:
        stop("the two files do not have a step in common")

    failed = False
    print(f"{len(common)} steps\n{'field':<26}{'largest':>11}{'step':>6}{'ours':>24}{'theirs':>24}")
    fields = [name for name in theirs[common[0]] if name not in IGNORED and name in ours[common[0]]]
    for name in fields:
        values = {step: (ours[step].get(name), theirs[step].get(name)) for step in common}
        worst = max(common, key=lambda step: difference(*values[step]))
        largest = difference(*values[worst])
        beyond = name in COMPARED and largest > options.tolerance or name in COUNTS and largest > 0
        failed |= beyond
        a, b = values[worst]
        print(f"{name:<26}{largest:>11.2e}{worst:>6}{a!s:>24}{b!s:>24}{'  above tolerance' if beyond else ''}")
    for path, steps in ((options.ours, ours), (options.theirs, theirs)):
        alone = sorted(steps.keys() - set(common))
        if alone:
            failed = True
            print(f"{len(alone)} steps only in {path}, the first is {alone[0]}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
