"""No process of the tests leaves this machine, and one that tries is told of."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from workspace.layout import ROOT

FOLDER = str(ROOT / "workspace" / "loopback_only")


def run(code: str, log: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": FOLDER, "NOVAFLOW_NETWORK_LOG": str(log)}
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    "code",
    [
        "import socket; socket.create_connection(('192.0.2.7', 80), timeout=1)",
        "import socket; socket.socket().connect_ex(('192.0.2.7', 80))",
        "import urllib.request; urllib.request.urlopen('http://example.invalid/192.0.2.7')",
        "import asyncio; asyncio.run(asyncio.open_connection('192.0.2.7', 80))",
    ],
)
def test_what_would_leave_this_machine_is_refused_and_written_down(
    code: str, tmp_path: Path
) -> None:
    done = run(code, tmp_path / "log")
    assert done.returncode != 0
    assert "tests stay on this machine" in done.stderr
    assert len((tmp_path / "log").read_text().splitlines()) >= 1


def test_loopback_works(tmp_path: Path) -> None:
    code = (
        "import socket, threading\n"
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "socket.create_connection(server.getsockname()).close()\n"
        "socket.create_connection(('localhost', server.getsockname()[1])).close()\n"
    )
    done = run(code, tmp_path / "log")
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "log").exists()
