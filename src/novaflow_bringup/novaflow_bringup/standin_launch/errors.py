"""What can be wrong with a launch file or its arguments."""

from __future__ import annotations


class LaunchError(RuntimeError):
    """Raised when a launch file cannot be carried out; the message is for the user."""


class UnsupportedError(ImportError):
    """Raised when a launch file uses a part of the API that only the real launch has."""

    def __init__(self, what: str) -> None:
        """Name the part and the way out."""
        super().__init__(
            f"{what} is not known to the stand-in launcher; "
            "source a ROS 2 installation, whose launch provides it"
        )
