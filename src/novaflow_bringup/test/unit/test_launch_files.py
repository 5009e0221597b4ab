"""The launch files of the repository: what they start, with which parameters."""

from __future__ import annotations

import importlib
import os
from dataclasses import is_dataclass
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from ament_index_python.packages import get_package_share_directory

from novaflow_bringup.standin_launch import launcher, modules
from novaflow_bringup.standin_launch.errors import LaunchError
from novaflow_core.settings import describe

pytestmark = pytest.mark.skipif(
    modules.real_launch_present(), reason="the real launch is installed; it reads the files"
)
COMMON = {"use_sim_time", "autostart", "planning_frame"}
PRODUCT = {
    "perception_node", "tracker_node", "flowgen_node", "selector_node", "executor_node",
    "guard_node", "task_node",
}  # fmt: skip


def started(tmp_path: Path, cell: str, *arguments: str) -> dict[str, tuple[str, dict]]:
    """Package and parameters of every node, by executable."""
    words = ["novaflow_bringup", f"{cell}.launch.py", *arguments]
    out = {}
    for start in launcher.describe(words, str(tmp_path)).starts:
        program = next(Path(w) for w in start.command if "/lib/" in w)
        values: dict = {}
        for flag, file in pairwise(start.command):
            if flag == "--params-file":
                for key, section in yaml.safe_load(Path(file).read_text()).items():
                    if key in ("/**", f"/{program.name}"):
                        values.update(section["ros__parameters"])
        out[program.name] = (program.parent.name, values)
    return out


def declared(package: str, executable: str) -> dict[str, object]:
    """Defaults of all settings that a node's module knows."""
    module = importlib.import_module(f"{package}.ros.{executable}")
    found: dict[str, object] = {}
    for record in vars(module).values():
        if isinstance(record, type) and is_dataclass(record):
            found.update({name: default for name, (default, _) in describe(record).items()})
    return found


def test_simulation_starts_the_product_the_cell_and_the_recorder(tmp_path: Path) -> None:
    assert started(tmp_path, "franka").keys() == PRODUCT | {"cell_node", "recorder_node"}
    without = started(tmp_path, "franka", "record:=false")
    assert without.keys() == PRODUCT | {"cell_node"}
    assert without["task_node"][1]["record"] is False


def test_imagining_and_replaying_start_neither_robot_nor_guard(tmp_path: Path) -> None:
    shared = {"perception_node", "flowgen_node", "selector_node", "task_node"}
    imagine = started(tmp_path, "imagine", "rgbd:=/data/view")
    assert imagine.keys() == shared | {"file_camera_node"}
    assert imagine["file_camera_node"][1]["directory"] == "/data/view"
    assert imagine["perception_node"][1]["planning_frame"] == "camera_color_optical_frame"
    replay = started(tmp_path, "replay", "run:=/runs/1")
    assert replay.keys() == shared | {"replay_node"}
    assert replay["task_node"][1]["use_sim_time"] is True


@pytest.mark.parametrize(
    ("cell", "arguments"),
    [("franka", []), ("imagine", ["rgbd:=/d"]), ("replay", ["run:=/r"])],
    ids=["franka", "imagine", "replay"],
)
def test_every_parameter_is_one_that_the_node_has(
    tmp_path: Path, cell: str, arguments: list[str]
) -> None:
    wrong = []
    for executable, (package, values) in started(tmp_path, cell, *arguments).items():
        known = declared(package, executable)
        for name, value in values.items():
            if name in COMMON:
                continue
            if name not in known:
                wrong.append(f"{executable} has no parameter '{name}'")
            elif type(value) is not type(known[name]) and not isinstance(known[name], tuple):
                wrong.append(f"{executable}.{name} is {value!r}, the default {known[name]!r}")
    assert not wrong


def test_the_choices_reach_the_nodes(tmp_path: Path) -> None:
    nodes = started(
        tmp_path, "franka", "seed:=7", "task:=insert", "width:=640", "height:=480", "rate:=15",
        "video:=file", "prompt:=openai", "selection:=gemini", "candidates:=3", "approve:=true",
    )  # fmt: skip
    cell = nodes["cell_node"][1]
    assert (cell["seed"], cell["task"]) == (7, "insert")
    assert (cell["image_width"], cell["image_height"], cell["image_rate_hz"]) == (640, 480, 15.0)
    assert nodes["flowgen_node"][1]["video"] == "file"
    assert nodes["flowgen_node"][1]["prompt"] == "openai"
    judge = nodes["selector_node"][1]
    assert (judge["selection"], judge["on_vlm_failure"]) == ("gemini", "critic")
    assert (nodes["task_node"][1]["candidates"], nodes["task_node"][1]["approve"]) == (3, True)
    assert nodes["executor_node"][1]["require_approval"] is True
    assert nodes["executor_node"][1]["allow_motion"] is True


@pytest.mark.parametrize(
    ("cell", "arguments"),
    [("franka", []), ("imagine", ["rgbd:=/d"]), ("replay", ["run:=/r"])],
    ids=["franka", "imagine", "replay"],
)
def test_a_second_parameter_file_goes_over_the_first(
    tmp_path: Path, cell: str, arguments: list[str]
) -> None:
    over = tmp_path / "mine.yaml"
    over.write_text("/flowgen_node:\n  ros__parameters: {wan_offload: model, timeout_s: 3600.0}\n")
    plain = started(tmp_path, cell, *arguments)["flowgen_node"][1]
    given = [*arguments, f"overrides:={over}", "tracks:=tapip3d", "candidates_on:=ray"]
    flowgen = started(tmp_path, cell, *given)["flowgen_node"][1]
    assert (flowgen["wan_offload"], flowgen["timeout_s"]) == ("model", 3600.0)
    assert (flowgen["tracks"], flowgen["candidates_on"]) == ("tapip3d", "ray")
    assert plain.keys() <= flowgen.keys()


def test_a_real_robot_needs_its_drivers(tmp_path: Path) -> None:
    with pytest.raises(LaunchError, match="realsense2_camera"):
        started(tmp_path, "franka", "sim:=false")


DRIVERS = {
    "realsense2_camera": "rs_launch.py",
    "franka_bringup": "franka.launch.py",
    "robotiq_description": "robotiq_control.launch.py",
}
DRIVER_FILE = """
from launch import LaunchDescription
from launch.actions import ExecuteProcess
from launch.substitutions import LaunchConfiguration

def generate_launch_description():
    values = [[name, "=", LaunchConfiguration(name, default="unset")] for name in
              ("align_depth.enable", "enable_sync", "robot_ip", "load_gripper", "launch_rviz")]
    return LaunchDescription([ExecuteProcess(cmd=["/lib/drivers/PACKAGE", *values])])
"""


@pytest.fixture
def drivers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Packages with the names of the real drivers, whose launch files say what they were given."""
    prefix = tmp_path / "drivers"
    index = prefix / "share/ament_index/resource_index/packages"
    index.mkdir(parents=True)
    for package in (*DRIVERS, "franka_fr3_moveit_config", "controller_manager"):
        (index / package).touch()
        (prefix / "share" / package / "launch").mkdir(parents=True)
        if package in DRIVERS:
            text = DRIVER_FILE.replace("PACKAGE", package)
            (prefix / "share" / package / "launch" / DRIVERS[package]).write_text(text)
    spawner = prefix / "lib/controller_manager/spawner"
    spawner.parent.mkdir(parents=True)
    spawner.write_text("#!/bin/sh\n")
    spawner.chmod(0o755)
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"{prefix}:{os.environ['AMENT_PREFIX_PATH']}")


def test_a_real_robot_may_not_move_and_asks_for_approval(tmp_path: Path, drivers: None) -> None:
    nodes = started(tmp_path, "franka", "sim:=false", "robot_ip:=10.0.0.2")
    assert nodes.keys() == PRODUCT | {"recorder_node", "spawner", *DRIVERS}
    assert nodes["executor_node"][1]["allow_motion"] is False
    assert nodes["executor_node"][1]["require_approval"] is True
    assert nodes["task_node"][1]["approve"] is True
    assert nodes["selector_node"][1]["on_vlm_failure"] == "fail"
    assert nodes["perception_node"][1]["use_sim_time"] is False


def test_each_driver_gets_its_own_arguments_alone(tmp_path: Path, drivers: None) -> None:
    words = ["novaflow_bringup", "franka.launch.py", "sim:=false", "robot_ip:=10.0.0.2"]
    starts = launcher.describe(words, str(tmp_path)).starts
    given = {Path(s.command[0]).name: set(s.command[1:]) for s in starts}
    assert {"align_depth.enable=true", "enable_sync=true"} <= given["realsense2_camera"]
    assert {"robot_ip=10.0.0.2", "load_gripper=false"} <= given["franka_bringup"]
    assert "align_depth.enable=unset" in given["franka_bringup"]
    assert {"launch_rviz=false", "load_gripper=unset"} <= given["robotiq_description"]


def test_drivers_that_are_started_elsewhere_are_left_alone(tmp_path: Path, drivers: None) -> None:
    nodes = started(tmp_path, "franka", "sim:=false", "camera:=none", "gripper:=none")
    assert set(DRIVERS) & nodes.keys() == {"franka_bringup"}


def test_all_is_installed() -> None:
    share = Path(get_package_share_directory("novaflow_bringup"))
    for name in ("launch/franka.launch.py", "rviz/novaflow.rviz", "config/franka.yaml"):
        assert (share / name).is_file()
