"""A small ray caster for tests: textured boxes and cylinders with known depth and motion.

It shares nothing with the storyboard: no cut-outs, no warping, every frame is rendered from the
shapes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from novaflow_core import se3
from novaflow_core.camera import CameraModel
from novaflow_core.grounding import GroundedObject, Grounding, Role
from novaflow_core.scene import Plane, RgbdView, Scene
from novaflow_core.task import Motion, ObjectPhrase, TaskSpec
from novaflow_core.video import Video

TABLE = Plane(np.array([0.0, 0.0, 1.0]), 0.0)


@dataclass
class Item:
    """A box (size: half extents) or an upright cylinder (size: radius, radius, half height)."""

    size: tuple[float, float, float]
    at: tuple[float, float]
    yaw: float = 0.0
    is_round: bool = False
    seed: int = 0
    contrast: float = 1.0
    colour: tuple[float, float, float] = (170.0, 120.0, 80.0)
    bottom: float = 0.0
    T_world_item: np.ndarray = field(init=False)

    def __post_init__(self):
        rotation = se3.exp_so3(np.array([0.0, 0.0, self.yaw]))
        self.T_world_item = se3.from_rt(rotation, [*self.at, self.bottom + self.size[2]])
        random = np.random.default_rng(self.seed)
        self._waves = random.uniform(60, 260, (10, 3)) * random.choice([-1, 1], (10, 3))
        self._phases = random.uniform(0, 6.28, 10)

    def shade(self, local, normal):
        pattern = np.sign(np.sin(local @ self._waves.T + self._phases)).sum(-1) / 10
        light = 0.75 + 0.25 * abs(normal @ np.array([0.3, 0.5, 0.8]))
        return np.array(self.colour) * (light * (1 + 0.45 * self.contrast * pattern))[..., None]

    def hit(self, origin, rays):
        """Distance along rays (N, 3), local points and normals; inf where missed."""
        to_item = se3.inverse(self.T_world_item)
        o, d = se3.apply(to_item, origin), rays @ to_item[:3, :3].T
        half = np.array(self.size)
        d = np.where(abs(d) < 1e-12, 1e-12, d)
        near, far = np.sort([(-half - o) / d, (half - o) / d], axis=0)
        axis = near.argmax(-1)
        t0, t1 = near.max(-1), far.min(-1)
        if self.is_round:
            a = (d[:, :2] ** 2).sum(-1)
            b = (o[:2] * d[:, :2]).sum(-1)
            c = (o[:2] ** 2).sum() - half[0] ** 2
            root = b * b - a * c
            side0 = (-b - np.sqrt(np.maximum(root, 0))) / a
            side1 = (-b + np.sqrt(np.maximum(root, 0))) / a
            t0 = np.maximum(np.where(root > 0, side0, np.inf), near[:, 2])
            t1 = np.minimum(np.where(root > 0, side1, -np.inf), far[:, 2])
            axis = np.where(near[:, 2] >= side0, 2, 0)
        t = np.where((t0 < t1) & (t0 > 0), t0, np.inf)
        local = o + np.where(np.isfinite(t), t, 0)[:, None] * d
        normal = np.zeros_like(local)
        normal[np.arange(len(axis)), axis] = -np.sign(d[np.arange(len(axis)), axis])
        if self.is_round:
            wall = axis == 0
            normal[wall] = local[wall] * [1, 1, 0] / half[0]
        return t, local, normal @ self.T_world_item[:3, :3].T


def camera_pose(eye=(0.75, 0.1, 0.55), target=(0.0, 0.0, 0.03)):
    """T_world_camera looking at a point, optical frame."""
    eye, target = np.array(eye), np.array(target)
    z = (target - eye) / np.linalg.norm(target - eye)
    x = np.cross(z, [0, 0, 1.0])
    x /= np.linalg.norm(x)
    return se3.from_rt(np.stack([x, np.cross(z, x), z], -1), eye)


MODEL = CameraModel(480, 360, 430.0, 430.0, 239.5, 179.5)


def table_colour(points):
    grain = np.sin(points[:, 0] * 90 + 3 * np.sin(points[:, 1] * 25)) + np.sin(points[:, 1] * 41)
    return np.array([150.0, 140.0, 125.0]) * (1 + 0.06 * grain)[:, None]


def render(items, T_world_camera, model=MODEL, window=None, samples=2):
    """Colour (h, w, 3), depth (h, w) and index of the item (h, w; -1 table) in a window."""
    v0, v1, u0, u1 = window or (0, model.height, 0, model.width)
    offset = (np.arange(samples) + 0.5) / samples - 0.5
    color, depth, index = 0.0, None, None
    for dv in offset:
        for du in offset:
            c, _, _ = _cast(items, T_world_camera, model, (v0, v1, u0, u1), dv, du)
            color = color + c / samples**2
    _, depth, index = _cast(items, T_world_camera, model, (v0, v1, u0, u1))
    return np.clip(np.rint(color), 0, 255).astype(np.uint8), depth.astype(np.float32), index


def _cast(items, pose, model, window, dv=0.0, du=0.0):
    v0, v1, u0, u1 = window
    u, v = np.meshgrid(np.arange(u0, u1) + du, np.arange(v0, v1) + dv)
    local = np.stack([(u - model.cx) / model.fx, (v - model.cy) / model.fy, np.ones(u.shape)], -1)
    rays, eye = local.reshape(-1, 3) @ pose[:3, :3].T, pose[:3, 3]
    best = -eye[2] / np.minimum(rays[:, 2], -1e-9)
    color = table_colour(eye + best[:, None] * rays)
    index = np.full(len(rays), -1)
    for number, item in enumerate(items):
        t, where, normal = item.hit(eye, rays)
        closer = t < best
        color[closer] = item.shade(where[closer], normal[closer])
        best, index = np.where(closer, t, best), np.where(closer, number, index)
    return color.reshape(*u.shape, 3), best.reshape(u.shape), index.reshape(u.shape)


def make_scene(items, *, depth_noise=0.0, seed=0, model=MODEL, pose=None, roles=None, task=None):
    """A scene and its exact grounding; item 0 is the target unless `roles` says otherwise."""
    pose = camera_pose() if pose is None else pose
    color, depth, index = render(items, pose, model)
    random = np.random.default_rng(seed)
    if depth_noise:
        depth = depth + random.normal(0, depth_noise, depth.shape).astype(np.float32)
        depth = (np.rint(depth * 1000) / 1000).astype(np.float32)
        edge = cv2.morphologyEx(index.astype(np.int16), cv2.MORPH_GRADIENT, np.ones((3, 3))) > 0
        depth[edge & (random.random(depth.shape) < 0.5)] = np.nan
    view = RgbdView("main", "camera_color_optical_frame", 7, color, depth, model, pose)
    scene = Scene(f"scene_{seed}", "base", (view,))
    labels = (index + 2).astype(np.uint8)
    labels[index < 0] = 1
    roles = roles or [Role.TARGET] + [Role.OTHER] * (len(items) - 1)
    points = view.points()
    objects = []
    for number, role in enumerate(roles):
        seen = points[(index == number) & np.isfinite(depth)]
        low, high = seen.min(0), seen.max(0)
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
        objects.append(GroundedObject(number + 2, role, f"item {number}", 0.9, corners))
    task = task or TaskSpec("lift the thing", Motion.LIFT, ObjectPhrase("the thing"))
    return scene, Grounding(scene.scene_id, task, TABLE, (labels,), tuple(objects))


def render_motion(items, motions, *, model=MODEL, pose=None, moving=(0,)):
    """Frames (T, H, W, 3) while some items follow world motions (T, 4, 4)."""
    pose = camera_pose() if pose is None else pose
    movers = [items[n] for n in moving]
    starts = [item.T_world_item.copy() for item in movers]
    base, _, _ = render([i for n, i in enumerate(items) if n not in moving], pose, model)
    frames = []
    for motion in motions:
        corners = []
        for item, start in zip(movers, starts, strict=True):
            item.T_world_item = motion @ start
            box = np.array(np.meshgrid(*[(-h, h) for h in item.size])).reshape(3, -1).T
            corners.append(se3.apply(se3.inverse(pose) @ item.T_world_item, box))
        at = model.project(np.concatenate(corners))
        low, high = np.floor(at.min(0)).astype(int) - 2, np.ceil(at.max(0)).astype(int) + 3
        u0, v0 = np.maximum(low, 0)
        u1, v1 = min(high[0], model.width), min(high[1], model.height)
        frame = base.copy()
        if u1 > u0 and v1 > v0:
            frame[v0:v1, u0:u1] = render(items, pose, model, (v0, v1, u0, u1))[0]
        frames.append(frame)
    for item, start in zip(movers, starts, strict=True):
        item.T_world_item = start
    return Video(np.stack(frames), 16.0)


def rigid_motion(shift, yaw, about, steps=41, tilt=0.0):
    """World motions (T, 4, 4): a smooth shift (3,) [m] with a yaw [rad] about a vertical axis."""
    s = np.linspace(0, 1, steps)
    s = s * s * (3 - 2 * s)
    rotation = se3.exp_so3(s[:, None] * np.array([0.0, tilt, yaw]))
    about = np.asarray(about, float)
    return se3.from_rt(rotation, about - rotation @ about + s[:, None] * np.asarray(shift))


def degrade(video, *, noise=0.0, jpeg=0, dim=0.0, occlude=None, seed=0):
    """Noise [grey levels], JPEG quality, brightness lost by the end, a bar (u0, u1) px."""
    random = np.random.default_rng(seed)
    out = []
    for step, frame in enumerate(video.frames):
        image = frame.astype(np.float32)
        if occlude and step:
            image[:, occlude[0] : occlude[1]] = (70, 70, 75)
        image *= 1 - dim * step / (len(video.frames) - 1)
        if noise:
            image += random.normal(0, noise, image.shape)
        image = np.clip(image, 0, 255).astype(np.uint8)
        if jpeg:
            image = cv2.imdecode(
                cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, jpeg])[1], 1
            )
        out.append(image)
    return Video(np.stack(out), video.fps)


def flow_error(flow, motions):
    """Largest distance (T,) [m] of a flow from where the motions take its first points."""
    truth = np.einsum("tij,kj->tki", motions[:, :3, :3], flow.points[0]) + motions[:, None, :3, 3]
    return np.linalg.norm(flow.points - truth, axis=-1).max(axis=1)
