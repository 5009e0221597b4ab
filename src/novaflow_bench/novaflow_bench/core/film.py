"""What a labelled video shows, and its frames: cut-outs that move over the scene without them."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from novaflow_bench.core.stage import Stage
from novaflow_core import se3
from novaflow_core.video import Video
from novaflow_flowgen.core.warp import Surface, forward_warp

Float = NDArray[np.float64]
Image = NDArray[np.uint8]
Image32 = NDArray[np.float32]

FPS = 16.0
_IN_FRONT_M = 0.004  # a cut-out may lie this far behind what it hides: depth is noisy
_PAINTS = ((200, 30, 30), (30, 160, 40), (40, 60, 210), (220, 190, 30), (170, 40, 170))


@dataclass(frozen=True)
class Mover:
    """One thing that moves.

    Attributes:
        label: Which.
        motions: (T, 4, 4) of its points, world frame; affine where it changes its shape.
    """

    label: int
    motions: Float


@dataclass(frozen=True)
class Film:
    """One video's script.

    Attributes:
        mover: What the video is about.
        opacity: (T,) of the mover, 0..1.
        paint: (T,) how much of the mover has another colour, 0..1.
        stays: (T,) opacity of a copy of the mover that stands where it stood.
        camera_px: (T, 3) how far the picture slides right and down [px] and turns [rad].
        more: What else moves.
    """

    mover: Mover
    opacity: Float | None = None
    paint: Float | None = None
    stays: Float | None = None
    camera_px: Float | None = None
    more: tuple[Mover, ...] = field(default=())


def shoot(stage: Stage, film: Film, random: np.random.Generator) -> Video:
    """Render a film: its light drifts a little and its pixels are noisy, as `random` says."""
    movers = (film.mover, *film.more)
    picture = stage.picture
    behind, depth = stage.backdrop.without(tuple(m.label for m in movers))
    painted = repainted(picture, stage.mask(film.mover.label))
    layers = [_Layer(stage.surface(m.label), _in_camera(stage, m.motions)) for m in movers]
    standing = stage.mask(film.mover.label)
    light, grain = _light(random), _grain(picture.shape, random)
    steps = len(film.mover.motions)
    out = np.empty((steps, *picture.shape), np.uint8)
    for t in range(steps):
        frame = out[t]
        np.copyto(frame, behind if t else picture)
        if t and film.stays is not None:
            frame[standing] = _mixed(frame, picture, film.stays[t])[standing]
        for k, layer in enumerate(layers if t else ()):
            paint = 0.0 if k or film.paint is None else float(film.paint[t])
            opacity = 1.0 if k or film.opacity is None else float(film.opacity[t])
            shade = _mixed(picture, painted, paint) if paint else picture
            layer.draw(frame, depth, shade, t, opacity, stage)
        if film.camera_px is not None:
            frame[:] = _slid(frame, film.camera_px[t])
        table = np.arange(256)[:, None] * (1.0 + (light - 1.0) * t / (steps - 1))
        cv2.LUT(frame, np.clip(np.rint(table), 0, 255).astype(np.uint8)[None], dst=frame)
        more, less = grain[t % len(grain)]
        cv2.subtract(cv2.add(frame, more, dst=frame), less, dst=frame)
    return Video(out, FPS)


@dataclass(frozen=True)
class _Layer:
    surface: Surface
    motions: Float  # (T, 4, 4) optical frame

    def draw(
        self, frame: Image, depth: Image32, picture: Image, t: int, opacity: float, stage: Stage
    ) -> None:
        warp = forward_warp(self.surface, self.motions[t], stage.view.model)
        if warp is None or opacity <= 0:
            return
        window = warp.window
        shown = warp.depth < np.nan_to_num(depth[window], nan=1e6) + _IN_FRONT_M
        alpha = (np.float32(opacity) * warp.alpha * shown)[..., None]
        under = frame[window].astype(np.float32)
        over = warp.sample(picture).astype(np.float32)
        frame[window] = np.clip(np.rint(under + alpha * (over - under)), 0, 255).astype(np.uint8)


def repainted(picture: Image, mask: NDArray[np.bool_]) -> Image:
    """The picture (H, W, 3) in the colour that is farthest from that of the mask; no darker."""
    lab = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2LAB), np.float32)
    own = np.median(lab[mask], axis=0)
    paints = np.asarray(_PAINTS, np.uint8)[None]
    known = np.asarray(cv2.cvtColor(paints, cv2.COLOR_RGB2LAB), np.float32)[0]
    far = known[int(np.argmax(np.linalg.norm(known[:, 1:] - own[1:], axis=1)))]
    out = np.concatenate([lab[..., :1], np.broadcast_to(far[1:], lab[..., 1:].shape)], axis=-1)
    return np.asarray(cv2.cvtColor(out.astype(np.uint8), cv2.COLOR_LAB2RGB), np.uint8)


def _mixed(a: Image, b: Image, share: float) -> Image:
    return np.asarray(cv2.addWeighted(a, 1.0 - float(share), b, float(share), 0.0), np.uint8)


def _in_camera(stage: Stage, motions: Float) -> Float:
    to_camera = se3.inverse(stage.T_world_camera)
    return np.asarray(to_camera @ motions @ stage.T_world_camera)


def _slid(frame: Image, by: Float) -> Image:
    height, width = frame.shape[:2]
    c, n = np.cos(by[2]), np.sin(by[2])
    x, y = width / 2, height / 2
    turn = np.array([[c, -n, x - c * x + n * y + by[0]], [n, c, y - n * x - c * y + by[1]]])
    return np.asarray(
        cv2.warpAffine(frame, turn, (width, height), borderMode=cv2.BORDER_REPLICATE), np.uint8
    )


def _light(random: np.random.Generator) -> Float:
    """Gain (3,) of the last frame over the first."""
    return np.asarray(random.uniform(0.95, 1.05) * (1.0 + random.uniform(-0.015, 0.015, 3)))


def _grain(shape: tuple[int, ...], random: np.random.Generator) -> list[tuple[Image, Image]]:
    """A few fields of grain, used in turn: what is added (H, W, 3) and what is taken away."""
    size, strength = (shape[1], shape[0]), random.uniform(0.5, 2.0)
    out = []
    for _ in range(4):
        coarse = random.standard_normal((shape[0] // 2, shape[1] // 2), np.float32)
        grain = np.rint(strength * cv2.resize(coarse, size))
        parts = (np.maximum(grain, 0), np.maximum(-grain, 0))
        more, less = (np.repeat(p.astype(np.uint8)[..., None], 3, axis=2) for p in parts)
        out.append((more, less))
    return out
