"""A rope on a table, drawn from its curve: where each bit of it is in each frame is known."""

from __future__ import annotations

import numpy as np
from ray_scene import TABLE, camera_pose
from scipy.spatial import cKDTree

from novaflow_core import se3
from novaflow_core.camera import CameraModel
from novaflow_core.grounding import GroundedObject, Grounding, Role
from novaflow_core.scene import RgbdView, Scene
from novaflow_core.task import Motion, ObjectPhrase, TaskSpec
from novaflow_core.video import Video

LENGTH_M, RADIUS_M = 0.36, 0.007
MODEL = CameraModel(960, 540, 700.0, 700.0, 479.5, 269.5)
_SAMPLES = 1500


def curve(bend, at=(0.0, 0.0), turn=0.0):
    """Points (N, 2) [m], evenly along a rope whose direction swings by `bend` [rad] on its way."""
    s = np.linspace(0.0, 1.0, _SAMPLES)
    angle = turn + bend * np.sin(2 * np.pi * s)
    step = np.stack([np.cos(angle), np.sin(angle)], -1) * LENGTH_M / (_SAMPLES - 1)
    points = np.cumsum(step, axis=0)
    return points - points.mean(axis=0) + at


class RopeFilm:
    """A camera's pictures of a rope that goes from one curve to another.

    Attributes:
        curves: (T, N, 2) where the rope's axis is [m].
    """

    def __init__(self, ways, steps=41, contrast=1.0, seed=0):
        """Bend, place and turn of the first and the last curve."""
        share = np.linspace(0, 1, steps)
        share = share * share * (3 - 2 * share)
        first, last = ways
        self.curves = np.stack(
            [
                curve(
                    *(
                        np.asarray(a) + s * (np.asarray(b) - a)
                        for a, b in zip(first, last, strict=True)
                    )
                )
                for s in share
            ]
        )
        self.pose = camera_pose((0.45, 0.0, 0.5), (0.0, 0.0, 0.0))
        random = np.random.default_rng(seed)
        self._waves = random.uniform(60, 260, (8, 2)) * random.choice([-1, 1], (8, 2))
        self._braid = random.uniform(300, 900, 6)
        self._phases = random.uniform(0, 6.28, (2, 8))
        self._contrast = contrast

    def look(self, step):
        """Colour (H, W, 3), depth (H, W) [m] and mask (H, W) of a step."""
        rays = MODEL.rays() @ self.pose[:3, :3].T
        eye = self.pose[:3, 3]
        ground = self._meet(eye, rays, 0.0)
        on_rope = self._meet(eye, rays, RADIUS_M)
        tree = cKDTree(self.curves[step])
        near = on_rope[..., :2].reshape(-1, 2)
        distance, index = tree.query(near, distance_upper_bound=RADIUS_M)
        mask = np.isfinite(distance).reshape(ground.shape[:2])
        shade = np.sign(np.sin(ground[..., :2] @ self._waves.T + self._phases[0])).mean(-1)
        colour = np.array([120.0, 130.0, 125.0]) * (1 + 0.25 * shade)[..., None]
        along = np.where(index < _SAMPLES, index, 0).reshape(mask.shape) / _SAMPLES * LENGTH_M
        braid = np.sign(np.sin(along[..., None] * self._braid + self._phases[1, :6])).mean(-1)
        rope = np.array([190.0, 120.0, 60.0]) * (1 + 0.5 * self._contrast * braid)[..., None]
        colour = np.where(mask[..., None], rope, colour)
        there = np.where(mask[..., None], on_rope, ground)
        depth = se3.apply(se3.inverse(self.pose), there)[..., 2]
        return np.clip(colour, 0, 255).astype(np.uint8), depth.astype(np.float32), mask

    def video(self):
        """All frames."""
        return Video(np.stack([self.look(step)[0] for step in range(len(self.curves))]), 16.0)

    def scene(self, noise_m=0.001):
        """What is seen first, and the rope in it."""
        colour, depth, mask = self.look(0)
        depth = depth + np.random.default_rng(1).normal(0, noise_m, depth.shape).astype(np.float32)
        view = RgbdView("camera", "optical", 1, colour, depth, MODEL, self.pose)
        task = TaskSpec("straighten the rope", Motion.STRAIGHTEN, ObjectPhrase("the rope"))
        labels = np.where(mask, 2, 0).astype(np.uint8)
        corners = np.zeros((8, 3))
        target = GroundedObject(2, Role.TARGET, "the rope", 0.9, corners)
        return Scene("s", "base", (view,)), Grounding("s", task, TABLE, (labels,), (target,))

    def error(self, points):
        """Distance (T, K) [m] of a flow's points (T, K, 3) from where those bits of rope are."""
        first = points[0, :, :2]
        _, index = cKDTree(self.curves[0]).query(first)
        out = []
        for step, curve_now in enumerate(self.curves):
            tangent = np.gradient(curve_now, axis=0)
            tangent0 = np.gradient(self.curves[0], axis=0)
            turn = np.arctan2(*tangent[index].T[::-1]) - np.arctan2(*tangent0[index].T[::-1])
            off = first - self.curves[0][index]
            c, s = np.cos(turn), np.sin(turn)
            turned = np.stack([c * off[:, 0] - s * off[:, 1], s * off[:, 0] + c * off[:, 1]], -1)
            out.append(np.linalg.norm(points[step, :, :2] - curve_now[index] - turned, axis=1))
        return np.stack(out)

    @staticmethod
    def _meet(eye, rays, height):
        """Points (H, W, 3) where rays meet a height."""
        far = (height - eye[2]) / np.minimum(rays[..., 2], -1e-6)
        return eye + rays * far[..., None]
