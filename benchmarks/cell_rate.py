"""Measures what the simulated cell sustains here: pace of the clock, image rate, tick gaps.

Starts a cell in a DDS domain of its own, with one subscriber to both images and the joint states,
and prints a table.

Usage: python benchmarks/cell_rate.py [--profile default|light] [--seconds 20] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
import rclpy.executors
from rclpy.context import Context
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image, JointState
from std_srvs.srv import Trigger

PROFILES = {
    "default": {"image_width": 1280, "image_height": 720, "image_rate_hz": 10.0},
    "light": {"image_width": 640, "image_height": 480, "image_rate_hz": 15.0},
}
COLOUR, DEPTH = (
    "/camera/camera/color/image_raw",
    "/camera/camera/aligned_depth_to_color/image_raw",
)
BEST_EFFORT = QoSProfile(depth=2, reliability=ReliabilityPolicy.BEST_EFFORT)


class Listener:
    """Counts what arrives and how late images are against the clock."""

    def __init__(self, node: Node) -> None:
        """Subscribe."""
        self.counts = {"clock": 0, "joint_states": 0, "colour": 0, "depth": 0}
        self.clock_s = 0.0
        self.delays_s: list[float] = []
        node.create_subscription(Clock, "/clock", self._clock, 50)
        node.create_subscription(JointState, "/joint_states", self._joints, 50)
        node.create_subscription(Image, COLOUR, self._colour, BEST_EFFORT)
        node.create_subscription(Image, DEPTH, self._depth, BEST_EFFORT)

    def _clock(self, message: Clock) -> None:
        self.counts["clock"] += 1
        self.clock_s = message.clock.sec + message.clock.nanosec * 1e-9

    def _joints(self, _message: JointState) -> None:
        self.counts["joint_states"] += 1

    def _colour(self, message: Image) -> None:
        self.counts["colour"] += 1
        stamp = message.header.stamp
        self.delays_s.append(self.clock_s - stamp.sec - stamp.nanosec * 1e-9)

    def _depth(self, _message: Image) -> None:
        self.counts["depth"] += 1


def main() -> None:
    """Run and print; exits with 1 where the pace was more than 5 % off."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--profile", choices=sorted(PROFILES), default="default")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--domain", type=int, default=60 + 2 * (os.getpid() % 20))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    parameters = {**PROFILES[arguments.profile], "scorer_domain": arguments.domain + 1}
    cell = subprocess.Popen(
        [
            *[sys.executable, "-m", "novaflow_sim.ros.cell_node", "--ros-args"],
            *[part for k, v in parameters.items() for part in ("-p", f"{k}:={v}")],
        ],
        env={**os.environ, "ROS_DOMAIN_ID": str(arguments.domain)},
    )
    try:
        result = measure(cell, arguments.domain, arguments.seconds)
    finally:
        cell.send_signal(signal.SIGINT)
        cell.wait(timeout=10)
    result = {"profile": arguments.profile, **result, "load": os.getloadavg()[0]}
    for key, value in result.items():
        print(f"{key:24s} {value if isinstance(value, str) else round(value, 3)}")
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1))
    sys.exit(abs(result["real_time_factor"] - 1.0) > 0.05)


def measure(cell: subprocess.Popen[bytes], domain: int, seconds: float) -> dict[str, Any]:
    """Listen for a while, and ask the scorer what the pacer saw."""
    context = Context()
    rclpy.init(context=context, domain_id=domain)
    node = rclpy.create_node("cell_rate", context=context)
    listener = Listener(node)
    executor = rclpy.executors.SingleThreadedExecutor(context=context)
    executor.add_node(node)
    threading.Thread(target=executor.spin, daemon=True).start()
    began = time.monotonic()
    while listener.counts["depth"] == 0:
        if cell.poll() is not None or time.monotonic() - began > 60:
            raise SystemExit("no image came")
        time.sleep(0.01)
    start_up_s = time.monotonic() - began
    time.sleep(1.0)
    listener.delays_s.clear()
    before, clock, cpu = dict(listener.counts), listener.clock_s, cpu_seconds(cell.pid)
    began = time.monotonic()
    time.sleep(seconds)
    wall = time.monotonic() - began
    counts = {k: listener.counts[k] - before[k] for k in before}
    factor = (listener.clock_s - clock) / wall
    used = cpu_seconds(cell.pid) - cpu
    truth = ask_truth(domain + 1)
    executor.shutdown(timeout_sec=1.0)
    rclpy.shutdown(context=context)
    return {
        "start_up_s": start_up_s,
        "real_time_factor": factor,
        **{f"{name}_hz": count / wall for name, count in counts.items()},
        "image_delay_p50_s": float(np.median(listener.delays_s)),
        "image_delay_p99_s": float(np.percentile(listener.delays_s, 99)),
        "cell_cpu_percent": 100 * used / wall,
        **{f"since_start_{k}": truth[k] for k in ("worst_tick_gap_s", "late_ticks", "lost_s")},
    }


def ask_truth(domain: int) -> dict[str, Any]:
    """Ask the scorer for the truth."""
    context = Context()
    rclpy.init(context=context, domain_id=domain)
    node = rclpy.create_node("cell_rate", context=context)
    client = node.create_client(Trigger, "/scorer/truth")
    executor = rclpy.executors.SingleThreadedExecutor(context=context)
    executor.add_node(node)
    client.wait_for_service(timeout_sec=10.0)
    future = client.call_async(Trigger.Request())
    executor.spin_until_future_complete(future, timeout_sec=10.0)
    answer: dict[str, Any] = json.loads(future.result().message)
    rclpy.shutdown(context=context)
    return answer


def cpu_seconds(pid: int) -> float:
    """CPU time of a process and its children [s]."""
    total = 0.0
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    for process in (pid, *map(int, children)):
        fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
        total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


if __name__ == "__main__":
    main()
