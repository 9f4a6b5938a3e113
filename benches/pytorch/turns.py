"""Code shared by the programs that alternate between others: building the Rust side, running a program, ratios, Markdown.

Runs alternate because the speed of a shared machine drifts. Every round runs each program once. Results are medians over
rounds; a ratio is computed within each round before taking the median.
"""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def built(bench: str, features: str | None = None) -> str:
    """Builds one of the Rust side's benches and returns the path of its program, which is used for all runs."""
    command = ["cargo", "bench", "--quiet", "-p", "coin-benches", "--bench", bench, "--no-run"]
    if features:
        command += ["--features", features]
    output = subprocess.run(
        [*command, "--message-format", "json-render-diagnostics"],
        cwd=HERE,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    messages = [json.loads(line) for line in output.stdout.splitlines()]
    return [message["executable"] for message in messages if message.get("executable")][-1]


def run(command: list[str], threads: int) -> list[dict]:
    """Runs a program and returns the lines of JSON that it prints."""
    # Spinning OpenMP threads make PyTorch several times slower if another program needs a core.
    environment = dict(
        os.environ, RAYON_NUM_THREADS=str(threads), OMP_NUM_THREADS=str(threads), OMP_WAIT_POLICY="PASSIVE"
    )
    # criterion stores its results under the working directory.
    output = subprocess.run(command, cwd=HERE.parent.parent, env=environment, capture_output=True, text=True)
    if output.returncode:
        sys.exit(f"{output.stderr}{' '.join(command)}: exit code {output.returncode}")
    return [json.loads(line) for line in output.stdout.splitlines() if line.startswith("{")]


def median(runs: list[dict], field: str) -> float:
    return statistics.median(run[field] for run in runs)


def ratios(theirs: list[dict], ours: list[dict], field: str) -> list[float]:
    """Returns the ratios in ascending order, one per round."""
    return sorted(one[field] / other[field] for one, other in zip(theirs, ours))


def spread(ratios: list[float]) -> str:
    """Formats the median, followed by the smallest and the largest if they differ."""
    behind = f" ({ratios[0]:.2f} to {ratios[-1]:.2f})" if ratios[0] != ratios[-1] else ""
    return f"{statistics.median(ratios):.2f}{behind}"


def table(columns: list[str], rows: list[list[str]]) -> str:
    """Formats a Markdown table."""
    lines = [f"| {' | '.join(row)} |" for row in [columns, *rows]]
    return "\n".join([lines[0], "|" + "---|" * len(columns), *lines[1:]])


def machine(line: dict) -> str:
    """Describes the machine of a line in words."""
    return (
        f"{line['cpu']}, {line['cores']} cores, {line['threads']} threads, {line['device']}, {line['dtype']}; "
        f"commit {line['commit']}"
    )
