"""Sizes of the cell's objects [m] and their looks, for scene building, placement and scoring."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from novaflow_core.errors import Code, PlatformError
from novaflow_sim.core import chest, mug_tree, watering
from novaflow_sim.core.disturbance import KINDS, NONE
from novaflow_sim.core.vessel import Vessel

MUG_RADIUS_M = 0.040
MUG_HEIGHT_M = 0.095
MUG_WALL_M = 0.004
MUG_FOOT_RADIUS_M = 0.036
CUP_VESSEL = Vessel(MUG_RADIUS_M, MUG_HEIGHT_M, MUG_WALL_M, MUG_FOOT_RADIUS_M)
HANDLE_TUBE_RADIUS_M = 0.0055
HANDLE_REACH_M = 0.036
HANDLE_HALF_HEIGHT_M = 0.028

SAUCER_RADIUS_M = 0.080
SAUCER_WELL_RADIUS_M = 0.056
SAUCER_WELL_HEIGHT_M = 0.005
SAUCER_RIM_HEIGHT_M = 0.016

BLOCK_HALF_EXTENTS_M = (0.020, 0.020, 0.035)
SOCKET_CLEARANCE_M = 0.003
SOCKET_WALL_M = 0.022
SOCKET_HEIGHT_M = 0.050


@dataclass(frozen=True)
class Prop:
    """An object that stands on the table.

    Attributes:
        name: Body name in the simulation.
        radius_m: Radius of a circle around the body's origin that holds it, seen from above.
        height_m: Its height.
        rest_height_m: Height of the body's origin above the table at rest.
        yaw_range_rad: Yaw is drawn uniformly from minus to plus this.
        fixed: Bolted to the table.
        off_camera_rad: How far its x axis may point aside of the camera, to either side, seen from
            above; None where `yaw_range_rad` decides.
        reach_m: Distances from the arm's base between which it is placed.
    """

    name: str
    radius_m: float
    height_m: float
    rest_height_m: float = 0.0
    yaw_range_rad: float = np.pi
    fixed: bool = False
    off_camera_rad: tuple[float, float] | None = None
    # Between these distances from the base's axis the arm reaches the table from above.
    reach_m: tuple[float, float] = (0.40, 0.62)


CUP = Prop("cup", 0.078, MUG_HEIGHT_M)
SAUCER = Prop("saucer", SAUCER_RADIUS_M, SAUCER_RIM_HEIGHT_M)
BLOCK = Prop(
    "yellow_block", 0.0285, 2 * BLOCK_HALF_EXTENTS_M[2], BLOCK_HALF_EXTENTS_M[2], np.pi / 4
)
SOCKET = Prop("socket", 0.066, SOCKET_HEIGHT_M, 0.0, np.pi / 4, fixed=True)
# The spout is seen beside the body.
WATERING_CAN = Prop("watering_can", watering.CAN_REACH_M, 0.089, off_camera_rad=(0.35, 2.0))
PLANT = Prop("plant", watering.PLANT_RADIUS_M, watering.PLANT_HEIGHT_M)
CAN = Prop("green_can", 0.033, 0.100)
CARTON = Prop("blue_carton", 0.060, 0.045, 0.0225)
CUBE = Prop("red_cube", 0.032, 0.045, 0.0225)
# The hole in the handle is seen, and the peg from its side.
MUG = Prop("mug", 0.085, mug_tree.HEIGHT_M, off_camera_rad=(0.6, 1.0))
TREE = Prop(
    "mug_tree",
    0.075,
    mug_tree.STEM_HEIGHT_M,
    fixed=True,
    off_camera_rad=(np.pi / 2 - 0.2, np.pi / 2 + 0.2),
)
CHEST = Prop("chest", chest.RADIUS_M, chest.HEIGHT_M, 0.0, chest.MAX_YAW_RAD, reach_m=chest.REACH_M)
DRAWER = "drawer"  # a part of the chest, on a joint of the same name


@dataclass(frozen=True)
class TaskObjects:
    """Who plays in a task.

    Attributes:
        stream: Number of the task's random layouts; it never changes, so seeds stay what they are.
        instruction: The sentence.
        target: What moves.
        reference: Where it goes; None when it goes nowhere.
        distractors: What else is there.
        part: Name of the body that moves where only a part of the target does; "" otherwise.
        ends_held: The gripper still holds the target when the task is done.
    """

    stream: int
    instruction: str
    target: Prop
    reference: Prop | None
    distractors: tuple[Prop, ...]
    part: str = ""
    ends_held: bool = False

    @property
    def props(self) -> tuple[Prop, ...]:
        """All objects, target first."""
        reference = () if self.reference is None else (self.reference,)
        return (self.target, *reference, *self.distractors)

    @property
    def moves(self) -> str:
        """Name of the body that the task moves."""
        return self.part or self.target.name

    @property
    def obstacle(self) -> Prop:
        """What stands in the way when something is to stand there: the tallest distractor."""
        return max(self.distractors, key=lambda prop: prop.height_m)


TASKS = {
    "cup": TaskObjects(0, "put the cup on the saucer", CUP, SAUCER, (CAN, CARTON)),
    "insert": TaskObjects(1, "insert the yellow block into the socket", BLOCK, SOCKET, (CAN, CUBE)),
    "mug": TaskObjects(4, "hang the mug on the tree", MUG, TREE, (CAN, CARTON)),
    "drawer": TaskObjects(6, "open the drawer", CHEST, None, (CAN, CUBE), part=DRAWER),
    "plant": TaskObjects(5, "water the plant", WATERING_CAN, PLANT, (CAN, CUBE), ends_held=True),
}

DISTURBANCES = {
    "cup": KINDS,
    "insert": KINDS,
    "mug": KINDS,
    "plant": KINDS,
    "drawer": (NONE,),
}


def refuse_disturbance(task: str, kind: str) -> None:
    """Say when a task knows no such disturbance.

    Raises:
        PlatformError: INVALID_SETTING.
    """
    known = DISTURBANCES.get(task, (NONE,))
    if kind not in known:
        raise PlatformError(
            Code.INVALID_SETTING,
            f"task {task} cannot be disturbed by '{kind}'; it knows {', '.join(known)}",
        )


CUP_LOOKS = ("cup_red", "cup_blue", "cup_green")
SAUCER_LOOKS = ("saucer_white", "saucer_cream")


def mug_handle(points: int) -> NDArray[np.float64]:
    """Centre line (P, 3) [m] of the handle, which lies towards +x."""
    a = np.linspace(-np.pi / 2, np.pi / 2, points)
    x = MUG_RADIUS_M - 0.003 + HANDLE_REACH_M * np.cos(a)
    z = MUG_HEIGHT_M / 2 + HANDLE_HALF_HEIGHT_M * np.sin(a)
    return np.stack([x, np.zeros(points), z], axis=1)


def saucer_profile() -> NDArray[np.float64]:
    """Radius and height (P, 2) [m] of the saucer."""
    w, r = SAUCER_WELL_RADIUS_M, SAUCER_RADIUS_M
    return np.array(
        [
            [0.0, 0.0],
            [0.042, 0.0],
            [w, 0.0015],
            [r - 0.002, 0.0130],
            [r, 0.0150],
            [r - 0.002, SAUCER_RIM_HEIGHT_M],
            [w + 0.004, 0.0062],
            [w, SAUCER_WELL_HEIGHT_M],
            [0.0, SAUCER_WELL_HEIGHT_M],
        ]
    )
