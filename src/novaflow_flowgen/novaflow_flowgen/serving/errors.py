"""What a model says when it cannot be started, and when it cannot answer.

In a module of its own, as the server runs as `__main__` and a model must raise the same classes.
"""

from __future__ import annotations


class InputError(Exception):
    """Raised by a model whose input is not what it takes; the caller reads the reason."""


class SetupError(Exception):
    """Raised by a factory whose model cannot run here; says what is missing and what to install."""


class CallerLeftError(Exception):
    """Raised by a model that stopped as nobody waits for its answer any more."""
