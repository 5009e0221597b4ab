"""Shared libraries that lie inside a Python package: found, loaded, their version compared."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from novaflow_core.errors import Code, PlatformError


def load_kernel(package: str, folder: Path, version: int, what: str) -> ctypes.CDLL:
    """Load `lib<package>.so`, or what the variable `<PACKAGE>_LIBRARY` names instead.

    Args:
        package: ROS package that builds it; its functions' names begin with it.
        folder: Where the library lies.
        version: Of the C interface that the caller knows.
        what: What it computes, in words for people.

    Raises:
        PlatformError: UNAVAILABLE, naming the command that builds it.
    """
    # Another build of the library, e.g. with sanitizers.
    override = os.environ.get(f"{package.upper()}_LIBRARY")
    path = Path(override or folder / f"lib{package}.so")
    fix = (
        f"build it with `./novaflow setup`, or `colcon build --packages-select {package}` "
        "in a ROS 2 workspace"
    )
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise PlatformError(
            Code.UNAVAILABLE, f"the {what} kernel cannot be loaded ({error}); {fix}"
        ) from error
    found = library[f"{package}_version"]()
    if found != version:
        raise PlatformError(
            Code.UNAVAILABLE, f"{path} has interface version {found}, wanted is {version}; {fix}"
        )
    return library
