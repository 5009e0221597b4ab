"""Only the process that is meant is ended."""

import subprocess
import sys

from novaflow_ros.frozen import end_frozen


def _sleeper(name: str) -> subprocess.Popen:
    code = "import time; print('up', flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", code, name], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()  # before, its command line is still that of this process
    return process


def test_a_process_is_ended_only_under_its_own_name() -> None:
    process = _sleeper("tracker_node")
    assert not end_frozen("guard_node", process.pid)
    assert not end_frozen("tracker", process.pid)
    assert process.poll() is None
    assert end_frozen("tracker_node", process.pid)
    assert process.wait(5.0) == -9
    assert not end_frozen("tracker_node", process.pid)
