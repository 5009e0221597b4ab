"""What the guard thinks: who must be alive while the arm moves, and when to stop it.

No ROS, no NumPy. All times are seconds of one steady clock that the caller reads: wall time that
jumps must not stop or free the arm.
"""

from __future__ import annotations

from dataclasses import dataclass

from novaflow_core.errors import Code, PlatformError


@dataclass(frozen=True)
class GuardLimits:
    """How long silence may last.

    Attributes:
        heartbeat_s: Longest silence of a watched process [s].
        joint_state_s: Longest silence of the robot's state [s].
        own_gap_s: Longest time between two checks; more: the guard itself stood still [s].
    """

    heartbeat_s: float = 0.5
    joint_state_s: float = 0.3
    own_gap_s: float = 0.6


@dataclass(frozen=True)
class Trip:
    """Why the guard stopped the arm.

    Attributes:
        code: PROCESS_LOST or NO_ROBOT_STATE.
        culprit: Process or signal, e.g. "tracker_node (pid 4711)".
        reason: A sentence with numbers.
    """

    code: Code
    culprit: str
    reason: str


@dataclass
class _Process:
    pid: int
    active: bool
    seen_s: float


class Watchdog:
    """Watches processes and the robot's state while armed; a trip lasts until the next arming.

    Attributes:
        armed: Whether it watches.
        trip: Why it stopped the arm, if it did.
        longest_s: Longest silence since the last arming [s], by node or signal.
    """

    def __init__(self, name: str, watch: tuple[str, ...], limits: GuardLimits) -> None:
        """Watch nothing yet.

        Args:
            name: The guard's own name, with its pid, for the case that it stood still itself.
            watch: Names of the nodes that must be alive while the arm moves.
            limits: How long silence may last.
        """
        self._name = name
        self._watch = watch
        self._limits = limits
        self._processes: dict[str, _Process] = {}
        self._pids: dict[str, int] = {}
        self._joint_state_s: float | None = None
        self._checked_s: float | None = None
        self.armed = False
        self.trip: Trip | None = None
        self.longest_s: dict[str, float] = {}

    def heartbeat(self, node: str, pid: int, active: bool, now_s: float) -> None:
        """Take note of a sign of life."""
        self._processes[node] = _Process(pid, active, now_s)

    def joint_state(self, now_s: float) -> None:
        """Take note of a robot state."""
        self._joint_state_s = now_s

    def arm(self, now_s: float) -> None:
        """Begin to watch; the last trip is forgotten.

        Raises:
            PlatformError: PROCESS_LOST or NO_ROBOT_STATE, naming all that is missing.
        """
        missing = [reason for name in self._watch if (reason := self._silence(name, now_s))]
        if missing:
            raise PlatformError(Code.PROCESS_LOST, f"not armed: {'; '.join(missing)}")
        if reason := self._robot_silence(now_s):
            raise PlatformError(Code.NO_ROBOT_STATE, f"not armed: {reason}")
        self._pids = {name: self._processes[name].pid for name in self._watch}
        self.trip = None
        self.longest_s = {}
        self.armed = True

    def disarm(self) -> None:
        """Stop watching; a trip stays latched."""
        self.armed = False

    def check(self, now_s: float) -> Trip | None:
        """Look at everything once; call it many times a second.

        Returns:
            The trip when this very check tripped, otherwise None.
        """
        gap_s = 0.0 if self._checked_s is None else now_s - self._checked_s
        self._checked_s = now_s
        if not self.armed or self.trip is not None:
            return None
        self._remember(gap_s, now_s)
        self.trip = self._find_trip(gap_s, now_s)
        return self.trip

    def frozen(self, silent_s: float, now_s: float) -> list[tuple[str, int]]:
        """Watched processes (name, pid) that were heard once and are silent for longer."""
        return [
            (name, process.pid)
            for name in self._watch
            if (process := self._processes.get(name)) and now_s - process.seen_s > silent_s
        ]

    def silences(self) -> str:
        """Longest silences since the last arming, the worst first: how near the limits came."""
        worst = sorted(self.longest_s.items(), key=lambda item: -item[1])
        return ", ".join(f"{name} {seconds:.2f} s" for name, seconds in worst)

    def _remember(self, gap_s: float, now_s: float) -> None:
        ages = {name: now_s - self._processes[name].seen_s for name in self._watch}
        if self._joint_state_s is not None:
            ages["joint states"] = now_s - self._joint_state_s
        ages["the guard itself"] = gap_s
        for name, age_s in ages.items():
            self.longest_s[name] = max(self.longest_s.get(name, 0.0), age_s)

    def _find_trip(self, gap_s: float, now_s: float) -> Trip | None:
        if gap_s > self._limits.own_gap_s:
            reason = f"the guard itself stood still for {gap_s:.2f} s"
            return Trip(Code.PROCESS_LOST, self._name, reason)
        for name in self._watch:
            if reason := self._silence(name, now_s):
                culprit = f"{name} (pid {self._pids[name]})"
                return Trip(Code.PROCESS_LOST, culprit, f"{reason} while the arm was moving")
            pid = self._processes[name].pid
            if pid != self._pids[name]:
                culprit = f"{name} (pid {self._pids[name]})"
                reason = f"{name} was replaced by pid {pid} while the arm was moving"
                return Trip(Code.PROCESS_LOST, culprit, reason)
        if reason := self._robot_silence(now_s):
            return Trip(Code.NO_ROBOT_STATE, "/joint_states", f"{reason} while the arm was moving")
        return None

    def _silence(self, name: str, now_s: float) -> str:
        """Return a sentence when a node is not there, silent or not active; otherwise ""."""
        process = self._processes.get(name)
        if process is None:
            return f"{name} was never heard"
        age_s = now_s - process.seen_s
        if age_s > self._limits.heartbeat_s:
            return (
                f"{name} (pid {process.pid}) fell silent {age_s:.2f} s ago, "
                f"the limit is {self._limits.heartbeat_s:.2f} s"
            )
        if not process.active:
            return f"{name} (pid {process.pid}) is not active"
        return ""

    def _robot_silence(self, now_s: float) -> str:
        if self._joint_state_s is None:
            return "no joint state was ever heard"
        age_s = now_s - self._joint_state_s
        if age_s > self._limits.joint_state_s:
            limit_s = self._limits.joint_state_s
            return f"the last joint state is {age_s:.2f} s old, the limit is {limit_s:.2f} s"
        return ""
