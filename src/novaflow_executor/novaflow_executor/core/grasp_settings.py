"""Parameters of the stage `grasps`."""

from __future__ import annotations

from dataclasses import dataclass

from novaflow_core.settings import setting


@dataclass(frozen=True)
class GraspSettings:
    """Of the backends that need any; see each field's description."""

    graspgen_url: str = setting("tcp://localhost:5556", "GraspGen's ZMQ server")
    graspgen_timeout_s: float = setting(
        10.0, "longest time for one answer", unit="s", low=0.05, high=300.0
    )
    graspgen_grasps: int = setting(200, "grasps that are asked for", low=1, high=10000)
    graspgen_depth_m: float = setting(
        0.1053,
        "from the base of the gripper that the server's checkpoint knows to its fingertips; "
        "the default is a Franka hand's",
        unit="m",
        low=0.0,
        high=0.5,
    )
