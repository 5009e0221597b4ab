"""`novaflow bench-judge`: how well the judge tells believable videos from others."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from novaflow_bringup.commands.exit_codes import CANCELLED
from novaflow_bringup.core.run_folder import given_folder, runs_root

# Beside the checkout; the views are no part of the project.
VIEWS = "shared/data/real_rgbd"


def run(options: argparse.Namespace) -> int:
    """Run the harness in a process of its own: it sees the truth, which this package never does."""
    out = given_folder(options.out if options.out is not None else runs_root() / "bench_judge")
    seeds = options.seeds
    words = ["--tasks", *options.tasks, "--seeds", f"{seeds[0]}:{seeds[-1] + 1}"]
    words += ["--workers", str(options.workers), "--out", str(out)]
    words += ["--instructions", str(options.instructions)]
    views = options.views if options.views is not None else _views()
    if views is None:
        print(f"no real views at ../{VIEWS}: simulated ones only", flush=True)
    else:
        words += ["--views", str(views)]
    if options.json is not None:
        words += ["--json", str(options.json)]
    child = subprocess.Popen([sys.executable, "-m", "novaflow_bench.judge", *words])
    try:
        return child.wait()
    except KeyboardInterrupt:
        child.wait()
        print("interrupted; the same command goes on where this one stopped", flush=True)
        return CANCELLED


def _views() -> Path | None:
    beside = Path(os.environ.get("NOVAFLOW_RUNS", "runs")).resolve().parent.parent / VIEWS
    return beside if beside.is_dir() else None
