"""The stand-in launcher: evaluation of launch files, and real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from novaflow_bringup.standin_launch import launcher, modules
from novaflow_bringup.standin_launch.errors import LaunchError, UnsupportedError

pytestmark = pytest.mark.skipif(
    modules.real_launch_present(), reason="the real launch is installed; it is used instead"
)

PACKAGE = "cell_of_the_test"
HEADER = """
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, ExecuteProcess, GroupAction
from launch.actions import IncludeLaunchDescription, LogInfo
from launch.conditions import IfCondition, UnlessCondition
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import EqualsSubstitution, LaunchConfiguration, NotSubstitution
from launch.substitutions import IfElseSubstitution, PathJoinSubstitution, ThisLaunchFileDir
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package with one executable; returns its share folder."""
    share = tmp_path / "prefix" / "share" / PACKAGE
    index = tmp_path / "prefix/share/ament_index/resource_index/packages"
    library = tmp_path / "prefix" / "lib" / PACKAGE
    for folder in (share / "launch", index, library):
        folder.mkdir(parents=True)
    (index / PACKAGE).touch()
    program = library / "talker_node"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    others = os.environ.get("AMENT_PREFIX_PATH", "")
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"{tmp_path / 'prefix'}:{others}")
    return share


def describe(package: Path, body: str, *arguments: str, name: str = "x.launch.py"):
    """Evaluate a launch file whose description is the list `body`."""
    source = f"{HEADER}\ndef generate_launch_description():\n    return LaunchDescription({body})\n"
    (package / "launch" / name).write_text(source)
    return launcher.describe([PACKAGE, name, *arguments], str(package))


def parameters(command: tuple[str, ...]) -> dict:
    """All parameters that a node's command line carries, by key of the file."""
    out: dict = {}
    for flag, value in pairwise(command):
        if flag == "--params-file":
            out.update(yaml.safe_load(Path(value).read_text()))
    return out


def test_a_node_gets_name_namespace_remappings_and_typed_parameters(package: Path) -> None:
    context = describe(
        package,
        """[DeclareLaunchArgument("count", default_value="3"),
            Node(package="cell_of_the_test", executable="talker_node", name="talker",
                 namespace="left", remappings=[("a", "/b")], arguments=["--loud"],
                 parameters=[{"yaml": LaunchConfiguration("count"), "plain": [1.5, 2.0],
                              "text": ParameterValue(LaunchConfiguration("count"), value_type=str),
                              "real": ParameterValue(LaunchConfiguration("count"),
                                                     value_type=float)}])]""",
    )
    command = context.starts[0].command
    assert command[0].endswith("lib/cell_of_the_test/talker_node")
    assert command[1:3] == ("--loud", "--ros-args")
    assert "__node:=talker" in command and "__ns:=/left" in command and "a:=/b" in command
    values = parameters(command)["/left/talker"]["ros__parameters"]
    assert values == {"yaml": 3, "plain": [1.5, 2.0], "text": "3", "real": 3.0}
    assert isinstance(values["real"], float)


def test_conditions_follow_arguments(package: Path) -> None:
    body = """[DeclareLaunchArgument("sim", default_value="true"),
               ExecuteProcess(cmd=["a"], condition=IfCondition(LaunchConfiguration("sim"))),
               ExecuteProcess(cmd=["b"], condition=UnlessCondition(LaunchConfiguration("sim"))),
               ExecuteProcess(cmd=["c"], condition=IfCondition(EqualsSubstitution(
                   NotSubstitution(LaunchConfiguration("sim")), "true")))]"""
    assert [s.command for s in describe(package, body).starts] == [("a",)]
    assert [s.command for s in describe(package, body, "sim:=false").starts] == [("b",), ("c",)]


def test_a_boolean_chooses_one_of_two_values(package: Path) -> None:
    body = """[DeclareLaunchArgument("sim", default_value="true"),
               DeclareLaunchArgument("policy", default_value=IfElseSubstitution(
                   LaunchConfiguration("sim"), "critic", "fail")),
               ExecuteProcess(cmd=[LaunchConfiguration("policy")])]"""
    assert [s.command for s in describe(package, body).starts] == [("critic",)]
    assert [s.command for s in describe(package, body, "sim:=false").starts] == [("fail",)]
    given = describe(package, body, "sim:=false", "policy:=critic")
    assert [s.command for s in given.starts] == [("critic",)]


def test_a_group_keeps_the_arguments_of_its_include_to_itself(package: Path) -> None:
    inner = """[DeclareLaunchArgument("word", default_value="none"),
                ExecuteProcess(cmd=["inner", LaunchConfiguration("word")])]"""
    describe(package, inner, name="inner.launch.py")
    body = """[DeclareLaunchArgument("word", default_value="outer"), {include},
               ExecuteProcess(cmd=["after", LaunchConfiguration("word")])]"""
    include = """IncludeLaunchDescription(
        PythonLaunchDescriptionSource([ThisLaunchFileDir(), "/inner.launch.py"]),
        launch_arguments={"word": "given"}.items())"""
    grouped = describe(package, body.replace("{include}", f"GroupAction([{include}])"))
    assert [s.command for s in grouped.starts] == [("inner", "given"), ("after", "outer")]
    leaking = describe(package, body.replace("{include}", include))  # as the real launch does
    assert [s.command for s in leaking.starts] == [("inner", "given"), ("after", "given")]


@pytest.mark.parametrize(
    ("body", "arguments", "says"),
    [
        ('[DeclareLaunchArgument("rgbd", description="a folder")]', [], "rgbd"),
        ('[DeclareLaunchArgument("t", default_value="a", choices=["a"])]', ["t:=b"], "allowed: a"),
        ('[DeclareLaunchArgument("sim", default_value="true")]', ["simm:=1"], "known are: sim"),
        ('[Node(package="cell_of_the_test", executable="nobody")]', [], "talker_node"),
        ('[Node(package="not_installed", executable="nobody")]', [], "not installed"),
        ('[LogInfo(msg=LaunchConfiguration("unset"))]', [], "unset"),
        ('[ExecuteProcess(cmd=["a"], sigterm_timeout="1")]', [], "sigterm_timeout"),
    ],
)
def test_what_is_wrong_is_named(package: Path, body: str, arguments: list[str], says: str) -> None:
    with pytest.raises((LaunchError, TypeError), match=says):
        describe(package, body, *arguments)


def test_parts_of_the_api_that_are_missing_are_refused_by_name(package: Path) -> None:
    (package / "launch" / "x.launch.py").write_text("from launch.actions import TimerAction\n")
    with pytest.raises(UnsupportedError, match=r"launch\.actions\.TimerAction"):
        launcher.describe([PACKAGE, "x.launch.py"], str(package))


# --- real processes -------------------------------------------------------------------------------
WORKER = """
import os, signal, sys, time
print("alive", os.getpid(), flush=True)
if sys.argv[1] == "stubborn":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
if sys.argv[1] == "parent" and os.fork() == 0:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    print("alive", os.getpid(), flush=True)
if sys.argv[1] == "dies":
    sys.exit(3)
try:
    time.sleep(60)
except KeyboardInterrupt:
    print("interrupted once", flush=True)
    try:
        time.sleep(0.3)
    except KeyboardInterrupt:
        print("interrupted twice", flush=True)
"""


class Launched:
    """A launcher in a process of its own, as a user starts it."""

    def __init__(self, folder: Path, *modes: str, respawn: bool = False) -> None:
        worker = folder / "worker.py"
        worker.write_text(WORKER)
        runs = ", ".join(
            f"ExecuteProcess(cmd=['{sys.executable}', '{worker}', '{mode}'], name='{mode}', "
            f"respawn={respawn}, respawn_delay=0.1)"
            for mode in modes
        )
        file = folder / "x.launch.py"
        body = f"    return LaunchDescription([{runs}])\n"
        file.write_text(f"{HEADER}\ndef generate_launch_description():\n{body}")
        self.log = folder / "log.txt"
        with self.log.open("w") as stream:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "novaflow_bringup.standin_launch", str(file)],
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def pids(self, count: int) -> list[int]:
        """Wait until so many workers have said that they live; return their process ids."""
        end = time.monotonic() + 20
        while time.monotonic() < end:
            lines = [line.split() for line in self.log.read_text().splitlines() if "alive" in line]
            found = [int(words[-1]) for words in lines]
            if len(found) >= count:
                return found
            time.sleep(0.05)
        raise AssertionError(self.log.read_text())


def gone(pids: list[int], within_s: float = 5.0) -> bool:
    """Whether all of the processes end in time."""
    end = time.monotonic() + within_s
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_all_end_with_the_launcher_and_are_interrupted_once(
    tmp_path: Path, number: signal.Signals
) -> None:
    launched = Launched(tmp_path, "one", "parent")
    pids = launched.pids(3)
    if number == signal.SIGINT:
        os.killpg(launched.process.pid, number)  # as a terminal does on Ctrl-C
    else:
        launched.process.send_signal(number)
    assert launched.process.wait(15) == 0
    assert gone(pids), launched.log.read_text()
    text = launched.log.read_text()
    assert text.count("interrupted once") == 2
    assert "interrupted twice" not in text
    assert "SIGKILL" not in text  # a child that holds the output does not keep the launcher waiting


def test_processes_stay_in_the_launchers_session(tmp_path: Path) -> None:
    """Linux divides the cores between sessions first; niceness would not count between them."""
    launched = Launched(tmp_path, "one", "one")
    sessions = {os.getsid(pid) for pid in launched.pids(2)}
    launched.process.send_signal(signal.SIGINT)
    assert launched.process.wait(15) == 0
    assert sessions == {launched.process.pid}


def test_a_second_interrupt_does_not_wait(tmp_path: Path) -> None:
    launched = Launched(tmp_path, "stubborn")
    pids = launched.pids(1)
    launched.process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    began = time.monotonic()
    launched.process.send_signal(signal.SIGINT)
    launched.process.wait(10)
    assert time.monotonic() - began < 4.0
    assert gone(pids)


def test_nothing_outlives_a_killed_launcher(tmp_path: Path) -> None:
    launched = Launched(tmp_path, "one", "two")
    pids = launched.pids(2)
    launched.process.kill()
    launched.process.wait(5)
    assert gone(pids)


def test_a_dead_process_comes_back_when_asked(tmp_path: Path) -> None:
    launched = Launched(tmp_path, "dies", respawn=True)
    first, second, *_ = launched.pids(2)
    assert first != second
    launched.process.send_signal(signal.SIGINT)
    assert launched.process.wait(15) == 0


def test_a_failed_process_is_the_launchers_failure(tmp_path: Path) -> None:
    launched = Launched(tmp_path, "dies")
    assert launched.process.wait(20) == 1
    assert "exit code 3" in launched.log.read_text()


def test_the_real_launch_is_never_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("launch", "launch_ros"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert modules.real_launch_present()
    with pytest.raises(RuntimeError):
        modules.register()


def test_a_folder_named_launch_is_not_the_real_launch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "launch").mkdir()
    monkeypatch.delitem(sys.modules, "launch", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert not modules.real_launch_present()
