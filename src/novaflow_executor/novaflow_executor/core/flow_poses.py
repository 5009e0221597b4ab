"""From a flow of points to the poses that the gripper must take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from novaflow_core import se3
from novaflow_core.errors import Code, ExecutionError
from novaflow_core.flow import ObjectFlow
from novaflow_core.kabsch import fit_sequence
from novaflow_core.scene import Plane
from novaflow_executor.core.corrections import fitted

Array = NDArray[np.float64]

SMOOTHING_STEPS = (
    1.0  # standard deviation of the filter over time: below it, motion is noise of tracks
)


@dataclass(frozen=True)
class ObjectMotion:
    """Rigid motion of the object relative to its first pose.

    Attributes:
        poses: (T, 4, 4), `p[t] = poses[t] @ p[0]`, base frame; poses[0] is the identity.
        residual_m: (T,) of the fit.
    """

    poses: Array
    residual_m: Array


def object_motion(
    flow: ObjectFlow,
    support: Plane,
    release_height_m: float,
    low: Array,
    high: Array,
    fits: Sequence[Array] = (),
) -> ObjectMotion:
    """Fit, smooth and check a flow.

    Args:
        flow: In the base frame.
        support: Its normal is up.
        release_height_m: The last poses are raised by this: nothing is pressed into its support.
        low: (3,) corner of the workspace [m].
        high: (3,) corner of the workspace [m].
        fits: Motions (4, 4) after which the object fits exactly; see `fitted`.

    Raises:
        TrackingError: POSE_SUPPORT_TOO_SMALL.
        ExecutionError: FLOW_OUTSIDE_WORKSPACE.
    """
    fit = fit_sequence(flow)
    start = np.nanmedian(flow.points[0].astype(float), axis=0)
    poses = smoothed(fit.poses, SMOOTHING_STEPS, start)
    poses = fitted(poses, fits, support.normal, start)
    share = np.clip((np.arange(flow.steps) / (flow.steps - 1) - 0.6) / 0.3, 0.0, 1.0)
    poses[:, :3, 3] += (release_height_m * share**2 * (3 - 2 * share))[:, None] * support.normal
    path = poses[:, :3, :3] @ start + poses[:, :3, 3]
    outside = np.maximum(low - path, path - high).max(axis=1)
    worst = int(np.argmax(outside))
    if not np.isfinite(path).all() or outside[worst] > 0.02:
        at = ", ".join(f"{v:.2f}" for v in path[worst])
        raise ExecutionError(
            Code.FLOW_OUTSIDE_WORKSPACE,
            f"at step {worst} of {flow.steps} the object is at ({at}) m, "
            f"{1e3 * outside[worst]:.0f} mm outside the workspace",
            {"step": worst, "outside_m": float(outside[worst])},
        )
    return ObjectMotion(poses, fit.residual_m)


def raised(motion: ObjectMotion, height_m: float, up: Array) -> ObjectMotion:
    """The same motion, higher between its ends: over what stands in the way.

    The first and the last quarter of the way pass into the raised middle smoothly; what the task
    asks for is in the ends, which stay as they are.

    Args:
        motion: Of the object.
        height_m: How much higher in the middle.
        up: (3,) unit normal of the support.
    """
    steps = np.linalg.norm(np.diff(motion.poses[:, :3, 3], axis=0), axis=1)
    way = np.concatenate([[0.0], np.cumsum(steps)])
    share = way / max(float(way[-1]), 1e-9)
    rise = np.clip(np.minimum(share, 1.0 - share) / 0.25, 0.0, 1.0)
    poses = motion.poses.copy()
    poses[:, :3, 3] += (height_m * rise**2 * (3 - 2 * rise))[:, None] * up
    return ObjectMotion(poses, motion.residual_m)


def smoothed(poses: Array, sigma: float, centre: Array) -> Array:
    """Filter poses (T, 4, 4) over time about a point (3,) of the object; the first one stays."""
    path = (
        poses[:, :3, :3] @ centre + poses[:, :3, 3]
    )  # about the origin, turns would leak into shifts
    turn = gaussian_filter1d(se3.log_so3(poses[:, :3, :3]), sigma, axis=0, mode="nearest")
    path = gaussian_filter1d(path, sigma, axis=0, mode="nearest")
    rotation = se3.exp_so3(turn)
    out = se3.from_rt(rotation, path - rotation @ centre)
    out[0] = poses[0]
    return out


def tcp_poses(motion: ObjectMotion, T_base_tcp: Array) -> Array:
    """Poses (T, 4, 4) of a TCP that holds without slip: T_obj[t] @ inv(T_obj[0]) @ T_tcp[0]."""
    return np.asarray(motion.poses @ T_base_tcp)
