"""`novaflow do` as a user runs it: exit codes, Ctrl-C, approval, a task node that dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_graph import FakeGraph

from novaflow_bringup.core.run_record import Goal
from novaflow_bringup.ros.task_client import TaskClient
from novaflow_core.errors import Code
from novaflow_msgs.srv import Approve

pytestmark = [pytest.mark.graph, pytest.mark.slow]
CUP = "put the cup on the saucer"


class Do:
    """Runs the command in the test's domain."""

    def __init__(self, domain: int, folder: Path) -> None:
        self.json = folder / "out.json"
        self.environment = {**os.environ, "ROS_DOMAIN_ID": str(domain)}

    def begin(self, *words: str) -> subprocess.Popen[str]:
        command = [
            sys.executable,
            "-m",
            "novaflow_bringup.cli",
            "do",
            CUP,
            "--json",
            str(self.json),
        ]
        return subprocess.Popen(
            [*command, *words],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def values(self) -> dict[str, Any]:
        return dict(json.loads(self.json.read_text()))


@pytest.fixture
def do(domain: int, tmp_path: Path) -> Do:
    return Do(domain, tmp_path)


@pytest.fixture(scope="module")
def node(start: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    runs = tmp_path_factory.mktemp("runs")
    return start("task_node", runs=runs, record=False, ready_timeout=3.0)


def _until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def test_a_task_that_is_done_is_exit_0_with_a_line_for_every_stage(
    do: Do, node: Any, graph: FakeGraph
) -> None:
    process = do.begin("--candidates", "2", "--seed", "5")
    out, _ = process.communicate(timeout=40.0)
    assert process.returncode == 0, out
    for word in ("clear", "capture", "ground", "generate", "score", "select", "execute", "observe"):
        assert f"[ok] {word}" in out
    values = do.values()
    assert values["outcome"] is True and values["seed"] == 5 and len(values["candidates"]) == 2
    assert Path(values["run"], "report.md").exists()


def test_a_task_that_fails_is_exit_1_with_its_code(do: Do, node: Any, graph: FakeGraph) -> None:
    graph.codes["ground"] = Code.TARGET_NOT_FOUND
    process = do.begin()
    out, _ = process.communicate(timeout=40.0)
    assert process.returncode == 1 and "TARGET_NOT_FOUND (110)" in out
    assert do.values()["code"] == "TARGET_NOT_FOUND"


def test_ctrl_c_cancels_the_motion_and_is_exit_130(do: Do, node: Any, graph: FakeGraph) -> None:
    graph.seconds["execute"] = 30.0
    process = do.begin()
    _until(lambda: "execute" in graph.log)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=20.0)
    assert process.returncode == 130, out
    assert "execute:cancelled" in graph.log and do.values()["code"] == "CANCELLED"


def test_a_graph_that_is_not_there_is_named(do: Do, node: Any, graph: FakeGraph) -> None:
    graph.silent.add("tracker_node")
    process = do.begin("--wait", "4")
    out, _ = process.communicate(timeout=30.0)
    assert process.returncode == 3 and "UNAVAILABLE" in out and "tracker_node" in out


def test_motion_waits_for_a_person_who_may_refuse(
    domain: int, start: Any, graph: FakeGraph, tmp_path: Path
) -> None:
    start.stop_all()  # that of the tests before, or of this one's first try
    start("task_node", runs=tmp_path, record=False, approve=True)
    with TaskClient(domain) as client:
        client.wait_ready(40.0, plan_only=False)
        answers: list[tuple[int, str]] = []
        decide = client.node.create_client(Approve, "/novaflow/approve")

        def say(plan_hash: str, approved: bool) -> None:
            answer = decide.call(Approve.Request(plan_hash=plan_hash, approved=approved))
            answers.append((answer.code, answer.reason))

        for approved, code in ((True, Code.OK), (False, Code.MOTION_NOT_APPROVED)):
            graph.reset()
            seen: list[str] = []
            ended: list[Any] = []
            thread = threading.Thread(
                target=lambda seen=seen, ended=ended: ended.append(
                    client.perform(Goal(CUP), on_stage=lambda stage: seen.append(stage.text))
                )
            )
            thread.start()
            _until(lambda seen=seen: any("waiting for approval" in text for text in seen))
            assert "execute" not in graph.log
            say("ff" * 32, True)  # another plan
            assert answers[-1][0] == Code.PLAN_EXPIRED and "execute" not in graph.log
            say("ab" * 32, approved)
            assert answers[-1][0] == Code.OK
            thread.join(20.0)
            assert ended[0].code == code
            assert ("execute" in graph.log) == approved


def test_a_task_node_that_dies_is_told_and_its_run_folder_closed(
    do: Do, start: Any, graph: FakeGraph, tmp_path: Path
) -> None:
    start.stop_all()
    doomed = start("task_node", runs=tmp_path, record=False)
    graph.seconds["execute"] = 30.0
    process = do.begin("--wait", "20")
    _until(lambda: "execute" in graph.log, 40.0)
    os.kill(doomed.pid, signal.SIGKILL)
    out, _ = process.communicate(timeout=20.0)
    graph.seconds.clear()
    assert process.returncode == 3, out
    values = do.values()
    assert values["code"] == "PROCESS_LOST" and f"task_node (pid {doomed.pid})" in values["reason"]
    report = Path(values["run"], "report.md").read_text()
    assert "PROCESS_LOST" in report and "execute" in report
