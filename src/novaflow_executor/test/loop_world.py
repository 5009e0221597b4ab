"""A world for the loop: an arm that goes where it is sent, and an object that it may take along."""

from __future__ import annotations

import numpy as np

from novaflow_core import se3
from novaflow_core.errors import Code, ExecutionError
from novaflow_executor.core.driver import ArmState
from novaflow_executor.core.sight import Sighting

WIDTH_M = 0.04
FRAME_S = 0.1


class World:
    """An arm that is where it is sent, a block that follows closed fingers, a perfect tracker."""

    def __init__(self, robot, q):
        self.robot, self.q, self.time_s = robot, q.copy(), 1.0
        self.opening, self.T_moved, self.grip = 0.085, np.eye(4), None
        self.seen, self.history, self.closings, self.sent = [], [], 0, []
        self.visible, self.blind = True, False
        self.misses, self.hints, self.resists = 0, [], 0
        self.segment, self.events = "", []
        self.moving = False

    def shift(self, metres, turn_deg=0.0, point=(0.5, -0.15, 0.035)):
        """Displace the block; it stays in the fingers when they hold it."""
        at = se3.apply(self.T_moved, np.array(point))
        turn = se3.exp_so3([0, 0, np.radians(turn_deg)])
        self.T_moved = se3.from_rt(turn, at - turn @ at + np.asarray(metres)) @ self.T_moved
        if self.grip is not None:
            self.grip = se3.inverse(self.robot.tcp(self.q)) @ self.T_moved

    def on(self, segment, event):
        """Do something once, half a second into a segment and from now."""
        self.events.append((segment, event, self.time_s))

    def begin(self, segment, _share):
        self.segment, self.since_s = segment.name, self.time_s

    def advance(self, seconds):
        for _ in range(max(1, round(seconds / 0.01))):
            self.time_s += 0.01
            if self.grip is not None:
                self.T_moved = self.robot.tcp(self.q) @ self.grip
            self.history.append((self.time_s, self.q.copy()))
            for item in list(self.events):
                if item[0] == self.segment and self.time_s > max(self.since_s, item[2]) + 0.5:
                    self.events.remove(item)
                    item[1]()
            if round(self.time_s * 100) % round(FRAME_S * 100) == 0 and not self.blind:
                self.seen.append(Sighting(self.time_s, self.T_moved.copy(), self.visible))

    # --- sight ---
    def since(self, time_s):
        return [s for s in self.seen if s.time_s >= time_s]

    def expect(self, time_s, T_moved, carry):
        self.hints.append((time_s, T_moved, carry))

    # --- driver ---
    def state(self):
        return ArmState(self.q.copy(), np.full(len(self.q), 0.5 * self.moving), 0.0)

    def joints_at(self, time_s):
        return next((q for t, q in reversed(self.history) if t <= time_s + 1e-9), None)

    def move(self, trajectory):
        self.sent.append(self.segment)
        return Motion(self, trajectory)

    def move_gripper(self, opening_m, max_force_n):
        if opening_m == 0:
            self.closings += 1
            there = self.closings > self.misses
            self.opening = WIDTH_M if there else 0.0
            self.grip = se3.inverse(self.robot.tcp(self.q)) @ self.T_moved if there else None
        else:
            self.opening, self.grip = opening_m, None
        return Motion(self, None)

    def gripper_opening_m(self):
        return self.opening

    def cancel_all(self):
        self.moving = False


class Motion:
    def __init__(self, world, trajectory):
        self.world, self.trajectory, self.begun_s = world, trajectory, world.time_s
        self.over, self.resisted = False, False
        world.moving = trajectory is not None
        if world.segment == "descend" and world.resists:
            world.resists -= 1
            self.resisted = True

    def wait(self, timeout_s):
        world = self.world
        if self.trajectory is not None and not self.over:
            at = world.time_s + 0.01 - self.begun_s
            world.q = np.array(
                [np.interp(at, self.trajectory.time_s, c) for c in self.trajectory.position.T]
            )
            self.over = at >= self.trajectory.time_s[-1]
        else:
            self.over = True
        world.advance(0.01)
        if self.over:
            world.moving = False
        return self.over

    def check(self):
        """Ended well, unless something was met."""
        if self.resisted:
            raise ExecutionError(Code.CONTROLLER_FAILED, "off the goal", {"error_code": -5})

    def cancel(self):
        self.over, self.world.moving = True, False


class Calm:
    def check(self):
        """Nobody ends it."""

    def explain(self, timeout_s):
        """Nothing to say."""
