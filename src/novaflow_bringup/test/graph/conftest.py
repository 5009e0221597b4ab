"""Fixtures of the graph tests: a free domain, stand-in nodes, and the real node as a process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
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


@pytest.fixture(scope="module")
def start(domain: int) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts a node of this package as a process; it is stopped at the end."""
    running: list[subprocess.Popen[bytes]] = []

    def begin(module: str, **parameters: Any) -> subprocess.Popen[bytes]:
        arguments = [part for k, v in parameters.items() for part in ("-p", f"{k}:={v}")]
        process = subprocess.Popen(
            [sys.executable, "-m", f"novaflow_bringup.ros.{module}", "--ros-args", *arguments],
            env={**os.environ, "ROS_DOMAIN_ID": str(domain)},
            start_new_session=True,
        )
        running.append(process)
        return process

    yield begin
    for process in running:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
    for process in running:
        try:
            process.wait(8.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
