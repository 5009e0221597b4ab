"""Environment variables of everything that ./novaflow starts."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from workspace import machine
from workspace.layout import DDS_PROFILE, INSTALL, PYTHON, ROOT, VENV
from workspace.problems import SetupError

Variables = dict[str, str]
DISTRIBUTION = "kilted"  # of the wheels


def sourced_ros() -> str | None:
    """Name of the ROS 2 distribution that is sourced and works with this Python, or None.

    Raises:
        SetupError: If one is sourced, but this Python cannot import its rclpy.
    """
    name, prefixes = os.environ.get("ROS_DISTRO"), os.environ.get("AMENT_PREFIX_PATH", "")
    outside = [p for p in prefixes.split(":") if p and not Path(p).is_relative_to(ROOT)]
    if not name or not any((Path(p) / "share" / "rclpy").is_dir() for p in outside):
        return None
    base = getattr(sys, "_base_executable", sys.executable)
    probe = subprocess.run(
        [base, "-c", "import rclpy"], capture_output=True, text=True, check=False
    )
    if probe.returncode:
        raise SetupError(
            f"ROS 2 {name} is sourced, but {base} cannot import its rclpy:\n"
            f"{probe.stderr.strip()}\nUse the Python that it was built for "
            "(NOVAFLOW_PYTHON=/usr/bin/python3), or a shell without ROS 2."
        )
    return name


def has(package: str, variables: Mapping[str, str]) -> bool:
    """Whether a ROS package is installed outside this workspace."""
    prefixes = variables["AMENT_PREFIX_PATH"].split(":")
    return any((Path(p) / "share" / package / "package.xml").is_file() for p in prefixes if p)


def base(ros: str | None) -> Variables:
    """What building needs: the virtual environment, and ROS 2 sourced or from its wheels."""
    out = {k: v for k, v in os.environ.items() if k != "PYTHONHOME"}
    out.update(VIRTUAL_ENV=str(VENV), PYTHONNOUSERSITE="1", NOVAFLOW_VENV_PYTHON=str(PYTHON))
    out["PATH"] = f"{VENV / 'bin'}:{out.get('PATH', os.defpath)}"
    out["PYTHONPATH"] = _without(out.get("PYTHONPATH", ""), {str(ROOT)}, inside=INSTALL)
    if ros:
        out["AMENT_PREFIX_PATH"] = _without(out["AMENT_PREFIX_PATH"], set(), inside=ROOT)
        return out
    libraries = [
        str(VENV / "lib"),
        *map(str, sorted(VENV.glob("lib/python3*/site-packages/ros_*.libs"))),
    ]
    out.update(
        AMENT_PREFIX_PATH=str(VENV),
        CMAKE_PREFIX_PATH=str(VENV),
        ROS_DISTRO=DISTRIBUTION,
        ROS_VERSION="2",
        ROS_PYTHON_VERSION="3",
        RMW_IMPLEMENTATION="rmw_fastrtps_cpp",
        PYTHONPATH="",
        # The wheels would start every Python twice to set this; once here is enough.
        LD_LIBRARY_PATH=":".join(libraries),
        _ROS_WHEELS_BOOTSTRAP_COMPLETE="1",
    )
    return out


def runtime() -> Variables:
    """What nodes, tests and the command line need: `base`, the workspace, one machine's DDS."""
    out = _overlaid(base(sourced_ros()))
    out.setdefault("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp")
    # Loopback is right here, where robot and graph are one machine; launch files never say so.
    out.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    out.setdefault("FASTDDS_DEFAULT_PROFILES_FILE", str(DDS_PROFILE))
    out.setdefault("MUJOCO_GL", machine.headless_renderer() or "egl")
    out.setdefault("NOVAFLOW_RUNS", str(ROOT / "runs"))
    # Many small processes on few cores: threads of theirs would only wait for each other.
    for name in ("LP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        out.setdefault(name, "1")
    return out


def _overlaid(variables: Variables) -> Variables:
    """Add the workspace, by the script that colcon wrote for it."""
    script = 'COLCON_CURRENT_PREFIX="$0"; . "$0/local_setup.sh"; env -0'
    done = subprocess.run(
        ["sh", "-c", script, str(INSTALL)], env=variables, capture_output=True, check=False
    )
    if done.returncode:
        raise SetupError(f"cannot use {INSTALL}: {done.stderr.decode(errors='replace')}")
    pairs = (entry.split("=", 1) for entry in done.stdout.decode().split("\0") if "=" in entry)
    out = dict(pairs)
    for name in ("COLCON_CURRENT_PREFIX", "_", "SHLVL", "PWD", "OLDPWD"):
        out.pop(name, None)
        if name in variables:
            out[name] = variables[name]
    return out


def _without(paths: str, unwanted: set[str], *, inside: Path) -> str:
    """Leave out entries, and those inside a folder."""
    kept = [
        p
        for p in paths.split(":")
        if p and p not in unwanted and not Path(p).is_relative_to(inside)
    ]
    return ":".join(kept)
