"""./novaflow before anything is installed: help, steps, and what it says of the machine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from workspace import environment, machine, manual, steps, wheels
from workspace.layout import ROOT
from workspace.problems import SetupError
from workspace.steps import Step, carry_out


def novaflow(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run ./novaflow with an environment that holds little more than a PATH."""
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    return subprocess.run(
        [str(ROOT / "novaflow"), *words],
        env={"PATH": path, "HOME": "/nonexistent", **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


# --- the command line -----------------------------------------------------------------------------
@pytest.mark.parametrize("command", manual.PAGES)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_every_command_has_help(command: str, flag: str) -> None:
    done = novaflow(command, flag)
    assert done.returncode == 0
    assert f"usage: ./novaflow {command}" in done.stdout
    assert "[1/" not in done.stdout  # help sets nothing up


def test_without_a_command_all_are_listed() -> None:
    done = novaflow()
    assert done.returncode == 0
    assert all(f"  {command} " in done.stdout for command in manual.PAGES)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["fly"], "'fly' is not a command"),
        (["up"], "usage: ./novaflow up"),
        (["up", "moon"], "there is no cell 'moon'; there are: franka, imagine, replay"),
    ],
)
def test_a_wrong_command_line_is_told_at_once(words: list[str], says: str) -> None:
    done = novaflow(*words)
    assert done.returncode == 2
    assert says in done.stderr
    assert "[1/" not in done.stdout


def test_a_machine_without_python_is_told_how_to_get_it(tmp_path: Path) -> None:
    for tool in ("sh", "dirname", "readlink"):
        (tmp_path / tool).symlink_to(f"/usr/bin/{tool}")
    done = novaflow("demo", PATH=str(tmp_path))
    assert done.returncode == 3
    assert "sudo apt-get install -y python3" in done.stderr


def test_help_names_every_option_of_the_command_line() -> None:
    cli = pytest.importorskip("novaflow_bringup.cli", reason="the workspace is not built")
    commands = next(a for a in cli.parser()._actions if getattr(a, "choices", None))
    missing = [
        f"{name} {option}"
        for name, parser in commands.choices.items()
        for action in parser._actions
        for option in action.option_strings
        if option.startswith("--") and option not in manual.page(name) + "--help"
    ]
    assert not missing


# --- steps ----------------------------------------------------------------------------------------
@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for stamps."""
    monkeypatch.setattr(steps, "STATE", tmp_path)
    return tmp_path


def recorder(names: str, inputs: dict[str, str], fails: str = "") -> tuple[list[Step], list[str]]:
    """Steps that note that they were done."""
    done: list[str] = []

    def action(name: str) -> None:
        if name == fails:
            raise SetupError("no network")
        done.append(name)

    made = [Step(n, n, inputs.get(n, ""), lambda n=n: action(n)) for n in names]  # type: ignore[misc]
    return made, done


def test_what_is_done_is_not_done_again(state: Path) -> None:
    first, done = recorder("abc", {})
    assert carry_out(first) is True
    assert done == ["a", "b", "c"]
    again, done = recorder("abc", {})
    assert carry_out(again) is False
    assert done == []


def test_an_interrupted_set_up_goes_on_where_it_stopped(state: Path) -> None:
    broken, done = recorder("abc", {}, fails="b")
    with pytest.raises(SetupError):
        carry_out(broken)
    assert done == ["a"]
    again, done = recorder("abc", {})
    carry_out(again)
    assert done == ["b", "c"]


def test_a_change_outdates_what_follows(state: Path) -> None:
    carry_out(recorder("abc", {})[0])
    changed, done = recorder("abc", {"b": "another requirement"})
    carry_out(changed)
    assert done == ["b", "c"]


def test_a_failed_program_shows_the_end_of_its_output() -> None:
    command = [sys.executable, "-c", "print('the reason'); raise SystemExit(4)"]
    with pytest.raises(SetupError, match=r"(?s)the reason.*status 4"):
        steps.run(command, "test_of_a_failure")


def test_the_network_gets_a_second_chance() -> None:
    calls: list[int] = []

    def flaky() -> None:
        calls.append(1)
        if len(calls) < 3:
            raise SetupError("timed out")

    steps.retry(flaky, waits_s=(0.0, 0.0))
    assert len(calls) == 3
    with pytest.raises(SetupError):
        steps.retry(lambda: (_ for _ in ()).throw(SetupError("down")), waits_s=(0.0,))


# --- the machine ----------------------------------------------------------------------------------
def test_all_that_is_missing_is_named_with_one_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    monkeypatch.setattr(machine, "headless_renderer", lambda: None)
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(SetupError) as caught:
        machine.require()
    text = str(caught.value)
    assert "C++ compiler" in text and "GL library" in text
    command = next(line for line in text.splitlines() if "apt-get" in line)
    assert "apt-get update" in command
    assert {"g++", "libegl1", "libgl1"} <= set(command.split())
    assert caught.value.status == 3


def test_a_dispatch_library_without_a_driver_does_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    monkeypatch.setattr(machine, "_egl_devices", lambda: 0)
    monkeypatch.setattr(machine, "_loads", lambda name: name == "libGL.so.1")
    assert machine.headless_renderer() is None
    monkeypatch.setattr(machine, "_loads", lambda name: name == "libOSMesa.so.8")
    assert machine.headless_renderer() == "osmesa"


# --- ROS 2 ----------------------------------------------------------------------------------------
@pytest.fixture
def sourced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sourced installation; returns where its Python packages are."""
    (tmp_path / "ros/share/rclpy").mkdir(parents=True)
    packages = tmp_path / "ros/python"
    packages.mkdir()
    monkeypatch.setenv("ROS_DISTRO", "jazzy")
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path / "ros"))
    monkeypatch.setenv("PYTHONPATH", str(packages))
    return packages


def test_a_sourced_ros_is_used(sourced: Path) -> None:
    (sourced / "rclpy.py").touch()
    assert environment.sourced_ros() == "jazzy"


def test_a_ros_for_another_python_is_an_error_and_not_ignored(sourced: Path) -> None:
    (sourced / "rclpy.py").write_text("raise ImportError('built for another Python')")
    with pytest.raises(SetupError, match="jazzy"):
        environment.sourced_ros()


def test_our_own_overlay_is_not_a_ros_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROS_DISTRO", "kilted")
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"{ROOT}/install/novaflow_msgs:{ROOT}/.venv")
    assert environment.sourced_ros() is None


def test_loopback_is_set_for_processes_and_may_be_overruled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(environment, "sourced_ros", lambda: None)
    monkeypatch.setattr(environment, "_overlaid", dict)
    monkeypatch.delenv("ROS_AUTOMATIC_DISCOVERY_RANGE", raising=False)
    assert environment.runtime()["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "SUBNET")
    assert environment.runtime()["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "SUBNET"


def test_launch_files_never_set_the_network() -> None:
    for file in ROOT.glob("launch/**/*.py"):
        text = file.read_text()
        assert "DISCOVERY_RANGE" not in text and "FASTDDS" not in text


def test_the_wheels_paths_are_recognised() -> None:
    there = "/opt/python/cp311-cp311"
    numpy = f"{there}/lib/python3.11/site-packages/numpy/_core/include"
    text = f'"{there}/include/python3.11;{numpy}"'
    assert wheels.localised(text, "/py", "/np") == '"/py;/np"'
