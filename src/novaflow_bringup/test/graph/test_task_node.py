"""task_node over real DDS with stand-ins for the other nodes: what a user sees of every ending."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_graph import FakeGraph

from novaflow_bringup.core.run_record import Goal, StageTime
from novaflow_bringup.ros.task_client import TaskClient
from novaflow_core.errors import Code

pytestmark = pytest.mark.graph
CUP = "put the cup on the saucer"
STAGES = ["clear", "capture", "ground", "generate", "score", "select", "execute", "observe"]


@pytest.fixture(scope="module")
def node(start, tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("runs")
    start("task_node", runs=runs, record=False, candidates=3, ready_timeout=3.0, silent_timeout=1.0)
    return runs


@pytest.fixture(scope="module")
def joined(domain: int, node: Path, nodes: FakeGraph) -> Iterator[TaskClient]:
    with TaskClient(domain) as made:
        yield made


@pytest.fixture
def client(joined: TaskClient, graph: FakeGraph) -> TaskClient:
    joined.wait_ready(15.0, plan_only=False)
    return joined


def test_success_is_reported_with_every_stage(client: TaskClient, graph: FakeGraph) -> None:
    seen: list[StageTime] = []
    record = client.perform(Goal(CUP, candidates=0, seed=7), on_stage=seen.append)
    assert (record.success, record.code) == (True, Code.OK)
    assert [s.stage for s in record.stages] == STAGES
    assert {s.stage for s in seen} == set(STAGES)
    assert record.candidate_id == "c2"
    assert record.folder is not None
    told = json.loads((record.folder / "outcome.json").read_text())
    assert told["outcome"] is True and told["seed"] == 7 and len(told["candidates"]) == 3
    assert (record.folder / "chosen_flow.npz").exists()
    assert "c2" in (record.folder / "report.md").read_text()
    assert graph.log[-2:] == ["observe", "stop_tracking"]


def test_plan_only_stops_after_selection(client: TaskClient, graph: FakeGraph) -> None:
    record = client.perform(Goal(CUP, plan_only=True))
    assert record.verdict() == "planned" and not record.success
    assert "score" not in graph.log and "execute" not in graph.log


def test_an_empty_instruction_is_refused_first(client: TaskClient, graph: FakeGraph) -> None:
    record = client.perform(Goal("  "))
    assert record.code == Code.EMPTY_INSTRUCTION and record.cause == "setup"
    assert graph.log == []


@pytest.mark.parametrize(
    ("stage", "code"),
    [
        ("capture", Code.NO_CAMERA),
        ("ground", Code.TARGET_NOT_FOUND),
        ("lift", Code.LIFT_LOW_INLIERS),
        ("select", Code.NO_VALID_CANDIDATE),
        ("execute", Code.GRASP_MISSED),
        ("observe", Code.OUTCOME_NOT_OBSERVED),
    ],
)
def test_a_failing_stage_ends_with_its_code(
    client: TaskClient, graph: FakeGraph, stage: str, code: Code
) -> None:
    graph.codes[stage] = code
    record = client.perform(Goal(CUP))
    assert (record.success, record.code) == (False, code)
    assert record.folder is not None
    assert code.name in (record.folder / "report.md").read_text()


def test_a_second_goal_is_busy(client: TaskClient, graph: FakeGraph) -> None:
    graph.seconds["generate"] = 2.0
    first: list[Code] = []
    thread = threading.Thread(target=lambda: first.append(client.perform(Goal(CUP)).code))
    thread.start()
    while "generate" not in graph.log:
        time.sleep(0.02)
    assert client.perform(Goal(CUP)).code == Code.BUSY
    thread.join(15.0)
    assert first == [Code.OK]


@pytest.mark.parametrize("stage", ["generate", "score", "select", "execute"])
def test_cancel_reaches_the_running_stage(client: TaskClient, graph: FakeGraph, stage: str) -> None:
    graph.seconds[stage] = 20.0
    record = client.perform(Goal(CUP), should_cancel=lambda: stage in graph.log)
    assert record.code == Code.CANCELLED
    assert f"{stage}:cancelled" in graph.log


@pytest.mark.parametrize(
    ("stage", "lost"), [("ground", "perception_node"), ("execute", "executor_node")]
)
def test_a_lost_process_is_named(
    client: TaskClient, graph: FakeGraph, stage: str, lost: str
) -> None:
    graph.seconds[stage] = 20.0

    def silence() -> None:
        while stage not in graph.log:
            time.sleep(0.02)
        graph.silent.add(lost)

    threading.Thread(target=silence, daemon=True).start()
    record = client.perform(Goal(CUP))
    graph.seconds.clear()
    graph.silent.clear()
    assert record.code == Code.PROCESS_LOST
    assert lost in record.reason


def test_what_is_not_there_is_named(client: TaskClient, graph: FakeGraph) -> None:
    graph.silent.add("selector_node")
    time.sleep(1.5)
    record = client.perform(Goal(CUP))
    assert record.code == Code.UNAVAILABLE
    assert "selector_node" in record.reason and "perception_node" not in record.reason
