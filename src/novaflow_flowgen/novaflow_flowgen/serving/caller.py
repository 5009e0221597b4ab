"""Whether the caller still waits, for models that take minutes and can stop in between."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar

_HAS_LEFT: ContextVar[Callable[[], bool] | None] = ContextVar("has_left", default=None)


def has_left() -> bool:
    """Whether whoever asked this thread's question hung up; a client does so at its time-out."""
    check = _HAS_LEFT.get()
    return check is not None and check()


@contextlib.contextmanager
def watched(check: Callable[[], bool]) -> Iterator[None]:
    """Let `has_left` in this thread answer with `check`."""
    token = _HAS_LEFT.set(check)
    try:
        yield
    finally:
        _HAS_LEFT.reset(token)
