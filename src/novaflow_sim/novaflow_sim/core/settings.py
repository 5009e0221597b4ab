"""Parameters of the cell."""

from __future__ import annotations

from dataclasses import dataclass

from novaflow_core.settings import setting
from novaflow_sim.core.disturbance import KINDS, NONE


@dataclass(frozen=True)
class CellSettings:
    """All that a user may set; names are those of the ROS parameters."""

    task: str = setting(
        "cup", "Which objects are on the table.", choices=("cup", "insert", "mug", "plant")
    )
    seed: int = setting(1000, "Decides placements and looks.", low=0)
    disturb: str = setting(
        NONE, "What goes wrong on purpose while the arm moves, for benchmarks.", choices=KINDS
    )
    scorer_domain: int = setting(
        -1,
        "DDS domain of the scorer; -1 takes NOVAFLOW_SCORER_DOMAIN, else the product's plus one.",
        low=-1,
        high=232,
    )
    image_width: int = setting(1280, "Colour and depth.", unit="px", low=160, high=1920)
    image_height: int = setting(720, "Colour and depth.", unit="px", low=120, high=1080)
    image_rate_hz: float = setting(10.0, "Both images.", unit="Hz", low=0.5, high=60.0)
    colour_noise: float = setting(1.5, "Standard deviation of grey levels.", low=0.0, high=20.0)
    depth_noise_m: float = setting(
        0.002, "Deviation at 0.7 m; it grows with depth squared.", unit="m", low=0.0, high=0.1
    )
    depth_edge_hole_rate: float = setting(
        0.6, "Share of missing depth along edges.", low=0.0, high=1.0
    )
    depth_misregistration_px: int = setting(
        1, "Slip of depth against colour, right and down.", unit="px", low=0, high=8
    )
    extrinsic_error_m: float = setting(
        0.003, "Of the published camera pose, in a seeded direction.", unit="m", low=0.0, high=0.2
    )
    extrinsic_error_deg: float = setting(
        0.3, "Of the published camera pose, about a seeded axis.", unit="deg", low=0.0, high=20.0
    )
    calibration_seed: int = setting(
        -1, "Direction of the extrinsic error; -1 takes the seed at start.", low=-1
    )
    stop_deceleration: float = setting(
        10.0, "Of every joint on a cancel.", unit="rad/s2", low=0.5, high=20.0
    )
    path_tolerance: float = setting(
        0.2, "Distance from the trajectory that aborts a goal; 0 for none.", unit="rad", low=0.0
    )
    goal_tolerance: float = setting(0.01, "At the trajectory's end.", unit="rad", low=0.0)
    goal_time_s: float = setting(
        2.0, "How long after its end the goal may take; 0 for ever.", unit="s", low=0.0
    )
