"""What the system must offer, and the command that installs what it does not."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import shutil
import sys
import sysconfig
from pathlib import Path

from workspace.problems import SetupError


def require() -> None:
    """Check everything at once.

    Raises:
        SetupError: Naming all that is missing, with one command for it.
    """
    lacks: dict[str, tuple[str, ...]] = {}
    python = f"python3.{sys.version_info.minor}" if _version_is_named() else "python3"
    if not (shutil.which("c++") or shutil.which("g++") or os.environ.get("CXX")):
        lacks["a C++ compiler"] = ("g++",)
    if not (shutil.which("cc") or shutil.which("gcc") or os.environ.get("CC")):
        lacks["a C compiler"] = ("gcc",)
    if importlib.util.find_spec("ensurepip") is None or importlib.util.find_spec("venv") is None:
        lacks["Python's venv module"] = (f"{python}-venv",)
    if not (Path(sysconfig.get_paths()["include"]) / "Python.h").is_file():
        lacks["Python's header files"] = (f"{python}-dev",)
    if headless_renderer() is None:
        lacks["a GL library that renders without a display"] = (
            "libegl1",
            "libgl1",
            "libgl1-mesa-dri",
        )
    if not lacks:
        return
    packages = sorted({package for group in lacks.values() for package in group})
    sudo = "" if os.geteuid() == 0 else "sudo "
    raise SetupError(
        f"This machine lacks {', '.join(lacks)}. On Debian or Ubuntu this installs it:\n\n"
        f"  {sudo}apt-get update && {sudo}apt-get install -y {' '.join(packages)}\n\n"
        "Then run the same command again."
    )


def headless_renderer() -> str | None:
    """How MuJoCo can draw here: "egl", "osmesa", or None."""
    chosen = os.environ.get("MUJOCO_GL")
    if chosen in ("egl", "osmesa", "glfw"):
        return chosen
    if _loads("libGL.so.1") and _egl_devices() > 0:
        return "egl"
    return "osmesa" if _loads("libOSMesa.so.8") or _loads("libOSMesa.so.6") else None


def has_nvidia() -> bool:
    """Whether a driver for NVIDIA's GPUs is loaded."""
    return Path("/proc/driver/nvidia/version").is_file()


def _egl_devices() -> int:
    """Number of devices that EGL can draw on; 0 where only the dispatch library is installed."""
    try:
        egl = ctypes.CDLL("libEGL.so.1")
    except OSError:
        return 0
    egl.eglGetProcAddress.restype = ctypes.c_void_p
    address = egl.eglGetProcAddress(b"eglQueryDevicesEXT")
    if not address:
        return 0
    count = ctypes.c_int(0)
    signature = ctypes.CFUNCTYPE(
        ctypes.c_uint, ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ctypes.c_int)
    )
    return count.value if signature(address)(0, None, ctypes.byref(count)) else 0


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _version_is_named() -> bool:
    """Whether this Python is not the system's own, whose packages carry no version in the name."""
    system = shutil.which("python3", path="/usr/bin")
    name = f"python3.{sys.version_info.minor}"
    return system is None or Path(system).resolve().name != name
