"""Where a seed puts the objects: within the arm's reach, apart, each fully in the camera's view."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from novaflow_core.camera import CameraModel
from novaflow_core.errors import Code, PlatformError
from novaflow_core.se3 import apply, inverse
from novaflow_sim.core import chest
from novaflow_sim.core.objects import (
    CHEST,
    CUP_LOOKS,
    SAUCER_LOOKS,
    TASKS,
    Prop,
    TaskObjects,
)

Y_RANGE_M = (-0.26, 0.26)
APART_M = (0.15, 0.30)
APART_WITH_OBSTACLE_M = (0.25, 0.45)
IMAGE_MARGIN_PX = 12.0
_TRIES = 4000


@dataclass(frozen=True)
class Placement:
    """Pose of one object on the table: origin x, y, z [m] and yaw [rad], base frame."""

    x_m: float
    y_m: float
    z_m: float
    yaw_rad: float


@dataclass(frozen=True)
class Layout:
    """Everything that a seed decides.

    Attributes:
        placements: By object name.
        cup_look: Material of the cup.
        saucer_look: Material of the saucer.
    """

    placements: dict[str, Placement]
    cup_look: str
    saucer_look: str


def draw_layout(
    task: str,
    seed: int,
    camera: CameraModel,
    T_base_camera: NDArray[np.float64],
    *,
    obstacle: bool = False,
) -> Layout:
    """Draw the layout of a seed.

    Args:
        task: Name of a task.
        seed: Any non-negative number; equal seeds give equal layouts.
        camera: Intrinsics.
        T_base_camera: (4, 4) pose of the camera's optical frame.
        obstacle: Stand the tallest distractor half way between target and reference.

    Raises:
        PlatformError: INTERNAL when no layout was found.
    """
    cast = TASKS[task]
    rng = np.random.default_rng([seed, cast.stream])
    T_camera_base, eye = inverse(T_base_camera), T_base_camera[:2, 3]
    cup_look = str(rng.choice(CUP_LOOKS))
    saucer_look = str(rng.choice(SAUCER_LOOKS))
    for _ in range(_TRIES):
        placements = {prop.name: _draw(prop, rng, eye) for prop in cast.props}
        if obstacle and cast.reference is not None:
            placements[cast.obstacle.name] = _half_way(
                placements[cast.target.name], placements[cast.reference.name], cast.obstacle
            )
        apart_m = APART_WITH_OBSTACLE_M if obstacle else APART_M
        if _acceptable(cast, placements, camera, T_camera_base, apart_m):
            return Layout(placements, cup_look, saucer_look)
    raise PlatformError(Code.INTERNAL, f"found no layout of {task} for seed {seed}")


def _draw(prop: Prop, rng: np.random.Generator, eye: NDArray[np.float64]) -> Placement:
    radius = rng.uniform(*prop.reach_m)
    limit = np.arcsin(min(1.0, Y_RANGE_M[1] / radius))
    bearing = rng.uniform(-limit, limit)
    x, y = float(radius * np.cos(bearing)), float(radius * np.sin(bearing))
    if prop.off_camera_rad is None:
        yaw = float(rng.uniform(-prop.yaw_range_rad, prop.yaw_range_rad))
    else:
        aside = rng.choice([-1.0, 1.0]) * rng.uniform(*prop.off_camera_rad)
        yaw = float(np.arctan2(eye[1] - y, eye[0] - x) + aside)
    return Placement(x, y, prop.rest_height_m, yaw)


def _half_way(a: Placement, b: Placement, prop: Prop) -> Placement:
    return Placement(
        (a.x_m + b.x_m) / 2, (a.y_m + b.y_m) / 2, prop.rest_height_m, a.yaw_rad + b.yaw_rad
    )


def _acceptable(
    cast: TaskObjects,
    placements: dict[str, Placement],
    camera: CameraModel,
    T_camera_base: NDArray[np.float64],
    apart_m: tuple[float, float],
) -> bool:
    props = cast.props
    if cast.reference is not None:
        target, reference = placements[cast.target.name], placements[cast.reference.name]
        apart = np.hypot(target.x_m - reference.x_m, target.y_m - reference.y_m)
        if not apart_m[0] <= apart <= apart_m[1]:
            return False
    if cast.target is CHEST and not _can_be_opened(placements, cast, T_camera_base):
        return False
    boxes = []
    for k, a in enumerate(props):
        pa = placements[a.name]
        for b in props[k + 1 :]:
            pb = placements[b.name]
            gap = np.hypot(pa.x_m - pb.x_m, pa.y_m - pb.y_m) - a.radius_m - b.radius_m
            # Distractors keep room for the open gripper beside what is grasped.
            if gap < (0.0 if k == 0 and b is cast.reference else 0.03):
                return False
        box = _image_box(a, pa, camera, T_camera_base)
        if not (
            box[0] > IMAGE_MARGIN_PX
            and box[1] > IMAGE_MARGIN_PX
            and box[2] < camera.width - IMAGE_MARGIN_PX
            and box[3] < camera.height - IMAGE_MARGIN_PX
        ):
            return False
        boxes.append(box)
    return not any(
        _overlap(boxes[i], boxes[j]) for i in range(len(boxes)) for j in range(i + 1, len(boxes))
    )


def _can_be_opened(
    placements: dict[str, Placement], cast: TaskObjects, T_camera_base: NDArray[np.float64]
) -> bool:
    """Whether the chest's front is seen, its open drawer reached and the way out of it free."""
    at = placements[CHEST.name]
    out = np.array([np.cos(at.yaw_rad), np.sin(at.yaw_rad)])
    here = np.array([at.x_m, at.y_m])
    to_camera = inverse(T_camera_base)[:2, 3] - here
    turned = np.arccos(out @ to_camera / np.linalg.norm(to_camera))
    open_at = here + chest.OPENED_M * out
    if turned > chest.MAX_TURNED_RAD or np.hypot(*open_at) > chest.HANDLE_REACH_M:
        return False
    for prop in cast.distractors:
        place = placements[prop.name]
        away = np.array([place.x_m, place.y_m]) - here
        along = float(np.clip(away @ out, 0.0, chest.OPENED_M))
        # The hand that pulls is wider than the drawer's handle.
        if np.linalg.norm(away - along * out) < prop.radius_m + chest.WIDTH_M / 2 + 0.03:
            return False
    return True


def _image_box(
    prop: Prop, at: Placement, camera: CameraModel, T_camera_base: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Left, top, right, bottom [px] of a cylinder around the object."""
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    ring = np.c_[at.x_m + prop.radius_m * np.cos(angle), at.y_m + prop.radius_m * np.sin(angle)]
    points = np.concatenate(
        [np.c_[ring, np.zeros(len(ring))], np.c_[ring, np.full(len(ring), prop.height_m)]]
    )
    pixels = camera.project(apply(T_camera_base, points))
    return np.concatenate([pixels.min(0), pixels.max(0)])


def _overlap(a: NDArray[np.float64], b: NDArray[np.float64]) -> bool:
    return bool((np.maximum(a[:2], b[:2]) < np.minimum(a[2:], b[2:])).all())
