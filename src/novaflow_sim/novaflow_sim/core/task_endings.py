"""Where a task's target would end, from the simulator's truth: for rendering videos of it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from novaflow_core import se3
from novaflow_core.errors import Code, PlatformError
from novaflow_sim.core import chest, mug_tree, objects, watering
from novaflow_sim.core.filmed_motion import CARRIED, Manner

Float = NDArray[np.float64]

ON_PEG_M = 0.038  # where a mug hangs
_HOLE_M = 0.018  # middle of the handle's hole, from the mug's wall
_ABOVE_M = 0.009  # of the hole's middle: where the peg's axis is when the mug is let go
_ENTERS_M = 0.075  # along the peg, from its tip
_OPEN_M = 0.12
_POUR_RAD = float(np.radians(40.0))
_TIP_ABOVE_M = 0.05
_PALM_ABOVE_M = 0.015


def wanted_end(task: str, poses: Mapping[str, Float]) -> Float:
    """T_base_target (4, 4) when the task is done.

    Args:
        task: Name of a task.
        poses: T_base_object (4, 4) by name, before.

    Raises:
        PlatformError: INVALID_SETTING where videos of this task cannot be rendered.
    """
    try:
        return _END[task](poses)
    except KeyError:
        known = ", ".join(sorted(_END))
        raise PlatformError(
            Code.INVALID_SETTING, f"no videos of {task} can be rendered; only of {known}"
        ) from None


def manner_of(task: str, poses: Mapping[str, Float]) -> Manner:
    """How a hand would bring a task's target to its end."""
    if task == "mug":
        root, tip = se3.apply(poses[objects.TREE.name], mug_tree.peg())
        way = _ENTERS_M * (root - tip) / np.linalg.norm(root - tip)
        return Manner(enters_m=(float(way[0]), float(way[1]), float(way[2])))
    if task == "drawer":
        return Manner(slides=True)
    if task == "plant":
        return Manner(turns_late=True, held=True)
    return CARRIED


def grip_of(task: str, poses: Mapping[str, Float]) -> Float:
    """Palm (3,) from the origin of what moves, base frame, where a hand would take it [m]."""
    if task == "drawer":
        bar = np.array([chest.BAR_X_M, 0.0, chest.BAR_HEIGHT_M + chest.BAR_RADIUS_M])
        palm = se3.apply(poses[objects.CHEST.name], bar) - poses[objects.DRAWER][:3, 3]
        return np.add(palm, [0.0, 0.0, _PALM_ABOVE_M])
    target = objects.TASKS[task].target
    return over(target)


def over(prop: objects.Prop) -> Float:
    """Palm (3,) over a thing, from its origin [m]."""
    return np.array([0.0, 0.0, prop.height_m - prop.rest_height_m + _PALM_ABOVE_M])


def _cup(poses: Mapping[str, Float]) -> Float:
    cup, saucer = poses[objects.CUP.name], poses[objects.SAUCER.name]
    at = saucer[:3, 3] + [0.0, 0.0, objects.SAUCER_WELL_HEIGHT_M]
    return se3.from_rt(cup[:3, :3], at)


def _insert(poses: Mapping[str, Float]) -> Float:
    block, socket = poses[objects.BLOCK.name], poses[objects.SOCKET.name]
    turn = _yaw(socket) - _yaw(block)
    # The block is square: the nearest quarter turn will do.
    turn -= np.pi / 2 * np.round(turn / (np.pi / 2))
    rotation = se3.exp_so3(np.array([0.0, 0.0, turn])) @ block[:3, :3]
    return se3.from_rt(rotation, [*socket[:2, 3], objects.BLOCK_HALF_EXTENTS_M[2]])


def _plant(poses: Mapping[str, Float]) -> Float:
    can, pot = poses[objects.WATERING_CAN.name], poses[objects.PLANT.name]
    rotation = can[:3, :3] @ se3.exp_so3(np.array([0.0, _POUR_RAD, 0.0]))
    tip = pot[:3, 3] + [0.0, 0.0, watering.POT_HEIGHT_M + _TIP_ABOVE_M]
    return se3.from_rt(rotation, tip - rotation @ np.array(watering.SPOUT_TIP_M))


def _mug(poses: Mapping[str, Float]) -> Float:
    mug, tree = poses[objects.MUG.name], poses[objects.TREE.name]
    both = [on_peg(tree, ON_PEG_M, side=side) for side in (1.0, -1.0)]
    return max(both, key=lambda pose: float(np.trace(pose[:3, :3] @ mug[:3, :3].T)))


def _drawer(poses: Mapping[str, Float]) -> Float:
    drawer = poses[objects.DRAWER].copy()
    drawer[:3, 3] += _OPEN_M * poses[objects.CHEST.name][:3, 0]
    return drawer


def on_peg(
    T_base_tree: Float,
    along_m: float,
    *,
    side: float,
    aside_m: float = 0.0,
    raised_m: float = 0.0,
    turn: float = 0.0,
) -> Float:
    """T_base_mug (4, 4), upright, whose hole's plane is `along_m` from the stem on the peg's axis.

    Args:
        T_base_tree: (4, 4).
        along_m: Along the peg's axis.
        side: On which side of the peg the handle's outside is; 1 or -1.
        aside_m: The mug is farther from the peg by so much.
        raised_m: The mug is higher by so much.
        turn: About the hole's upright axis [rad].
    """
    root, tip = se3.apply(T_base_tree, mug_tree.peg())
    way = (tip - root) / np.linalg.norm(tip - root)
    level = np.array([way[0], way[1], 0.0]) / np.linalg.norm(way[:2])
    outward = side * np.cross([0.0, 0.0, 1.0], level)
    rotation = np.stack([outward, np.cross([0.0, 0.0, 1.0], outward), [0.0, 0.0, 1.0]], axis=1)
    rotation = se3.exp_so3(np.array([0.0, 0.0, turn])) @ rotation
    hole = [mug_tree.RADIUS_M + _HOLE_M, 0.0, mug_tree.HANDLE_MIDDLE_M + _ABOVE_M]
    at = root + along_m * way - aside_m * outward + [0.0, 0.0, raised_m]
    return se3.from_rt(rotation, at - rotation @ hole)


def _yaw(T: Float) -> float:
    return float(np.arctan2(T[1, 0], T[0, 0]))


_END = {"cup": _cup, "insert": _insert, "mug": _mug, "drawer": _drawer, "plant": _plant}
