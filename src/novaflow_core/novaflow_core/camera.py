"""A pinhole camera. Frame: REP-103 optical, z forward, x right, y down."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from novaflow_core.errors import ShapeError


@dataclass(frozen=True)
class CameraModel:
    """Intrinsics of one image [px]; distortion is taken as zero.

    Attributes:
        width: Image width [px].
        height: Image height [px].
        fx: Focal length along x [px].
        fy: Focal length along y [px].
        cx: Principal point, x [px]; pixel centres are at whole numbers.
        cy: Principal point, y [px].
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float

    @property
    def matrix(self) -> NDArray[np.float64]:
        """Intrinsic matrix K (3, 3) [px]."""
        return np.array([[self.fx, 0.0, self.cx], [0.0, self.fy, self.cy], [0.0, 0.0, 1.0]])

    def rays(self) -> NDArray[np.float64]:
        """Return directions (H, W, 3) with z = 1 through every pixel, optical frame."""
        u, v = np.meshgrid(np.arange(self.width), np.arange(self.height))
        return np.dstack([(u - self.cx) / self.fx, (v - self.cy) / self.fy, np.ones(u.shape)])

    def back_project(self, depth: NDArray[np.floating]) -> NDArray[np.float64]:
        """Lift a depth image to points in the optical frame.

        Args:
            depth: (H, W) depth along optical +z [m]; NaN where the sensor saw nothing.

        Returns:
            Points (H, W, 3) [m]; NaN where `depth` is.

        Raises:
            ShapeError: If `depth` is not of this camera's size.
        """
        if depth.shape != (self.height, self.width):
            raise ShapeError(
                f"depth is {depth.shape[::-1]} px, the camera {self.width}x{self.height} px"
            )
        points: NDArray[np.float64] = self.rays() * np.asarray(depth, float)[..., None]
        return points

    def lift_pixels(self, pixels: ArrayLike, depth_m: ArrayLike) -> NDArray[np.float64]:
        """Lift pixels (*P, 2), u right, v down, with depths (*P) [m] to optical points (*P, 3)."""
        p = np.asarray(pixels, float)
        z = np.asarray(depth_m, float)
        return np.stack(
            [(p[..., 0] - self.cx) / self.fx * z, (p[..., 1] - self.cy) / self.fy * z, z], -1
        )

    def project(self, points: ArrayLike) -> NDArray[np.float64]:
        """Project optical points (*P, 3) [m] to pixels (*P, 2); NaN at or behind the camera."""
        p = np.asarray(points, float)
        z = np.where(p[..., 2] > 1e-6, p[..., 2], np.nan)
        out: NDArray[np.float64] = p[..., :2] / z[..., None]
        out *= (self.fx, self.fy)
        out += (self.cx, self.cy)
        return out
