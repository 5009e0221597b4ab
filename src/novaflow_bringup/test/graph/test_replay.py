"""A recorded run, fed back: the same choice; and with the target painted out, the right error."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from rosbags.rosbag2 import Reader
from table_view import paint_out_target, write_view

from novaflow_bringup.core.run_record import Goal, RunRecord
from novaflow_bringup.ros.task_client import TaskClient

pytestmark = [pytest.mark.graph, pytest.mark.slow]
FRAME = "camera_color_optical_frame"
NODES = {
    "novaflow_perception.ros.file_camera_node": {},
    "novaflow_perception.ros.perception_node": {"planning_frame": FRAME},
    "novaflow_flowgen.ros.flowgen_node": {"planning_frame": FRAME},
    "novaflow_flowgen.ros.selector_node": {"planning_frame": FRAME},
    "novaflow_bringup.ros.task_node": {"ready_timeout": 30.0},
    "novaflow_bringup.ros.recorder_node": {},
}


@contextmanager
def running(domain: int, view: Path) -> Iterator[None]:
    """The imagining half of the graph over one view, with a recorder."""
    processes = []
    for module, parameters in NODES.items():
        given = {**parameters, **({"directory": view} if "file_camera" in module else {})}
        words = [part for k, v in given.items() for part in ("-p", f"{k}:={v}")]
        code = f"from {module} import main; main()"
        processes.append(
            subprocess.Popen(
                [sys.executable, "-c", code, "--ros-args", "--log-level", "warn", *words],
                env={**os.environ, "ROS_DOMAIN_ID": str(domain)},
                process_group=0,
            )
        )
    try:
        yield
    finally:
        for process in processes:
            process.send_signal(signal.SIGTERM)
        for process in processes:
            process.wait(20.0)


@pytest.fixture(scope="module")
def recorded(domain: int, tmp_path_factory: pytest.TempPathFactory) -> RunRecord:
    folder = tmp_path_factory.mktemp("replay")
    view = write_view(folder / "view")
    with running(domain, view), TaskClient(domain) as client:
        client.wait_ready(60.0, plan_only=True, camera=True)
        goal = Goal("lift the red box", candidates=2, seed=1001, plan_only=True)
        record = client.perform(goal, folder=folder / "run")
    assert record.verdict() == "planned", f"{record.code.name}: {record.reason}"
    return record


def replay(run: Path, out: Path) -> tuple[int, dict[str, Any]]:
    """`novaflow replay` as a user runs it."""
    command = [sys.executable, "-m", "novaflow_bringup.cli", "replay", str(run), "--json", str(out)]
    done = subprocess.run([*command, "--set", f"planning_frame:={FRAME}"], timeout=240, check=False)
    return done.returncode, json.loads(out.read_text())


def test_the_bag_holds_sensors_goal_and_choice(recorded: RunRecord) -> None:
    assert recorded.folder is not None
    with Reader(recorded.folder / "bag") as bag:
        counts = {c.topic: c.msgcount for c in bag.connections}
    for topic in (
        "/camera/camera/color/image_raw/compressed",
        "/camera/camera/aligned_depth_to_color/image_raw/compressedDepth",
        "/camera/camera/color/camera_info",
        "/novaflow/goal",
        "/novaflow/stage",
        "/novaflow/candidates",
        "/novaflow/collision_scene",
        "/novaflow/target_mask",
    ):
        assert counts.get(topic, 0) > 0, f"{topic} is missing: {sorted(counts)}"


def test_a_replay_reaches_the_same_selection(recorded: RunRecord, tmp_path: Path) -> None:
    assert recorded.folder is not None
    status, values = replay(recorded.folder, tmp_path / "out.json")
    assert values["replay"]["same"], values["reason"]
    assert values["replay"]["flow_distance_m"] < 0.01
    assert status == 0


def test_without_the_target_the_replay_says_so(recorded: RunRecord, tmp_path: Path) -> None:
    assert recorded.folder is not None
    painted = tmp_path / "run"
    painted.mkdir()
    shutil.copy(recorded.folder / "outcome.json", painted)
    assert paint_out_target(recorded.folder / "bag", painted / "bag") > 5
    status, values = replay(painted, tmp_path / "out.json")
    assert values["code"] == "TARGET_NOT_FOUND", values["reason"]
    assert status == 1 and not values["replay"]["same"]
