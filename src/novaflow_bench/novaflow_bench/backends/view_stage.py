"""Stages of annotated RGB-D views of real tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from novaflow_bench.core.stage import Ask, Depth, Image, Stage
from novaflow_core import se3
from novaflow_core.camera import CameraModel
from novaflow_core.errors import Code, PlatformError
from novaflow_core.relations import direction_vector
from novaflow_core.scene import Plane, RgbdView
from novaflow_core.task import Direction
from novaflow_flowgen.core.warp import smooth_depth

Float = NDArray[np.float64]
Mask = NDArray[np.bool_]

_TRAVELS_M = (0.11, 0.09, 0.075, 0.06)  # the longest that touches nothing
_APART_M = 0.006
_HOP_M = 0.03
_TABLE_LABEL = 1
_PLANE_TRIES, _PLANE_M = 300, 0.006
_MARGIN_PX = 9


def annotated(folder: Path) -> list[dict[str, Any]]:
    """Instructions of a folder of views whose target is annotated, a view's first one first.

    Raises:
        PlatformError: INVALID_SETTING when there is no list.
    """
    path = folder / "instructions.json"
    if not path.is_file():
        raise PlatformError(Code.INVALID_SETTING, f"there are no annotated views in {folder}")
    found = [
        entry for entry in json.loads(path.read_text()) if entry["present"] and "label" in entry
    ]
    seen: dict[str, int] = {}
    for entry in found:
        entry["turn"] = seen[entry["view"]] = seen.get(entry["view"], -1) + 1
    return sorted(found, key=lambda entry: int(entry["turn"]))


def view_stage(folder: Path, entry: dict[str, Any]) -> Stage:
    """Stage of one instruction about one view; the world frame is the camera's.

    Raises:
        PlatformError: INVALID_SETTING when files are missing, or where the thing would run into
            another one, so that no video of it is right.
    """
    place = folder / entry["view"]
    bgr = cv2.imread(str(place / "color.png"))
    millimetres = cv2.imread(str(place / "depth_mm.png"), cv2.IMREAD_UNCHANGED)
    marks = cv2.imread(str(place / "label.png"), cv2.IMREAD_UNCHANGED)
    if bgr is None or millimetres is None or marks is None:
        raise PlatformError(Code.INVALID_SETTING, f"{place} lacks colour, depth or annotation")
    color = np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)
    raw = np.asarray(millimetres, np.float32) / 1000.0
    depth = np.where(raw > 0, raw, np.nan).astype(np.float32)
    labels = np.asarray(marks, np.uint8)
    camera = json.loads((place / "camera.json").read_text())
    height, width = depth.shape
    model = CameraModel(width, height, *(float(camera[name]) for name in ("fx", "fy", "cx", "cy")))
    view = RgbdView("camera", "camera", 0, color, depth, model, np.eye(4))
    support = _plane(model.back_project(depth)[labels == _TABLE_LABEL])
    target = int(entry["label"])
    direction = Direction(entry["direction"])
    words = str(entry["instruction"]).split()
    slides = words[0] in ("push", "pull", "slide", "drag")
    whole = depth.copy()
    for label in np.unique(labels[labels > _TABLE_LABEL]):
        mask = labels == label
        whole[mask] = smooth_depth(depth, mask, size=9)[mask]
    way = direction_vector(direction, np.eye(4), support)
    points = model.back_project(whole)
    things = (labels > _TABLE_LABEL) & (labels != target) & np.isfinite(whole)
    own = points[(labels == target) & np.isfinite(whole)]
    shift = _free_travel(own, points[things], way, support) * way
    ask = Ask(se3.from_rt(np.eye(3), shift), False, slides, _HOP_M, 0.0, (0.0, 0.0), (0.0, 0.0))
    name = f"{entry['view']}_{entry['turn']}"
    backdrop = _Painted(color, whole, labels, model, support)
    return Stage(
        name, view, str(entry["instruction"]), color, whole, labels, target, np.eye(4), support,
        ask, backdrop,
    )  # fmt: skip


def _free_travel(own: Float, others: Float, way: Float, support: Plane) -> float:
    """How far (m) a thing's points (N, 3) can go without running into others (M, 3)."""
    if abs(float(way @ support.normal)) > 0.9 or len(others) == 0:
        return _TRAVELS_M[0]
    basis = support.basis()
    flat, taken = own @ basis.T, others @ basis.T
    thin = slice(None, None, max(1, len(flat) // 800))
    tree = cKDTree(taken)
    before = float(tree.query(flat[thin])[0].min())
    for travel in _TRAVELS_M:
        # Things that touch already may go on doing so, but come no closer.
        least = min(_APART_M, 0.7 * before)
        steps = np.linspace(0.0, 1.05 * travel, 12)[1:]
        if all(tree.query(flat[thin] + s * (basis @ way))[0].min() >= least for s in steps):
            return travel
    raise PlatformError(Code.INVALID_SETTING, "it would run into something on its way")


def _plane(points: Float) -> Plane:
    """Plane through most of the points (N, 3), pointing toward the camera."""
    known = points[np.isfinite(points).all(axis=1)].astype(float)
    known = known[:: max(1, len(known) // 4000)]
    random = np.random.default_rng(0)
    best, most = np.zeros(4), -1
    for _ in range(_PLANE_TRIES):
        a, b, c = known[random.choice(len(known), 3, replace=False)]
        normal = np.cross(b - a, c - a)
        normal /= max(float(np.linalg.norm(normal)), 1e-12)
        count = int((np.abs((known - a) @ normal) < _PLANE_M).sum())
        if count > most:
            best, most = np.array([*normal, -float(a @ normal)]), count
    near = known[np.abs(known @ best[:3] + best[3]) < _PLANE_M]
    middle = near.mean(axis=0)
    normal = np.linalg.svd(near - middle, full_matrices=False)[2][2]
    normal *= -np.sign(middle @ normal)
    return Plane(normal, -float(middle @ normal))


class _Painted:
    """A view without some of its things: colours from around them, depth of the table."""

    def __init__(
        self, color: Image, depth: Depth, labels: Image, model: CameraModel, support: Plane
    ) -> None:
        self._color, self._depth, self._labels = color, depth, labels
        rays = model.rays()
        with np.errstate(divide="ignore"):
            plane = -support.offset / (rays @ support.normal)
        self._plane = np.where(plane > 0, plane, np.nan).astype(np.float32)
        self._kept: dict[tuple[int, ...], tuple[Image, Depth]] = {}

    def without(self, labels: tuple[int, ...]) -> tuple[Image, Depth]:
        """See `Backdrop.without`."""
        key = tuple(sorted(labels))
        if key not in self._kept:
            self._kept[key] = self._paint(np.isin(self._labels, key))
        return self._kept[key]

    def _paint(self, mask: Mask) -> tuple[Image, Depth]:
        hole = cv2.dilate(mask.astype(np.uint8), np.ones((_MARGIN_PX, _MARGIN_PX), np.uint8)) > 0
        hole &= mask | (self._labels <= _TABLE_LABEL)
        color = np.asarray(
            cv2.inpaint(self._color, hole.astype(np.uint8), 5, cv2.INPAINT_TELEA), np.uint8
        )
        return color, np.where(hole, self._plane, self._depth).astype(np.float32)
