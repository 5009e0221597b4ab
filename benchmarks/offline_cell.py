"""The simulated cell without a graph: robot driver, camera and physics in one process.

Time goes on only where somebody waits, so an episode runs as fast as the machine allows and every
run of a seed is the same. What the product sees is what the graph shows it: noisy images, a
miscalibrated camera, encoders.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import mujoco
import numpy as np
from cell_views import captured_view
from numpy.typing import NDArray

from novaflow_core.errors import Code, ExecutionError
from novaflow_core.scene import Scene
from novaflow_executor.core.driver import ArmState, JawTable
from novaflow_executor.core.plan import JointTrajectory
from novaflow_sim.backends.cell import Cell
from novaflow_sim.backends.layout import apply_looks, layout_of, true_camera_pose
from novaflow_sim.backends.rendering import Renderer
from novaflow_sim.backends.scene import TIMESTEP_S
from novaflow_sim.core import objects, robot_model
from novaflow_sim.core.arm_controller import Outcome
from novaflow_sim.core.calibration import miscalibrated
from novaflow_sim.core.depth_sensor import ColourSensor, DepthNoise, DepthSensor
from novaflow_sim.core.disturbance import NONE
from novaflow_sim.core.joint_path import JointPath
from novaflow_sim.core.settings import CellSettings

Float = NDArray[np.float64]
Frame = Callable[[NDArray[np.uint8], NDArray[np.uint16], float], None]

_TICK_S = 0.01
_JAWS = JawTable((0.0, 0.2, 0.4, 0.6, 0.7929), (0.0850, 0.0664, 0.0455, 0.0232, 0.0))
_HISTORY = 400


class OfflineCell:
    """A cell with its camera; implements the executor's `RobotDriver`.

    Attributes:
        on_frame: Told of every camera frame: colour, depth [mm] and its time [s].
    """

    def __init__(
        self, task: str, seed: int, *, image_hz: float = 10.0, disturb: str = NONE
    ) -> None:
        """Build the cell, its renderer and its sensors."""
        s = self.settings = CellSettings(task=task, seed=seed)
        self.task, self.seed = task, seed
        self.cell = Cell(task, seed, disturb=disturb)
        apply_looks(self.cell.model, layout_of(self.cell.model, task, seed))
        size = s.image_width, s.image_height
        self._renderer = Renderer(self.cell.model, *size)
        noise = DepthNoise(
            sigma_m=s.depth_noise_m,
            edge_hole_rate=s.depth_edge_hole_rate,
            misregistration_px=s.depth_misregistration_px,
        )
        self._depth_sensor = DepthSensor(noise, *size, seed=seed)
        self._colour_sensor = ColourSensor(s.colour_noise, *size, seed=seed)
        actual = true_camera_pose(self.cell.model)
        self.published = miscalibrated(actual, s.extrinsic_error_m, s.extrinsic_error_deg, seed)
        self.camera_error = self.published @ np.linalg.inv(actual)  # p_seen = camera_error @ p
        self.on_frame: Frame | None = None
        self._period_s, self._due_s = 1.0 / image_hz, 0.0
        self._joints: deque[tuple[float, Float]] = deque(maxlen=_HISTORY)
        self._reading = self.cell.advance(1)

    def close(self) -> None:
        """Free the renderer."""
        self._renderer.close()

    # --- time ---
    @property
    def time_s(self) -> float:
        """Simulated time [s]."""
        return self.cell.time_s

    def advance(self, duration_s: float) -> None:
        """Let physics and camera go on."""
        for _ in range(max(1, round(duration_s / _TICK_S))):
            self._reading = self.cell.advance(round(_TICK_S / TIMESTEP_S))
            self._joints.append((self.time_s, self._reading.position[:-1].copy()))
            if self.on_frame is not None and self.time_s >= self._due_s:
                self._due_s = self.time_s + self._period_s - 1e-6
                colour, depth = self._rendered()
                self.on_frame(
                    self._colour_sensor.measure(colour),
                    self._depth_sensor.measure(depth),
                    self.time_s,
                )

    def capture(self, name: str) -> Scene:
        """What perception_node captures now."""
        colour, depth = self._rendered()
        view = captured_view(
            colour,
            depth,
            self._colour_sensor,
            self._depth_sensor,
            self.published,
            int(self.time_s * 1e9),
        )
        return Scene(name, robot_model.BASE_FRAME, (view,))

    def _rendered(self) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        model, data = self.cell.model, self.cell.data
        mujoco.mj_kinematics(model, data)
        mujoco.mj_camlight(model, data)
        return self._renderer.render(data)

    # --- truth, for measuring only ---
    def target_pose(self) -> Float:
        """T_base_target (4, 4), as it is."""
        return self.cell.truth().poses[objects.TASKS[self.task].moves]

    # --- RobotDriver ---
    def state(self) -> ArmState:
        """Where the arm is."""
        return ArmState(self._reading.position[:-1], self._reading.velocity[:-1], 0.0)

    def joints_at(self, time_s: float) -> Float | None:
        """Joints (7,) [rad] at a time, or None where none are known."""
        if not self._joints or not self._joints[0][0] <= time_s <= self._joints[-1][0] + 0.05:
            return None
        times = np.array([t for t, _ in self._joints])
        q = np.stack([q for _, q in self._joints])
        return np.array([np.interp(time_s, times, column) for column in q.T])

    def move(self, trajectory: JointTrajectory) -> _ArmMotion:
        """Send a trajectory."""
        path = JointPath(
            trajectory.time_s, trajectory.position, trajectory.velocity, trajectory.acceleration
        )
        return _ArmMotion(self, self.cell.arm.follow(path, self.time_s))

    def move_gripper(self, opening_m: float, max_force_n: float) -> _GripperMotion:
        """Open or close the gripper."""
        goal = self.cell.gripper.close_to(_JAWS.position(opening_m), max_force_n, self.time_s)
        return _GripperMotion(self, goal)

    def gripper_opening_m(self) -> float:
        """Distance between the pads [m]."""
        return _JAWS.opening_m(float(self._reading.position[-1]))

    def cancel_all(self) -> None:
        """Nobody else moves this arm."""


class _Motion:
    """A goal of a controller; waiting for it lets time go on."""

    def __init__(self, cell: OfflineCell, goal: Any) -> None:
        self._cell, self._goal = cell, goal

    def wait(self, timeout_s: float) -> bool:
        if not self._goal.done.is_set():
            self._cell.advance(timeout_s)
        return bool(self._goal.done.is_set())


class _ArmMotion(_Motion):
    def check(self) -> None:
        if self._goal.outcome != Outcome.SUCCEEDED:
            evidence = {"error_code": int(self._goal.outcome)}
            raise ExecutionError(Code.CONTROLLER_FAILED, self._goal.reason, evidence)

    def cancel(self) -> None:
        self._cell.cell.arm.cancel(self._goal)
        self._cell.advance(_TICK_S)  # a stop is waited for by looking at the joints


class _GripperMotion(_Motion):
    def check(self) -> None:
        """Reached and stalled are both fine."""

    def cancel(self) -> None:
        self._cell.cell.gripper.cancel(self._goal)
