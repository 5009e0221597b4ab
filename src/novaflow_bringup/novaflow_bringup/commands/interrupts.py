"""Ctrl-C: the first one asks to stop, the second one leaves."""

from __future__ import annotations

import signal
import sys
from types import FrameType, TracebackType
from typing import Any


class Interrupts:
    """Counts SIGINT and SIGTERM while the context lasts, instead of raising."""

    def __init__(self) -> None:
        self.count = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._heard)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def stop(self) -> bool:
        """Whether to cancel and wait."""
        return self.count >= 1

    def leave(self) -> bool:
        """Whether to wait no longer."""
        return self.count >= 2

    def _heard(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1
        text = "cancelling; again to leave" if self.count == 1 else "leaving"
        print(f"\n{text} ...", file=sys.stderr, flush=True)
