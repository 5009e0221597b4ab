"""A rigid pose from pixels and depths of known points, robustly: Gauss-Newton on the image.

A camera sees sideways motion to a fraction of a pixel and depth only to millimetres: each residual
is weighed by what its own sensor can tell, so that a pose is as good as both together allow.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from novaflow_core import se3
from novaflow_core.camera import CameraModel

Float = NDArray[np.float64]
Mask = NDArray[np.bool_]

PIXEL_SIGMA = 0.6
DEPTH_SIGMA_M = 0.003  # at one metre; it grows with the square of the distance
_ITERATIONS = 12
_START_SCALE = 8.0  # how many sigmas count as good at first; halved from step to step
_END_SCALE = 3.0
_CONVERGED = 1e-6


@dataclass(frozen=True)
class ImagePose:
    """A pose fitted in the image.

    Attributes:
        T: (4, 4) motion of the points, planning frame.
        covariance: (6, 6) of x y z of the points' centre [m^2] and rotations about it [rad^2].
        agrees: (K,) points whose pixel lies where the pose says.
        pixel_rms: Of the points that agree [px].
        depth_rms_m: Of those that have a depth [m]; NaN where none has.
    """

    T: Float
    covariance: Float
    agrees: Mask
    pixel_rms: float
    depth_rms_m: float

    @property
    def support(self) -> int:
        """Points that agree."""
        return int(self.agrees.sum())


def refine_pose(
    T_first: Float,
    points: Float,
    pixels: Float,
    depth_m: Float,
    usable: Mask,
    camera: CameraModel,
    T_planning_camera: Float,
) -> ImagePose | None:
    """Fit a motion near a first guess; None where it does not settle.

    Args:
        T_first: (4, 4) first guess, planning frame.
        points: (K, 3) before the motion [m], planning frame.
        pixels: (K, 2) where they are seen now.
        depth_m: (K,) at those pixels; NaN where unknown.
        usable: (K,) points to use.
        camera: Intrinsics.
        T_planning_camera: (4, 4).
    """
    T_camera_planning = se3.inverse(T_planning_camera)
    to_camera = T_camera_planning[:3, :3]
    focal = np.array([camera.fx, camera.fy])
    T = T_first.copy()
    index = np.flatnonzero(usable)
    if index.size < 4:
        return None
    scale = _START_SCALE
    normal = np.eye(6)
    for _ in range(_ITERATIONS):
        moved = se3.apply(T, points[index])
        centre = moved.mean(axis=0)
        local = se3.apply(T_camera_planning, moved)
        z = local[:, 2]
        if (z < 0.05).any():
            return None
        # Columns: shift, then turn about the centre.
        turn = -se3.hat(moved - centre)
        step = np.concatenate([np.tile(np.eye(3), (len(index), 1, 1)), turn], axis=2)
        local_step = to_camera @ step
        off_px = camera.project(local) - pixels[index]
        jacobian_px = focal[None, :, None] * (
            local_step[:, :2] / z[:, None, None]
            - local[:, :2, None] * local_step[:, 2:3] / (z**2)[:, None, None]
        )
        off_z = np.nan_to_num(z - depth_m[index])
        has_z = np.isfinite(depth_m[index])
        sigma_z = DEPTH_SIGMA_M * z**2 + 0.0005
        from_px = np.linalg.norm(off_px, axis=1) / PIXEL_SIGMA
        from_z = np.abs(off_z) / sigma_z
        weight_px = _tukey(from_px / scale)
        # A point that is hidden or at an edge shows in its depth first.
        weight_z = _tukey(from_z / scale) * has_z
        weight_px = weight_px * np.where(has_z, np.maximum(weight_z, 0.02), 0.3)
        weight_z = weight_z * (weight_px > 0)
        rows = np.concatenate(
            [
                (np.sqrt(weight_px)[:, None, None] / PIXEL_SIGMA * jacobian_px).reshape(-1, 6),
                np.sqrt(weight_z)[:, None] / sigma_z[:, None] * local_step[:, 2],
            ]
        )
        values = np.concatenate(
            [
                (np.sqrt(weight_px)[:, None] / PIXEL_SIGMA * off_px).ravel(),
                np.sqrt(weight_z) / sigma_z * off_z,
            ]
        )
        normal = rows.T @ rows + np.diag([1e-3] * 3 + [1e-5] * 3)
        delta = -np.linalg.solve(normal, rows.T @ values)
        rotation = se3.exp_so3(delta[3:])
        move = se3.from_rt(rotation, centre - rotation @ centre + delta[:3])
        T = move @ T
        if scale <= _END_SCALE and np.abs(delta).max() < _CONVERGED:
            break
        scale = max(_END_SCALE, scale / 2)
    good = (from_px < _END_SCALE * 1.5) & (~has_z | (from_z < _END_SCALE * 1.5))
    if good.sum() < 4:
        return None
    agrees = np.zeros(len(points), bool)
    agrees[index[good]] = True
    with_z = good & has_z
    return ImagePose(
        T,
        np.asarray(np.linalg.inv(normal), float),
        agrees,
        float(np.sqrt(np.mean(np.sum(off_px[good] ** 2, axis=1)))),
        float(np.sqrt(np.mean(off_z[with_z] ** 2))) if with_z.any() else float("nan"),
    )


def _tukey(ratio: Float) -> Float:
    """Weights that fall to zero at 1."""
    return np.asarray(np.where(ratio < 1.0, (1.0 - np.minimum(ratio, 1.0) ** 2) ** 2, 0.0))
