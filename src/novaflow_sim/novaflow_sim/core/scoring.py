"""What counts as success, from the simulator's truth."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from novaflow_core.se3 import inverse
from novaflow_sim.core import mug_tree, objects, watering

MAX_TILT_DEG = 10.0
MAX_SPEED_M_S = 0.01
# Foot of the cup within the saucer's well, or at most a little up the slope around it.
MAX_CUP_OFFSET_M = objects.SAUCER_WELL_RADIUS_M + 0.005 - objects.MUG_FOOT_RADIUS_M
MIN_INSERTION_M = 0.015
MIN_PEG_BEYOND_M = 0.010  # of the handle's middle plane
MIN_OPENED_M = 0.080
MAX_SHOVED_M = 0.015
MAX_SHOVED_DEG = 6.0
GRIPPER = "gripper"
TABLE = "table"


@dataclass(frozen=True)
class Truth:
    """State of the objects.

    Attributes:
        poses: T_base_object (4, 4) by object name.
        speeds: Linear speed [m/s] by object name.
        contacts: Touching pairs of names; the gripper's parts are "gripper", the arm's "arm".
        placed: T_base_object (4, 4) by object name, where they were put at the beginning.
        held_still_s: How long the gripper has held the target without moving it [s].
    """

    poses: Mapping[str, NDArray[np.float64]]
    speeds: Mapping[str, float]
    contacts: Set[frozenset[str]]
    placed: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    held_still_s: float = 0.0

    def touch(self, a: str, b: str) -> bool:
        """Whether two things touch."""
        return frozenset((a, b)) in self.contacts


@dataclass(frozen=True)
class Score:
    """Verdict of the scorer.

    Attributes:
        success: All conditions hold.
        failed: Conditions that do not.
        numbers: What was measured, with units in the names.
    """

    success: bool
    failed: tuple[str, ...]
    numbers: dict[str, float]


def tilt_deg(T_base_object: NDArray[np.float64]) -> float:
    """Angle [deg] between the object's z axis and up."""
    return float(np.degrees(np.arccos(np.clip(T_base_object[2, 2], -1.0, 1.0))))


def score(task: str, truth: Truth) -> Score:
    """Judge a task."""
    judges = {
        "cup": _score_cup,
        "insert": _score_insert,
        "mug": _score_mug,
        "drawer": _score_drawer,
        "plant": _score_plant,
    }
    return judges[task](truth)


def _score_cup(truth: Truth) -> Score:
    cup, saucer = objects.CUP.name, objects.SAUCER.name
    T_saucer_cup = inverse(truth.poses[saucer]) @ truth.poses[cup]
    offset = float(np.hypot(*T_saucer_cup[:2, 3]))
    numbers = {
        "offset_m": offset,
        "height_above_saucer_m": float(T_saucer_cup[2, 3]),
        "tilt_deg": tilt_deg(truth.poses[cup]),
        "speed_m_s": truth.speeds[cup],
        "held": float(truth.touch(cup, GRIPPER)),
    }
    return _judge(
        numbers,
        {
            "the cup's foot is outside the saucer's well": offset > MAX_CUP_OFFSET_M,
            "the cup does not rest on the saucer": not truth.touch(cup, saucer),
            "the cup touches the table": truth.touch(cup, TABLE),
            **_free_and_still(numbers),
        },
    )


def _score_insert(truth: Truth) -> Score:
    block, socket = objects.BLOCK.name, objects.SOCKET.name
    T_socket_block = inverse(truth.poses[socket]) @ truth.poses[block]
    half = np.array(objects.BLOCK_HALF_EXTENTS_M)
    signs = np.array(np.meshgrid([-1, 1], [-1, 1], [-1, 1])).reshape(3, -1).T
    corners = (signs * half) @ T_socket_block[:3, :3].T + T_socket_block[:3, 3]
    depth = objects.SOCKET_HEIGHT_M - float(corners[:, 2].min())
    offset = np.abs(T_socket_block[:2, 3])
    # Along the block's axis nearest to up, so that a block put in upside down also counts.
    tilt = tilt_deg(truth.poses[block])
    numbers = {
        "offset_m": float(np.hypot(*offset)),
        "inserted_m": depth,
        "tilt_deg": min(tilt, 180.0 - tilt),
        "speed_m_s": truth.speeds[block],
        "held": float(truth.touch(block, GRIPPER)),
    }
    return _judge(
        numbers,
        {
            "the block is not above the hole": bool(
                (offset > objects.SOCKET_CLEARANCE_M + 0.001).any()
            ),
            "the block is not 15 mm below the rim": depth < MIN_INSERTION_M,
            **_free_and_still(numbers),
        },
    )


def _score_mug(truth: Truth) -> Score:
    mug, tree = objects.MUG.name, objects.TREE.name
    threaded, beyond = mug_tree.threaded(inverse(truth.poses[mug]) @ truth.poses[tree])
    numbers = {
        "threaded": float(threaded),
        "peg_beyond_m": beyond,
        "tilt_deg": tilt_deg(truth.poses[mug]),  # what hangs may lean
        "speed_m_s": truth.speeds[mug],
        "held": float(truth.touch(mug, GRIPPER)),
    }
    return _judge(
        numbers,
        {
            "the peg does not go through the handle": not threaded or beyond < MIN_PEG_BEYOND_M,
            "the mug does not touch the tree": not truth.touch(mug, tree),
            "the mug touches the table": truth.touch(mug, TABLE),
            **_left_alone(numbers),
        },
    )


def _score_drawer(truth: Truth) -> Score:
    body, drawer = truth.poses[objects.CHEST.name], truth.poses[objects.DRAWER]
    before = truth.placed[objects.CHEST.name]
    shoved = inverse(before) @ body
    turned = float(np.degrees(np.arctan2(shoved[1, 0], shoved[0, 0])))
    numbers = {
        "opened_m": float((inverse(body) @ drawer)[0, 3]),
        "shoved_m": float(np.linalg.norm(shoved[:3, 3])),
        "shoved_deg": abs(turned),
        "tilt_deg": tilt_deg(body),
        "speed_m_s": truth.speeds[objects.DRAWER],
        "held": float(truth.touch(objects.DRAWER, GRIPPER)),
    }
    far = 1e3 * MIN_OPENED_M
    return _judge(
        numbers,
        {
            f"the drawer is not {far:.0f} mm open": numbers["opened_m"] < MIN_OPENED_M,
            "the chest was shoved": numbers["shoved_m"] > MAX_SHOVED_M
            or numbers["shoved_deg"] > MAX_SHOVED_DEG,
            **_free_and_still(numbers),
        },
    )


def _score_plant(truth: Truth) -> Score:
    can, pot = objects.WATERING_CAN.name, objects.PLANT.name
    aside, above = watering.tip_over_pot(truth.poses[can], truth.poses[pot])
    numbers = {
        "tip_from_axis_m": aside,
        "tip_above_rim_m": above,
        "pour_deg": watering.pour_deg(truth.poses[can]),
        "held_still_s": truth.held_still_s,
        "pot_tilt_deg": tilt_deg(truth.poses[pot]),
    }
    return _judge(
        numbers,
        {
            "the spout's tip is not over the pot": aside > watering.POT_OPENING_RADIUS_M,
            "the spout's tip is below the rim": above < 0.0,
            "the spout's tip is high above the rim": above > watering.MAX_POUR_HEIGHT_M,
            "the can is not tilted spout down": numbers["pour_deg"] < watering.MIN_POUR_DEG,
            "the gripper does not hold it still": truth.held_still_s < watering.MIN_STILL_S,
            "the can touches the table": truth.touch(can, TABLE),
            "the pot is pushed over": numbers["pot_tilt_deg"] > MAX_TILT_DEG,
        },
    )


def _free_and_still(numbers: Mapping[str, float]) -> dict[str, bool]:
    return {"it is tilted": numbers["tilt_deg"] > MAX_TILT_DEG, **_left_alone(numbers)}


def _left_alone(numbers: Mapping[str, float]) -> dict[str, bool]:
    return {
        "it moves": numbers["speed_m_s"] > MAX_SPEED_M_S,
        "the gripper touches it": numbers["held"] > 0,
    }


def _judge(numbers: dict[str, float], failures: Mapping[str, bool]) -> Score:
    failed = tuple(text for text, holds in failures.items() if holds)
    return Score(not failed, failed, numbers)
