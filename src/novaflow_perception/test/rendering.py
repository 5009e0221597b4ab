"""Analytic RGB-D views of boxes and cylinders on a table, for tests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from novaflow_core import se3
from novaflow_core.camera import CameraModel
from novaflow_core.scene import RgbdView, Scene

CAMERA = CameraModel(640, 480, 525.0, 525.0, 319.5, 239.5)


@dataclass(frozen=True)
class Solid:
    """Something on z = 0; `radius` makes it an upright cylinder, else a box of `size`."""

    centre: tuple[float, float]
    size: tuple[float, float, float]
    rgb: tuple[int, int, int]
    yaw: float = 0.0
    radius: float | None = None
    wall: float | None = None  # thickness of an open vessel's wall
    ball: bool = False  # of that radius, on the table


def camera_pose(distance=0.9, pitch_deg=40.0):
    """T_planning_camera of a camera that looks at the origin from -y, from above."""
    pitch = np.radians(pitch_deg)
    forward = np.array([0.0, np.cos(pitch), -np.sin(pitch)])
    right = np.array([1.0, 0.0, 0.0])
    down = np.cross(forward, right)
    return se3.from_rt(np.stack([right, down, forward], 1), -distance * forward)


def render(solids, pose=None, *, noise_m=0.0, seed=0, background=(150, 130, 110), model=CAMERA):
    """Color, depth [m] and index image (0 table, 1.. solids) of a scene."""
    pose = camera_pose() if pose is None else pose
    rays = model.rays().reshape(-1, 3) @ pose[:3, :3].T
    origin = pose[:3, 3]
    depth = np.where(rays[:, 2] < 0, -origin[2] / np.minimum(rays[:, 2], -1e-9), np.inf)
    color = np.tile(np.array(background, float), (len(rays), 1))
    index = np.zeros(len(rays), int)
    sun = np.array([0.3, -0.5, 0.81])
    for i, solid in enumerate(solids, start=1):
        hits = _ball if solid.ball else _cylinder if solid.radius else _box
        t, normal = hits(solid, origin, rays)
        hit = t < depth
        depth[hit], index[hit] = t[hit], i
        shade = 0.65 + 0.35 * np.clip(normal[hit] @ sun, 0, 1)
        color[hit] = np.array(solid.rgb) * shade[:, None]
    shape = (model.height, model.width)
    depth = depth.reshape(shape)
    depth[depth > 3.0] = np.nan
    rng = np.random.default_rng(seed)
    depth = depth + rng.normal(0, 1, shape) * noise_m * depth**2
    noisy = np.clip(color + rng.normal(0, 2, color.shape), 0, 255)
    return (
        noisy.reshape(*shape, 3).astype(np.uint8),
        depth.astype(np.float32),
        index.reshape(shape),
    )


def scene_of(solids, **options):
    """Scene and index image."""
    pose = options.pop("pose", camera_pose())
    model = options.get("model", CAMERA)
    color, depth, index = render(solids, pose, **options)
    view = RgbdView("camera", "camera_color_optical_frame", 1, color, depth, model, pose)
    return Scene("scene", "base", (view,)), index


def _box(solid, origin, rays):
    c, s = np.cos(solid.yaw), np.sin(solid.yaw)
    turn = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1.0]])
    half = np.array(solid.size) / 2
    o = turn @ (origin - np.array([*solid.centre, half[2]]))
    d = rays @ turn.T
    with np.errstate(divide="ignore", invalid="ignore"):
        a, b = (-half - o) / d, (half - o) / d
    near, far = np.minimum(a, b), np.maximum(a, b)
    enter, leave = near.max(axis=1), far.min(axis=1)
    axis = near.argmax(axis=1)
    normal = np.zeros_like(d)
    normal[np.arange(len(d)), axis] = -np.sign(d[np.arange(len(d)), axis])
    return np.where((enter < leave) & (enter > 0), enter, np.inf), normal @ turn


def _ball(solid, origin, rays):
    o = origin - np.array([*solid.centre, solid.radius])
    a, b, c = (rays * rays).sum(1), rays @ o, o @ o - solid.radius**2
    seen = b * b > a * c
    t = np.where(seen, (-b - np.sqrt(np.maximum(b * b - a * c, 0))) / a, np.inf)
    return t, (o + np.where(seen, t, 0.0)[:, None] * rays) / solid.radius


def _cylinder(solid, origin, rays):
    """An upright cylinder with a lid; with `wall` it is a vessel, open at the top, with a floor."""
    height = solid.size[2]
    outer = _tube(solid.centre, solid.radius, origin, rays, height, far=False)
    best, normal = outer
    discs = [(height, solid.radius, 0.0)]
    if solid.wall:
        inner_radius = solid.radius - solid.wall
        discs = [(height, solid.radius, inner_radius), (solid.wall, inner_radius, 0.0)]
        t, n = _tube(solid.centre, inner_radius, origin, rays, height, far=True)
        through = t < best
        # Seen only through the opening: the ray enters the top within the inner circle.
        top = origin + ((height - origin[2]) / rays[:, 2])[:, None] * rays
        open_ = np.hypot(*(top[:, :2] - solid.centre).T) < inner_radius
        through &= open_
        best = np.where(through, t, np.where(open_, np.inf, best))
        normal = np.where(through[:, None], -n, normal)
    for z, radius, hole in discs:
        t = (z - origin[2]) / rays[:, 2]
        at = origin + t[:, None] * rays
        r = np.hypot(*(at[:, :2] - solid.centre).T)
        hit = (r < radius) & (r >= hole) & (t > 0) & (t < best)
        best = np.where(hit, t, best)
        normal = np.where(hit[:, None], np.array([0, 0, 1.0]), normal)
    return best, normal


def _tube(centre, radius, origin, rays, height, *, far):
    o, d = origin[:2] - np.array(centre), rays[:, :2]
    a, b, c = (d * d).sum(1), (d @ o), o @ o - radius**2
    root = np.sqrt(np.maximum(b * b - a * c, 0))
    t = (-b + root) / a if far else (-b - root) / a
    at = origin + t[:, None] * rays
    ok = (b * b > a * c) & (t > 0) & (at[:, 2] >= 0) & (at[:, 2] <= height)
    normal = np.concatenate([(at[:, :2] - centre) / radius, np.zeros((len(at), 1))], 1)
    return np.where(ok, t, np.inf), normal
