"""What every video of one object in one view is compared with, measured once for all of them."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from novaflow_core.camera import CameraModel
from novaflow_core.errors import Code, TrackingError
from novaflow_core.scene import RgbdView
from novaflow_flowgen.core.outline import outlined
from novaflow_flowgen.core.tracks import seed_points
from novaflow_flowgen.core.warp import Surface, smooth_depth, surface_of

Float = NDArray[np.float64]
Gray = NDArray[np.uint8]

_MAX_SURFACE = 16000  # pixels that the alignment renders; larger objects are aligned on fewer
_MAX_SHRINK = 4
MAX_TRACKS = 360  # more tracks share their errors and only cost time
_KEPT = 2  # templates in memory: one per object that is looked at alternately


@dataclass(frozen=True)
class AlignmentTemplate:
    """The object as the alignment renders it, on an image shrunk by a whole number.

    Attributes:
        shrink: 1, 2, 3 ...; a pixel of the shrunk image covers a square of so many.
        model: Intrinsics of the shrunk image.
        mask: (h, w) the object.
        surface: Its pixels and points.
        depth_behind: (h, w) [m] of everything else; very large where unknown.
    """

    shrink: int
    model: CameraModel
    mask: NDArray[np.bool_]
    surface: Surface
    depth_behind: NDArray[np.float32]

    def scaled(self, image: Gray) -> Gray:
        """Shrink a grey image (H, W) of the view's size to (h, w)."""
        if self.shrink == 1:
            return image
        n, size = self.shrink, (self.model.width, self.model.height)
        part = image[: size[1] * n, : size[0] * n]
        return np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.uint8)

    def pixels(self, pixels: Float) -> Float:
        """Where pixels (P, 2) of the view lie in the shrunk image."""
        # Pixel centres are at whole numbers, so the first one moves as well.
        return np.asarray((pixels - (self.shrink - 1) / 2) / self.shrink)

    def whole(self, pixels: Float) -> Float:
        """Where pixels (P, 2) of the shrunk image lie in the view."""
        return np.asarray(pixels * self.shrink + (self.shrink - 1) / 2)


@dataclass(frozen=True)
class ObjectTemplate:
    """One object in one view.

    Attributes:
        points: (P, 3) of the flow, optical frame [m].
        tracked: Indices of the points that are tracked in the image.
        depth_behind: (H, W) [m] of everything else; very large where unknown.
        alignment: The same for the alignment.
    """

    points: Float
    tracked: NDArray[np.int64]
    depth_behind: NDArray[np.float32]
    alignment: AlignmentTemplate


class TemplateStore:
    """Makes templates, and keeps the newest: all candidates of a goal share one."""

    def __init__(self, min_seeds: int, max_tracks: int = MAX_TRACKS) -> None:
        """Keep the fewest points that an object must have, and the most that are tracked."""
        self._min_seeds, self._max_tracks = min_seeds, max_tracks
        self._lock = threading.Lock()
        self._kept: list[tuple[RgbdView, NDArray[np.bool_], ObjectTemplate]] = []

    def of(self, view: RgbdView, mask: NDArray[np.bool_]) -> ObjectTemplate:
        """Template of the object at `mask` (H, W).

        Raises:
            TrackingError: TRACKS_TOO_FEW when too little of the object has depth.
        """
        with self._lock:
            for known_view, known_mask, template in self._kept:
                if known_view is view and np.array_equal(known_mask, mask):
                    return template
            template = make_template(view, mask, self._min_seeds, self._max_tracks)
            self._kept = [(view, mask, template), *self._kept[: _KEPT - 1]]
            return template


def make_template(
    view: RgbdView, mask: NDArray[np.bool_], min_seeds: int, max_tracks: int = MAX_TRACKS
) -> ObjectTemplate:
    """Measure an object; see `TemplateStore.of`."""
    measured = np.isfinite(view.depth)
    known = mask & measured
    outline = outlined(view.color, measured, mask)
    depth = smooth_depth(np.where(mask, view.depth, np.nan), outline, size=9)
    seeds = seed_points(outline, known)
    if len(seeds) < min_seeds:
        raise TrackingError(
            Code.TRACKS_TOO_FEW,
            f"only {len(seeds)} points with depth lie on the object; {min_seeds} are needed",
            {"seeds": len(seeds)},
        )
    index = seeds.astype(int)
    points = view.model.lift_pixels(seeds, depth[index[:, 1], index[:, 0]])
    behind = np.where(measured & ~mask & ~outline, view.depth, 1e6).astype(np.float32)
    behind = np.where(outline, np.float32(1e6), cv2.medianBlur(behind, 5))
    shuffled = np.random.default_rng(0).permutation(len(points))
    return ObjectTemplate(
        points,
        np.sort(shuffled[:max_tracks]),
        behind,
        _shrunk(depth, behind, outline, view.model),
    )


def _shrunk(
    depth: NDArray[np.float32],
    behind: NDArray[np.float32],
    mask: NDArray[np.bool_],
    model: CameraModel,
) -> AlignmentTemplate:
    pixels = int(np.isfinite(depth).sum())
    n = min(int(np.ceil(np.sqrt(pixels / _MAX_SURFACE))), _MAX_SHRINK)
    if n <= 1:
        return AlignmentTemplate(1, model, mask, surface_of(depth, mask, model), behind)
    size = (model.width // n, model.height // n)
    shift = (n - 1) / 2
    small = CameraModel(
        *size, model.fx / n, model.fy / n, (model.cx - shift) / n, (model.cy - shift) / n
    )
    part = (slice(0, size[1] * n), slice(0, size[0] * n))
    nearest = cv2.INTER_NEAREST
    mask = cv2.resize(mask[part].astype(np.uint8) * 255, size, interpolation=cv2.INTER_AREA) > 127
    depth = np.asarray(cv2.resize(depth[part], size, interpolation=nearest), np.float32)
    behind = np.asarray(cv2.resize(behind[part], size, interpolation=nearest), np.float32)
    depth = smooth_depth(depth, mask & np.isfinite(depth))
    return AlignmentTemplate(n, small, mask, surface_of(depth, mask, small), behind)
