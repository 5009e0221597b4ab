"""Which processes a goal needs, and waiting for them with a reason when they do not come."""

from __future__ import annotations

import time
from collections.abc import Callable

from novaflow_core.errors import Code, PlatformError

JUDGING = ("perception_node", "flowgen_node", "selector_node")
ACTING = ("tracker_node", "executor_node", "guard_node")


def wait_until_ready(
    missing: Callable[[], list[str]],
    timeout_s: float,
    should_stop: Callable[[], bool] = lambda: False,
    on_wait: Callable[[list[str]], None] = lambda _missing: None,
) -> None:
    """Return when nothing is missing.

    Args:
        missing: Says what is missing now.
        timeout_s: How long to wait [s].
        should_stop: Whether to give up.
        on_wait: Told what is missing, whenever it changes.

    Raises:
        PlatformError: CANCELLED, or UNAVAILABLE naming everything that is missing.
    """
    end = time.monotonic() + timeout_s
    told: list[str] | None = None
    names: list[str] = []
    while gone := missing():
        if should_stop():
            raise PlatformError(Code.CANCELLED, "cancelled while waiting for the graph")
        if time.monotonic() > end:
            raise PlatformError(
                Code.UNAVAILABLE, f"not there after {timeout_s:.0f} s: {'; '.join(gone)}"
            )
        names = [item.split(" ", maxsplit=1)[0] for item in gone]
        if names != told:
            on_wait(gone)
            told = names
        time.sleep(0.05)
