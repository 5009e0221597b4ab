"""Parameters of the executor."""

from __future__ import annotations

from dataclasses import dataclass

from novaflow_core.settings import setting
from novaflow_executor.backends.ros2_control import Ros2ControlSettings
from novaflow_executor.core.approach_settings import ApproachSettings
from novaflow_executor.core.execution import ExecutionLimits
from novaflow_executor.core.grasp_settings import GraspSettings
from novaflow_executor.core.loop_limits import LoopLimits


@dataclass(frozen=True)
class ExecutorSettings(Ros2ControlSettings, GraspSettings, ApproachSettings):
    """Backends, approval, when an execution is given up, and the driver's parameters."""

    robot: str = setting("ros2_control", "backend of the stage robot")
    grasps: str = setting("antipodal", "backend of the stage grasps")
    motion: str = setting("trajopt", "backend of the stage motion")
    approach: str = setting("rrt_connect", "backend of the stage approach")
    robot_file: str = setting(
        "", "YAML of tip, TCP, capsules, gripper and limits; empty: the installed FR3 with a 2F-85"
    )
    speed: float = setting(
        0.5, "share of the velocity and acceleration limits that plans use", low=0.02, high=1.0
    )
    robot_description_timeout_s: float = setting(
        10.0, "how long a goal waits for /robot_description", unit="s", low=0.1, high=120.0
    )
    allow_motion: bool = setting(True, "whether anything may move at all")
    require_approval: bool = setting(
        False, "whether a goal must carry the hash of its approved plan"
    )
    start_tolerance_rad: float = setting(
        0.02, "a plan made from farther away is made again", unit="rad", low=1e-4, high=0.2
    )
    closed_loop: bool = setting(
        True,
        "look and correct while moving, take hold again; false: carry the plan out blindly",
    )
    regrasps: int = setting(2, "how often an object is taken hold of again", low=0, high=10)
    guard_silence_s: float = setting(
        0.4, "longest silence of the guard while the arm moves", unit="s", low=0.15, high=5.0
    )
    rest_rad_s: float = setting(
        0.01, "below this every joint counts as standing still", unit="rad/s", low=1e-4, high=0.1
    )
    stop_timeout_s: float = setting(
        3.0, "how long a stop is waited for", unit="s", low=0.1, high=30.0
    )
    late_s: float = setting(
        3.0, "how much longer than planned a motion may take", unit="s", low=0.1, high=60.0
    )
    gripper_timeout_s: float = setting(
        6.0, "how long the gripper may take", unit="s", low=0.5, high=60.0
    )
    held_opening_m: float = setting(
        0.002, "fingers that close further than this hold nothing", unit="m", low=0.0, high=0.1
    )
    lost_opening_m: float = setting(
        0.004, "fingers that close by more while carrying lost it", unit="m", low=0.0005, high=0.1
    )

    def loop_limits(self) -> LoopLimits:
        """When the closed loop acts."""
        return LoopLimits(regrasps=self.regrasps)

    def limits(self) -> ExecutionLimits:
        """When an execution is given up."""
        return ExecutionLimits(
            rest_rad_s=self.rest_rad_s,
            stop_timeout_s=self.stop_timeout_s,
            late_s=self.late_s,
            gripper_timeout_s=self.gripper_timeout_s,
            held_opening_m=self.held_opening_m,
            lost_opening_m=self.lost_opening_m,
        )
