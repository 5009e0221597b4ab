"""Keeps simulated time at the pace of real time, and remembers where it could not."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass
class PaceReport:
    """What the pacer saw since `began_s`.

    Attributes:
        began_s: Monotonic time of the first tick [s].
        ticks: How many ran.
        lost_s: Real time given up because catching up was out of reach [s].
        worst_gap_s: Longest time between two ticks [s].
        late_ticks: Ticks that came more than 30 ms after the one before.
    """

    began_s: float
    ticks: int = 0
    lost_s: float = 0.0
    worst_gap_s: float = 0.0
    late_ticks: int = 0

    def factor(self, period_s: float) -> float:
        """Simulated time over real time."""
        wall = time.monotonic() - self.began_s
        return self.ticks * period_s / wall if wall > 0 else 1.0


class Pacer:
    """Calls `tick` every period in its own thread; after a stall it catches up, within a bound."""

    LATE_S = 0.03
    MAX_BACKLOG_S = 0.2

    def __init__(
        self, tick: Callable[[], None], period_s: float, on_error: Callable[[BaseException], None]
    ) -> None:
        """Prepare; `on_error` hears of an exception in `tick`, which ends the ticking."""
        self._tick, self._period_s, self._on_error = tick, period_s, on_error
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="physics", daemon=True)
        self.report = PaceReport(time.monotonic())

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, after the tick under way."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=2.0)

    def forgive(self) -> None:
        """Start the report anew, e.g. after a reset."""
        self.report = PaceReport(time.monotonic())

    def _run(self) -> None:
        due = last = time.monotonic()
        try:
            while not self._stop.is_set():
                due += self._period_s
                now = time.monotonic()
                if now < due:
                    time.sleep(due - now)
                    now = time.monotonic()
                elif now - due > self.MAX_BACKLOG_S:
                    self.report.lost_s += now - due - self.MAX_BACKLOG_S
                    due = now - self.MAX_BACKLOG_S
                report = self.report
                gap, last = now - last, now
                report.worst_gap_s = max(report.worst_gap_s, gap)
                report.late_ticks += gap > self.LATE_S
                report.ticks += 1
                self._tick()
        except BaseException as error:
            self._on_error(error)
