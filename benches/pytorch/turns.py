"""What the programs share that run others by turns: the Rust side built, a program run, ratios and Markdown.

By turns, because a shared machine drifts: every round runs each program once, and what counts are medians over rounds,
and of ratios the median of those within a round.
"""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def built(bench: str, features: str | None = None) -> str:
    """Builds one of the Rust side's benches and returns its path; the same file is run throughout."""
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
    """The lines of JSON that a program prints."""
    # Waiting OpenMP threads that spin make PyTorch several times slower where another program wants a core.
    environment = dict(
        os.environ, RAYON_NUM_THREADS=str(threads), OMP_NUM_THREADS=str(threads), OMP_WAIT_POLICY="PASSIVE"
    )
    # criterion keeps its own results below the folder it runs in.
    output = subprocess.run(command, cwd=HERE.parent.parent, env=environment, capture_output=True, text=True)
    if output.returncode:
        sys.exit(f"{output.stderr}{' '.join(command)}: exit code {output.returncode}")
    return [json.loads(line) for line in output.stdout.splitlines() if line.startswith("{")]


def median(runs: list[dict], field: str) -> float:
    return statistics.median(run[field] for run in runs)


def ratios(theirs: list[dict], ours: list[dict], field: str) -> list[float]:
    """Ascending, one per round."""
    return sorted(one[field] / other[field] for one, other in zip(theirs, ours))


def spread(ratios: list[float]) -> str:
    """Their median, with the smallest and the largest behind where they differ."""
    behind = f" ({ratios[0]:.2f} to {ratios[-1]:.2f})" if ratios[0] != ratios[-1] else ""
    return f"{statistics.median(ratios):.2f}{behind}"


def table(columns: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [f"| {' | '.join(row)} |" for row in [columns, *rows]]
    return "\n".join([lines[0], "|" + "---|" * len(columns), *lines[1:]])


def machine(line: dict) -> str:
    """What a line was measured on, in words."""
    return (
        f"{line['cpu']}, {line['cores']} cores, {line['threads']} threads, {line['device']}, {line['dtype']}; "
        f"commit {line['commit']}"
    )
