"""`cell_node`: a simulated Franka cell that speaks only what real drivers speak.

Three things run here: physics with its controllers in a paced thread, the action servers in an
executor, and the scorer in another DDS domain. The camera is a child process.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import traceback
from dataclasses import replace

import numpy as np
import rclpy
import rclpy.executors
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.node import Node

from novaflow_core import settings as schema
from novaflow_core.errors import NovaflowError
from novaflow_sim.backends.cell import Cell, default_limits
from novaflow_sim.backends.layout import true_camera_pose
from novaflow_sim.backends.scene import TIMESTEP_S
from novaflow_sim.core.calibration import miscalibrated
from novaflow_sim.core.pacing import Pacer
from novaflow_sim.core.robot_model import ARM_JOINTS
from novaflow_sim.core.settings import CellSettings
from novaflow_sim.ros import camera_process
from novaflow_sim.ros.arm_server import ArmServer
from novaflow_sim.ros.gripper_server import GripperServer
from novaflow_sim.ros.robot_topics import RobotTopics
from novaflow_sim.ros.scorer import Scorer

TICK_S = 0.01
STEPS_PER_TICK = round(TICK_S / TIMESTEP_S)
WATCH_PERIOD_S = 0.2


class CellNode(Node):
    """The drivers of arm, gripper and camera in one process and its child."""

    def __init__(self) -> None:
        """Read the parameters, build the cell and begin."""
        super().__init__("cell_node")
        self._settings = self._read_settings()
        s = self._settings
        count = len(ARM_JOINTS)
        limits = replace(
            default_limits(),
            deceleration=np.full(count, s.stop_deceleration),
            path_tolerance=np.full(count, s.path_tolerance),
            goal_tolerance=np.full(count, s.goal_tolerance),
            goal_time_s=s.goal_time_s,
        )
        self._cell = Cell(s.task, s.seed, limits, disturb=s.disturb)
        published = miscalibrated(
            true_camera_pose(self._cell.model),
            s.extrinsic_error_m,
            s.extrinsic_error_deg,
            s.seed if s.calibration_seed < 0 else s.calibration_seed,
        )
        self._topics = RobotTopics(self, published)
        self._arm_server = ArmServer(self, self._cell.arm, lambda: self._cell.time_s)
        self._gripper_server = GripperServer(self, self._cell.gripper, lambda: self._cell.time_s)
        self._failed = threading.Event()
        self._pacer = Pacer(self._tick, TICK_S, self._physics_failed)
        self._camera: subprocess.Popen[bytes] = camera_process.start(self._cell.shared, s)
        self._scorer = Scorer(self._cell, self._pacer, TICK_S, self._scorer_domain())
        self._late_ticks = 0
        self.create_timer(WATCH_PERIOD_S, self._watch)
        self._pacer.start()
        self.get_logger().info(f"cell for task {s.task}, seed {s.seed}, is running")

    @property
    def failed(self) -> bool:
        """Whether physics or the camera ended on their own."""
        return self._failed.is_set()

    def close(self) -> None:
        """Stop the threads and the child."""
        if self._camera.poll() is None:
            self._camera.terminate()
        self._pacer.stop()
        self._scorer.close()
        self._arm_server.destroy()
        self._gripper_server.destroy()
        try:
            self._camera.wait(timeout=2.0)
        except subprocess.TimeoutExpired:
            self._camera.kill()

    def _read_settings(self) -> CellSettings:
        values = {}
        for name, (default, info) in schema.describe(CellSettings).items():
            text = info.description + (f" [{info.unit}]" if info.unit else "")
            descriptor = ParameterDescriptor(description=text, read_only=True)
            # So that 15 is as good as 15.0; the schema checks the type.
            descriptor.dynamic_typing = isinstance(default, float)
            values[name] = self.declare_parameter(name, default, descriptor).value
        return schema.build(CellSettings, values)

    def _scorer_domain(self) -> int:
        if self._settings.scorer_domain >= 0:
            return self._settings.scorer_domain
        own = self.context.get_domain_id()
        return int(os.environ.get("NOVAFLOW_SCORER_DOMAIN") or own + 1)

    def _tick(self) -> None:
        self._topics.publish(self._cell.advance(STEPS_PER_TICK))

    def _physics_failed(self, error: BaseException) -> None:
        # Publishing into a context that is being shut down raises: that is no failure.
        if self.context.ok():
            text = "".join(traceback.format_exception(error))
            self.get_logger().fatal(f"physics ended:\n{text}")
            self._failed.set()

    def _watch(self) -> None:
        """Log stalls, which catching up would hide, and end when a part of the cell has ended."""
        report = self._pacer.report
        if report.late_ticks < self._late_ticks:
            self._late_ticks = 0
        if report.late_ticks > self._late_ticks:
            self._late_ticks = report.late_ticks
            self.get_logger().warning(
                f"{report.late_ticks} late ticks so far, the worst after "
                f"{report.worst_gap_s * 1e3:.0f} ms; {report.lost_s:.2f} s lost",
                throttle_duration_sec=10.0,
            )
        if self._camera.poll() is not None:
            self.get_logger().fatal(f"the camera process ended with {self._camera.returncode}")
            self._failed.set()
        if self._failed.is_set():
            rclpy.try_shutdown(context=self.context)


def main() -> None:
    """Run until SIGINT or SIGTERM; exit status 1 where the cell could not start or broke."""
    # The physics thread must not wait the default 5 ms for the interpreter behind a busy callback.
    sys.setswitchinterval(0.001)
    rclpy.init()
    signal.signal(signal.SIGTERM, lambda *_: rclpy.try_shutdown())
    status = 0
    node = None
    try:
        node = CellNode()
        executor = rclpy.executors.MultiThreadedExecutor(num_threads=6)
        executor.add_node(node)
        executor.spin()
    except (KeyboardInterrupt, rclpy.executors.ExternalShutdownException):
        pass
    except NovaflowError as error:
        print(f"cell_node: {error}", file=sys.stderr)
        status = 1
    if node is not None:
        status = max(status, int(node.failed))
        node.close()
        node.destroy_node()
    rclpy.try_shutdown()
    sys.exit(status)


if __name__ == "__main__":
    main()
