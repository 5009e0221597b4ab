"""Parameters of the stage `approach`."""

from __future__ import annotations

from dataclasses import dataclass

from novaflow_core.settings import setting


@dataclass(frozen=True)
class ApproachSettings:
    """Of the backend `moveit`; see each field's description."""

    moveit_robot: str = setting("fr3", "name of the robot in the MoveIt configuration")
    moveit_config: str = setting(
        "franka_fr3_moveit_config", "package that holds the MoveIt configuration of the cell"
    )
    moveit_cpp_file: str = setting(
        "",
        "its parameters of MoveItCpp, e.g. config/moveit_cpp.yaml; empty: made from those here",
    )
    moveit_group: str = setting("fr3_arm", "planning group; it moves exactly the arm's joints")
    moveit_pipeline: str = setting("ompl", "planning pipeline")
    moveit_planner: str = setting("", "planner of that pipeline; empty: its default")
    moveit_time_s: float = setting(
        3.0, "longest time for one motion", unit="s", low=0.05, high=120.0
    )
    moveit_attempts: int = setting(4, "plans that are made, the shortest is taken", low=1, high=64)
