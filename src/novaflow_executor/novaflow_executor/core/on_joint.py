"""Executing a flow on a joint: what is pulled stays on its joint, wherever the arm finds it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from novaflow_core import se3
from novaflow_core.errors import PerceptionError
from novaflow_core.flow import MotionKind, ObjectFlow
from novaflow_core.front import find_front
from novaflow_core.joint import JointFit, fit_joint, led
from novaflow_core.obstacles import Box
from novaflow_core.scene import Plane

Array = NDArray[np.float64]

OPENED_SHARE = 0.75  # of the way: what stops after so much has reached the end of its slide


def is_on_joint(flow: ObjectFlow | None) -> bool:
    """Whether a flow is that of something on a joint."""
    return flow is not None and flow.kind in (MotionKind.PRISMATIC, MotionKind.REVOLUTE)


def rebased_on_joint(flow: ObjectFlow, T_moved: Array) -> ObjectFlow:
    """The rest of a flow on a joint, from where `T_moved` (4, 4) has brought the thing.

    What of `T_moved` lies along the joint is a part of the way that is done; what does not has
    moved the joint itself.
    """
    joint = fit_joint(flow)
    if not joint.on_joint:
        return flow
    done, error = split_motion(joint, T_moved, joint_middle(flow))
    end = float(joint.values[-1])
    share = joint.values / end
    return led(flow, error @ joint.poses(done + share * (end - done)))


def split_motion(joint: JointFit, T_moved: Array, middle: Array) -> tuple[float, Array]:
    """Position on the joint [m or rad], and the motion (4, 4) of the joint itself, of a motion."""
    done = joint.value_of(T_moved, middle)
    return done, np.asarray(T_moved @ se3.inverse(joint.poses(np.array([done]))[0]))


def joint_middle(flow: ObjectFlow) -> Array:
    """Middle (3,) of a flow's points in step 0 [m]."""
    return np.asarray(np.nanmedian(flow.points[0].astype(float), axis=0))


def front_box(name: str, points: Array, support: Plane, T_moved: Array | None = None) -> Box | None:
    """Upright box around a front and its handle, square to the front.

    Args:
        name: Of the box.
        points: (N, 3) of the front before it moved [m].
        support: What it stands on.
        T_moved: (4, 4) how it has moved; the box then also holds what the front pulled out behind
            it. None: not at all.

    Returns:
        None where the points show no front.
    """
    try:
        front = find_front(points, support)
    except PerceptionError:
        return None
    own = points[front.is_face(points) | front.is_handle(points)]
    if T_moved is not None:
        own = np.concatenate([own, se3.apply(T_moved, own)])
    axes = np.stack([front.normal, front.along, support.normal], axis=1)
    local = own @ axes
    low, high = np.percentile(local, [0.5, 99.5], axis=0)
    low[2] = -support.offset
    return Box(name, se3.from_rt(axes, axes @ (0.5 * (low + high))), high - low)
