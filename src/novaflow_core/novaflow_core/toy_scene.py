"""A ray-cast tabletop of textured boxes and cups, for tests: images with a known truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from novaflow_core import se3
from novaflow_core.camera import CameraModel
from novaflow_core.grounding import GroundedObject, Grounding, Role
from novaflow_core.scene import Plane, RgbdView, Scene
from novaflow_core.task import TaskSpec

Float = NDArray[np.float64]

TABLE = Plane(np.array([0.0, 0.0, 1.0]), 0.0)
CAMERA = CameraModel(640, 360, 520.0, 520.0, 319.5, 179.5)


@dataclass(frozen=True)
class Solid:
    """A box, a cylinder or a cup; its origin is the middle of its bottom face.

    Attributes:
        size: (3,) extents [m]; a round solid's diameter is size[0].
        T_base_solid: (4, 4) pose.
        colour: (3,) RGB, 0..255.
        is_round: Cylinder instead of a box.
        wall: Thickness [m] of the wall and the floor of a hollow one, open above; 0: solid.
        texture: Seed of the pattern.
    """

    size: tuple[float, float, float]
    T_base_solid: Float = field(default_factory=lambda: np.eye(4))
    colour: tuple[int, int, int] = (180, 40, 40)
    is_round: bool = False
    wall: float = 0.0
    texture: int = 0

    def at(self, x: float, y: float, z: float = 0.0, rotation: ArrayLike = (0, 0, 0)) -> Solid:
        """Return the same solid elsewhere; `rotation` is a rotation vector [rad]."""
        return replace(self, T_base_solid=se3.from_rt(se3.exp_so3(rotation), [x, y, z]))

    def moved(self, motion: Float) -> Solid:
        """Return the same solid after a motion (4, 4)."""
        return replace(self, T_base_solid=motion @ self.T_base_solid)


def look_at(eye: ArrayLike, target: ArrayLike) -> Float:
    """T_base_camera (4, 4) of a camera at `eye` that looks at `target`, upright."""
    forward = np.asarray(target, float) - np.asarray(eye, float)
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward], -1)
    return se3.from_rt(rotation, np.asarray(eye, float))


EYE = look_at([0.95, 0.1, 0.55], [0.45, 0.0, 0.02])


def render(
    solids: Mapping[str, Solid],
    T_base_camera: Float = EYE,
    camera: CameraModel = CAMERA,
    *,
    noise_m: float = 0.0,
    seed: int = 0,
) -> tuple[RgbdView, NDArray[np.uint8]]:
    """Render colour, depth and labels (2 for the first solid, 3 for the next and so on).

    Args:
        solids: By name; they stand on the plane z = 0 of the base frame.
        T_base_camera: Pose of the camera.
        camera: Intrinsics.
        noise_m: Standard deviation of depth at 0.7 m; it grows with the square of the distance.
        seed: Of the noise.
    """
    rays = camera.rays() @ T_base_camera[:3, :3].T
    eye = T_base_camera[:3, 3]
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = np.where(rays[..., 2] < -1e-9, -eye[2] / rays[..., 2], np.inf)
    depth = np.where(depth < 3.0, depth, np.inf)
    labels = np.where(np.isfinite(depth), 1, 0).astype(np.uint8)
    at = eye + rays * np.where(np.isfinite(depth), depth, 0.0)[..., None]
    color = _texture(at, (170, 130, 90), 99) * np.isfinite(depth)[..., None]
    for index, solid in enumerate(solids.values()):
        hit = _cast(solid, eye, rays)
        nearer = hit < depth
        depth = np.where(nearer, hit, depth)
        labels[nearer] = 2 + index
        at = eye + rays * np.where(np.isfinite(hit), hit, 0.0)[..., None]
        local = se3.apply(se3.inverse(solid.T_base_solid), at)
        color = np.where(nearer[..., None], _texture(local, solid.colour, solid.texture), color)
    random = np.random.default_rng(seed)
    depth = depth + noise_m * (depth / 0.7) ** 2 * random.standard_normal(depth.shape)
    view = RgbdView(
        camera="camera",
        frame_id="camera_color_optical_frame",
        stamp_ns=1,
        color=np.clip(np.nan_to_num(color), 0, 255).astype(np.uint8),
        depth=np.where(np.isfinite(depth), depth, np.nan).astype(np.float32),
        model=camera,
        T_planning_camera=T_base_camera,
    )
    return view, labels


def ground(
    solids: Mapping[str, Solid],
    view: RgbdView,
    labels: NDArray[np.uint8],
    task: TaskSpec,
    references: Sequence[str] = (),
) -> tuple[Scene, Grounding]:
    """Scene and grounding whose target is the first solid."""
    points = view.points()
    objects = []
    for index, name in enumerate(solids):
        role = Role.TARGET if index == 0 else Role.OTHER
        role = Role.REFERENCE if name in references else role
        own = points[(labels == 2 + index) & np.isfinite(points).all(axis=2)]
        low, high = (own.min(axis=0), own.max(axis=0)) if len(own) else (np.zeros(3),) * 2
        corners = np.array(
            [
                [x, y, z]
                for z in (low[2], high[2])
                for x, y in (
                    (low[0], low[1]),
                    (high[0], low[1]),
                    (high[0], high[1]),
                    (low[0], high[1]),
                )
            ]
        )
        objects.append(GroundedObject(2 + index, role, name, 1.0, corners))
    scene = Scene("scene", "base", (view,))
    return scene, Grounding("scene", task, TABLE, (labels,), tuple(objects))


def _texture(points: Float, colour: tuple[int, int, int], seed: int) -> Float:
    random = np.random.default_rng(seed)
    waves = random.normal(0.0, 1.0, (6, 3)) * random.uniform(60, 500, (6, 1))
    phase = random.uniform(0, 2 * np.pi, 6)
    pattern = np.sin(np.nan_to_num(points, posinf=0, neginf=0) @ waves.T + phase).mean(axis=-1)
    return np.asarray(np.array(colour, float) * (1.0 + 0.7 * pattern[..., None]))


def _cast(solid: Solid, eye: Float, rays: Float) -> Float:
    """Distance (H, W) along `rays` to the solid; inf where it is missed."""
    inverse = se3.inverse(solid.T_base_solid)
    o, d = se3.apply(inverse, eye), rays @ inverse[:3, :3].T
    with np.errstate(divide="ignore", invalid="ignore"):
        if not solid.wall:
            return _outside(o, d, np.asarray(solid.size, float), solid.is_round, 0.0)
        outer = _outside(o, d, np.asarray(solid.size, float), solid.is_round, 0.0)
        inner_size = np.asarray(solid.size, float) - [2 * solid.wall, 2 * solid.wall, 0.0]
        # Through the opening: a ray that meets the top face inside the wall goes on to the inside.
        top = (solid.size[2] - o[2]) / d[..., 2]
        entry = o + d * top[..., None]
        opens = (abs(outer - top) < 1e-9) & _within(entry, inner_size, solid.is_round)
        inside = _leaving(o, d, inner_size, solid.is_round, solid.wall)
        return np.where(opens, inside, outer)


def _within(points: Float, size: Float, is_round: bool) -> NDArray[np.bool_]:
    if is_round:
        return np.asarray(np.hypot(points[..., 0], points[..., 1]) < size[0] / 2)
    return np.asarray((abs(points[..., :2]) < size[:2] / 2).all(axis=-1))


def _interval(o: Float, d: Float, size: Float, is_round: bool, floor: float) -> tuple[Float, Float]:
    """Where rays enter and leave the solid of a size above a floor."""
    low, high = (floor - o[2]) / d[..., 2], (size[2] - o[2]) / d[..., 2]
    enter, leave = np.minimum(low, high), np.maximum(low, high)
    if is_round:
        a = d[..., 0] ** 2 + d[..., 1] ** 2
        b = o[0] * d[..., 0] + o[1] * d[..., 1]
        root = np.sqrt(b**2 - a * (o[0] ** 2 + o[1] ** 2 - (size[0] / 2) ** 2))
        near, far = (-b - root) / a, (-b + root) / a
        return np.fmax(enter, near) + 0 * root, np.fmin(leave, far) + 0 * root
    for axis in (0, 1):
        one = (-size[axis] / 2 - o[axis]) / d[..., axis]
        two = (size[axis] / 2 - o[axis]) / d[..., axis]
        enter, leave = (
            np.maximum(enter, np.minimum(one, two)),
            np.minimum(leave, np.maximum(one, two)),
        )
    return enter, leave


def _outside(o: Float, d: Float, size: Float, is_round: bool, floor: float) -> Float:
    enter, leave = _interval(o, d, size, is_round, floor)
    return np.where((enter < leave) & (enter > 0), enter, np.inf)


def _leaving(o: Float, d: Float, size: Float, is_round: bool, floor: float) -> Float:
    enter, leave = _interval(o, d, size, is_round, floor)
    return np.where((enter < leave) & (leave > 0), leave, np.inf)
