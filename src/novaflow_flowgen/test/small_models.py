"""Small models behind the reference server: what MegaSaM, MoGe and TAPIP3D would be asked for.

Depth is the ray caster's own, in a unit of its own and with errors; tracks are Lucas-Kanade on the
frames, lifted by the depth that was sent.
"""

from __future__ import annotations

import threading

import cv2
import numpy as np
from ray_scene import MODEL, camera_pose, render

from novaflow_core import se3
from novaflow_flowgen.core.tracks import KltTracker
from novaflow_flowgen.serving.errors import InputError
from novaflow_flowgen.serving.server import ModelServer

UNIT = 2.3  # metres in one unit of the depth model


def depth_of(items, motions, *, noise=0.002, drift=0.0, seed=0):
    """Depth (T, H, W) in the model's unit while the first item moves."""
    random = np.random.default_rng(seed)
    start = items[0].T_world_item.copy()
    out = []
    for step, motion in enumerate(motions):
        items[0].T_world_item = motion @ start
        depth = render(items, camera_pose(), MODEL, samples=1)[1]
        factor = 1.0 + drift * step / len(motions) + random.normal(0.0, noise)
        out.append(depth * factor / UNIT)
    items[0].T_world_item = start
    return np.stack(out).astype(np.float32)


def track(arrays):
    """Model `tapip3d`: follow every query from frame to frame."""
    frames, depth, queries = arrays["frames"], arrays["depth"], arrays["queries"]
    if queries.ndim != 2 or queries.shape[1] != 3:
        raise InputError(f"queries are {queries.shape}, not (K, 3)")
    fx, fy, cx, cy = (arrays["intrinsics"][i, j] for i, j in ((0, 0), (1, 1), (0, 2), (1, 2)))
    pixels = np.stack([queries[:, 0] / queries[:, 2] * fx + cx,
                       queries[:, 1] / queries[:, 2] * fy + cy], -1)  # fmt: skip
    alive = np.ones(len(pixels), bool)
    points, visible = [queries], [alive.copy()]
    gray = cv2.cvtColor(frames[0], cv2.COLOR_RGB2GRAY)
    tracker, before = KltTracker(), pixels.copy()
    for step in range(1, len(frames)):
        now = cv2.cvtColor(frames[step], cv2.COLOR_RGB2GRAY)
        there, ok = tracker.track(gray, now, pixels, 2 * pixels - before)
        alive &= ok
        before, pixels, gray = pixels, np.where(ok[:, None], there, pixels), now
        at = np.clip(np.rint(pixels).astype(int), 0, np.array(depth.shape[:0:-1]) - 1)
        z = depth[step, at[:, 1], at[:, 0]]
        xyz = np.stack([(pixels[:, 0] - cx) / fx * z, (pixels[:, 1] - cy) / fy * z, z], -1)
        points.append(se3.apply(arrays["T_first_camera"][step], xyz))
        visible.append(alive.copy())
    return {"points": np.stack(points), "visible": np.stack(visible)}


class Served:
    """Both models on loopback; what they are asked is kept."""

    def __init__(self, models, **keywords):
        self.asked = []

        def heard(name, model):
            def run(arrays):
                self.asked.append((name, arrays))
                return model(arrays)

            return run

        listening = {name: heard(name, model) for name, model in models.items()}
        self.server = ModelServer(listening, port=keywords.pop("port", 0), **keywords)
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self._thread.start()
        self.url = self.server.url

    def close(self):
        self.server.shutdown()
        self._thread.join()
        self.server.server_close()
