"""What keeps the set-up from going on."""

from __future__ import annotations


class SetupError(Exception):
    """Raised with a message that tells the user what to do.

    Attributes:
        status: Exit status of ./novaflow.
    """

    def __init__(self, message: str, *, status: int = 3) -> None:
        """Keep message and status."""
        super().__init__(message)
        self.status = status
