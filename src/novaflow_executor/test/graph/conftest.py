"""Real nodes over real DDS: a domain of its own per test, processes that end with it."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import rclpy
import rclpy.executors
from rclpy.context import Context
from rclpy.node import Node

sys.path.insert(0, str(Path(__file__).parent))

BYSTANDER = """
from dataclasses import dataclass
from novaflow_ros.node import NovaflowNode, run

@dataclass(frozen=True)
class Nothing:
    pass

run(lambda: NovaflowNode("{name}", Nothing))
"""
# Elsewhere than the run before: processes of one that was killed may still be in its domains.
DOMAINS = itertools.cycle(71 + (os.getpid() + k) % 29 for k in range(29))


class Graph:
    """One DDS domain with processes of the product and nodes of the test."""

    def __init__(self, domain: int, folder: Path):
        self.domain, self._folder = domain, folder
        # The fake robot publishes 100 times a second from this process, beside twelve threads of
        # Python; it must not wait 5 ms for each of them (the product's nodes do not, either).
        self._interval_s = sys.getswitchinterval()
        sys.setswitchinterval(0.0005)
        self._context = Context()
        rclpy.init(context=self._context, domain_id=domain)
        self._executor = rclpy.executors.MultiThreadedExecutor(12, context=self._context)
        self._processes: dict[str, subprocess.Popen] = {}
        self._nodes: list[Node] = []
        self._thread = threading.Thread(target=self._spin)
        self._thread.start()

    def _spin(self):
        with contextlib.suppress(rclpy.executors.ExternalShutdownException):
            self._executor.spin()

    def node(self, node_type, *arguments, **keywords):
        """Make a node of the test."""
        node = node_type(*arguments, context=self._context, **keywords)
        self._nodes.append(node)
        self._executor.add_node(node)
        return node

    def start(self, executable: str, *, package="novaflow_executor", **parameters):
        """Start a node of the product as its own process."""
        code = f"from {package}.ros.{executable} import main; main()"
        if executable == "executor_node":
            parameters.setdefault("closed_loop", False)  # there is no camera in these graphs
        return self._spawn(executable, code, parameters)

    def start_bystander(self, name: str):
        """Start a process that only has a heartbeat."""
        return self._spawn(name, BYSTANDER.format(name=name), {})

    def _spawn(self, name, code, parameters):
        command = [sys.executable, "-c", code, "--ros-args", "-r", f"__node:={name}"]
        for key, value in parameters.items():
            command += ["-p", f"{key}:={value}"]
        log = (self._folder / f"{name}.log").open("ab")
        environment = {**os.environ, "ROS_DOMAIN_ID": str(self.domain)}
        self._processes[name] = subprocess.Popen(
            command, stdout=log, stderr=log, env=environment, process_group=0
        )
        return self._processes[name]

    def log(self, name):
        return (self._folder / f"{name}.log").read_text()

    def wait(self, name):
        """Wait until a process has ended by itself."""
        self._processes[name].wait(30.0)

    def pid(self, name):
        return self._processes[name].pid

    def close(self):
        for process in self._processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
        for process in self._processes.values():
            try:
                process.wait(5.0)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for node in self._nodes:
            getattr(node, "finish", lambda: None)()
        self._executor.shutdown(timeout_sec=2.0)
        for node in self._nodes:
            node.destroy_node()
        self._context.try_shutdown()
        self._thread.join(5.0)
        sys.setswitchinterval(self._interval_s)


def eventually(condition, timeout_s=10.0):
    """Wait until a condition of the graph holds; returns the seconds it took."""
    begin = time.monotonic()
    while not condition():
        assert time.monotonic() - begin < timeout_s, "it did not happen in time"
        time.sleep(0.005)
    return time.monotonic() - begin


@pytest.fixture
def graph(tmp_path):
    """A graph of this test alone."""
    out = Graph(next(DOMAINS), tmp_path)
    yield out
    out.close()


@pytest.fixture(scope="module")
def shared_graph(tmp_path_factory):
    """One graph for all tests of a file."""
    out = Graph(next(DOMAINS), tmp_path_factory.mktemp("graph"))
    yield out
    out.close()
