"""The graph's own overhead per goal: wall time outside compute and motion, which cost nothing here.

Starts the real task_node and recorder_node and answers all other services and actions at once, as
the graph tests do. Prints the median of what a goal takes from sending to result, less the time
inside those answers.

Run inside the workspace's environment: `python benchmarks/overhead.py [--goals 20] [--json FILE]`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src" / "novaflow_bringup" / "test" / "graph"))

from fake_graph import FakeGraph

from novaflow_bringup.core.domains import free_domains
from novaflow_bringup.core.run_record import Goal
from novaflow_bringup.ros.task_client import TaskClient

LIMIT_S = 2.0


def measure(goals: int) -> list[float]:
    """Overheads [s] of that many goals."""
    with free_domains(1) as (domain,), tempfile.TemporaryDirectory() as runs:
        environment = {**os.environ, "ROS_DOMAIN_ID": str(domain)}
        nodes = [
            subprocess.Popen(
                [sys.executable, "-m", f"novaflow_bringup.ros.{name}", "--ros-args", *words],
                env=environment,
                start_new_session=True,
            )
            for name, words in (
                ("task_node", ["-p", f"runs:={runs}", "--log-level", "warn"]),
                ("recorder_node", ["--log-level", "warn"]),
            )
        ]
        graph = FakeGraph(domain)
        try:
            with TaskClient(domain) as client:
                client.wait_ready(30.0, plan_only=False)
                _goal(client, graph, 0)  # the first one also waits for discovery
                return [_goal(client, graph, seed) for seed in range(1, goals + 1)]
        finally:
            graph.close()
            for node in nodes:
                node.terminate()
            for node in nodes:
                node.wait(15.0)


def _goal(client: TaskClient, graph: FakeGraph, seed: int) -> float:
    graph.reset()
    began = time.monotonic()
    record = client.perform(Goal("put the cup on the saucer", candidates=8, seed=seed))
    took = time.monotonic() - began
    if not record.success:
        raise SystemExit(f"the goal failed: {record.code.name}: {record.reason}")
    if "record" in " ".join(record.notes):
        raise SystemExit(f"nothing was recorded: {record.notes}")
    return took - graph.busy_s


def main() -> int:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--goals", type=int, default=20)
    options.add_argument("--json", type=Path)
    chosen = options.parse_args()
    seconds = sorted(measure(chosen.goals))
    median, worst = statistics.median(seconds), seconds[-1]
    print(f"overhead of {len(seconds)} goals: median {median:.3f} s, worst {worst:.3f} s")
    if chosen.json:
        chosen.json.write_text(json.dumps({"median_s": median, "worst_s": worst, "all_s": seconds}))
    return 0 if median <= LIMIT_S else 1


if __name__ == "__main__":
    sys.exit(main())
