"""Where a task's target would end, from the simulator's truth: for rendering videos of it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from novaflow_core import se3
from novaflow_core.errors import Code, PlatformError
from novaflow_sim.core import objects

Float = NDArray[np.float64]


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


def _yaw(T: Float) -> float:
    return float(np.arctan2(T[1, 0], T[0, 0]))


_END = {"cup": _cup, "insert": _insert}
