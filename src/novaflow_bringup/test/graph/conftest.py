"""Fixtures of the graph tests: a free domain, stand-in nodes, and the real node as a process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from fake_graph import FakeGraph

from novaflow_bringup.core.domains import free_domains


@pytest.fixture(scope="module")
def domain() -> Iterator[int]:
    """A domain that nobody uses."""
    with free_domains(1) as (number,):
        yield number


@pytest.fixture(scope="module")
def nodes(domain: int) -> Iterator[FakeGraph]:
    """The other nodes."""
    fake = FakeGraph(domain)
    yield fake
    fake.close()


@pytest.fixture
def graph(nodes: FakeGraph) -> FakeGraph:
    """The other nodes, doing as they should."""
    nodes.reset()
    return nodes


class Starter:
    """Starts nodes of this package as processes of one domain."""

    def __init__(self, domain: int) -> None:
        self._domain = domain
        self._running: list[subprocess.Popen[bytes]] = []

    def __call__(self, module: str, **parameters: Any) -> subprocess.Popen[bytes]:
        arguments = [part for k, v in parameters.items() for part in ("-p", f"{k}:={v}")]
        process = subprocess.Popen(
            [sys.executable, "-m", f"novaflow_bringup.ros.{module}", "--ros-args", *arguments],
            env={**os.environ, "ROS_DOMAIN_ID": str(self._domain)},
            process_group=0,
        )
        self._running.append(process)
        return process

    def stop_all(self) -> None:
        """End whatever still runs, and wait for it."""
        for process in self._running:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self._running:
            try:
                process.wait(8.0)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._running.clear()


@pytest.fixture(scope="module")
def start(domain: int) -> Iterator[Starter]:
    """Starts a node of this package as a process; it is stopped at the end."""
    starter = Starter(domain)
    yield starter
    starter.stop_all()
