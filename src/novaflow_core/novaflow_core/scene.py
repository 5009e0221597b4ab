"""What the cameras saw: views, the scene they form, and the plane that things stand on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from novaflow_core import se3
from novaflow_core.camera import CameraModel
from novaflow_core.errors import ShapeError


@dataclass(frozen=True)
class RgbdView:
    """One colour image with the depth aligned to it.

    Attributes:
        camera: Name, unique within the scene.
        frame_id: The colour optical frame.
        stamp_ns: Time of the colour image [ns].
        color: (H, W, 3) uint8, RGB.
        depth: (H, W) float32 [m] along optical +z; NaN where the sensor saw nothing.
        model: Intrinsics of the colour image.
        T_planning_camera: (4, 4); `p_planning = T_planning_camera @ p_camera`.
    """

    camera: str
    frame_id: str
    stamp_ns: int
    color: NDArray[np.uint8]
    depth: NDArray[np.float32]
    model: CameraModel
    T_planning_camera: NDArray[np.float64]

    def __post_init__(self) -> None:
        """Check that all parts have one size."""
        size = (self.model.height, self.model.width)
        if self.color.shape != (*size, 3) or self.depth.shape != size:
            raise ShapeError(
                f"view '{self.camera}': colour {self.color.shape}, depth {self.depth.shape}, "
                f"camera {size}"
            )

    def points(self) -> NDArray[np.float64]:
        """Points (H, W, 3) [m] in the planning frame; NaN where there is no depth."""
        return se3.apply(self.T_planning_camera, self.model.back_project(self.depth))


@dataclass(frozen=True)
class Scene:
    """Views of one instant.

    Attributes:
        scene_id: Unique; everything that a goal touches carries it.
        planning_frame: Fixed frame of all 3D data.
        views: One or several.
    """

    scene_id: str
    planning_frame: str
    views: tuple[RgbdView, ...]

    @property
    def main(self) -> RgbdView:
        """The first view, which videos are generated from."""
        return self.views[0]


@dataclass(frozen=True)
class Plane:
    """A plane `normal . p + offset = 0` in the planning frame.

    Attributes:
        normal: (3,) unit, pointing up from the support.
        offset: [m].
    """

    normal: NDArray[np.float64]
    offset: float

    def height(self, points: ArrayLike) -> NDArray[np.float64]:
        """Signed height (*P,) [m] of points (*P, 3) above the plane."""
        return np.asarray(points, float) @ self.normal + self.offset

    def basis(self) -> NDArray[np.float64]:
        """Two unit directions (2, 3) in the plane, right-handed with the normal."""
        seed = np.eye(3)[int(np.argmin(np.abs(self.normal)))]
        first = np.cross(seed, self.normal)
        first /= np.linalg.norm(first)
        return np.stack([first, np.cross(self.normal, first)])
