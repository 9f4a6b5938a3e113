"""Code shared by the PyTorch programs: timing of runs and description of the machine, as on the Rust side."""

import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path


def cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    fields = {}
    for name, _, value in (line.partition(":") for line in lines):
        fields.setdefault(name.strip(), value.strip())
    name, family, model, stepping = (
        fields.get(key, "unknown") for key in ("model name", "cpu family", "model", "stepping")
    )
    return f"{name} (family {family}, model {model}, stepping {stepping})"


def commit() -> str:
    def git(*arguments: str) -> str:
        here = Path(__file__).resolve().parent
        return subprocess.run(["git", *arguments], cwd=here, check=True, capture_output=True, text=True).stdout.strip()

    try:
        head, changes = git("rev-parse", "--short=12", "HEAD"), git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{head} dirty" if changes else head


def peak_mb() -> float:
    # Bytes on macOS, KiB elsewhere.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def forget_peak() -> None:
    """Resets the peak to the memory that is resident now, if the system supports it."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass


def described(device: str, dtype: str, threads: int) -> dict:
    """Returns the report fields that describe program, device and machine."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "program": "PyTorch",
        "device": device,
        "dtype": dtype,
        "threads": threads,
        "cpu": cpu(),
        "cores": cores,
        "commit": commit(),
    }


class Timing:
    """Times each run of `step`; `complete` returns when the device has finished its work."""

    def __init__(self, threads: int, complete=lambda: None):
        self.threads, self.complete = threads, complete
        self.before = peak_mb()
        self.seconds: list[float] = []
        self.spent = 0.0

    def add(self, runs: int, step) -> float:
        """Calls `step` with the numbers from 0; returns the total seconds."""
        spent = time.process_time()
        for number in range(runs):
            start = time.perf_counter()
            step(number)
            self.complete()
            self.seconds.append(time.perf_counter() - start)
        self.spent += time.process_time() - spent
        return sum(self.seconds[len(self.seconds) - runs :])

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def fields(self, flops: float) -> dict:
        # Interpolated linearly between the two nearest runs, as on the Rust side.
        several = len(self.seconds) > 1
        lower, median, upper = (
            statistics.quantiles(self.seconds, n=4, method="inclusive") if several else self.seconds * 3
        )
        return {
            "seconds_median": significant(median),
            "seconds_quartiles": [significant(lower), significant(upper)],
            "runs": len(self.seconds),
            "flops": float(flops),
            "gflop_per_second": round(flops / median / 1e9, 1),
            "peak_mb": round(peak_mb(), 1),
            "peak_mb_before_first_step": round(self.before, 1),
            "cpu_share": round(self.spent / sum(self.seconds) / self.threads, 3),
        }


def significant(value: float) -> float:
    """Rounds to five significant digits."""
    return float(f"{value:.4e}")
