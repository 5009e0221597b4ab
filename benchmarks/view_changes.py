"""Changes to an annotated RGB-D view that leave its meaning: light, noise, mirror, roll, size."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from novaflow_core.camera import CameraModel
from novaflow_core.scene import RgbdView

_SWAPPED = {
    "left": "right",
    "right": "left",
    "left_of": "right_of",
    "right_of": "left_of",
    "clockwise": "counterclockwise",
    "counterclockwise": "clockwise",
}
_JUMP_M = 0.02  # depth is not interpolated across more


@dataclass(frozen=True)
class Change:
    """What is done to a view; the default does nothing.

    Attributes:
        name: For tables.
        gain: Factor of all colours.
        white_balance: Red up and blue down by this factor.
        depth_noise_m: Standard deviation of depth at 1 m [m]; grows with its square.
        holes: Share of the depth that is lost in blots.
        dark: Depth is lost where the brightest channel is below this, 0..255.
        mirror: Left and right are swapped, in the words as well.
        roll_deg: The camera is turned about its optical axis.
        scale: Size of the image.
        crop_rows: Height that is kept after scaling, around what is annotated; 0: all.
    """

    name: str = "as taken"
    gain: float = 1.0
    white_balance: float = 1.0
    depth_noise_m: float = 0.0
    holes: float = 0.0
    dark: float = 0.0
    mirror: bool = False
    roll_deg: float = 0.0
    scale: float = 1.0
    crop_rows: int = 0

    def view(self, view: RgbdView, annotated: NDArray[np.bool_]) -> RgbdView:
        """Apply it to a view (H, W)."""
        color, depth = self._light(view.color), self._returns(view.depth, view.color)
        model = view.model
        if self.mirror:
            model = replace(model, cx=model.width - 1 - model.cx)
        h, w = round(model.height * self.scale), round(model.width * self.scale)
        rows = self._rows(annotated)
        model = CameraModel(
            w,
            rows.stop - rows.start,
            model.fx * self.scale,
            model.fy * self.scale,
            (model.cx + 0.5) * self.scale - 0.5,
            (model.cy + 0.5) * self.scale - 0.5 - rows.start,
        )
        how = cv2.INTER_AREA if self.scale < 1 else cv2.INTER_LINEAR
        color = self._turned(color, view.model, cv2.INTER_LINEAR, 0)
        depth = self._turned(depth, view.model, cv2.INTER_NEAREST, float("nan"))
        if self.scale != 1.0:
            color = cv2.resize(color, (w, h), interpolation=how)
            depth = _resized_depth(depth, (w, h))
        return replace(
            view,
            color=np.ascontiguousarray(color[rows]),
            depth=np.ascontiguousarray(depth[rows], np.float32),
            model=model,
        )

    def mask(
        self, mask: NDArray[np.bool_], annotated: NDArray[np.bool_], model: CameraModel
    ) -> NDArray[np.bool_]:
        """Apply it to annotated pixels (H, W) of the view with this model."""
        out = self._turned(mask.astype(np.uint8), model, cv2.INTER_NEAREST, 0)
        if self.scale != 1.0:
            size = (round(model.width * self.scale), round(model.height * self.scale))
            out = cv2.resize(out, size, interpolation=cv2.INTER_NEAREST)
        return np.asarray(out[self._rows(annotated)] > 0)

    def words(self, text: str) -> str:
        """Apply it to an instruction, or to the name of a direction or relation."""
        if not self.mirror:
            return text
        if text in _SWAPPED:
            return _SWAPPED[text]
        pattern = r"left|right|\b(?:counter)?clockwise"
        return re.sub(pattern, lambda found: _SWAPPED[found.group()], text)

    def _light(self, color: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if self.gain == 1.0 and self.white_balance == 1.0:
            return color
        factors = self.gain * np.array([self.white_balance, 1.0, 1.0 / self.white_balance])
        return np.asarray(np.clip(color * factors, 0, 255).astype(np.uint8))

    def _returns(
        self, depth: NDArray[np.float32], color: NDArray[np.uint8]
    ) -> NDArray[np.float32]:
        rng = np.random.default_rng(0)
        out = depth.astype(np.float32)
        if self.depth_noise_m:
            noise = rng.normal(0, self.depth_noise_m, depth.shape)
            out = (out + noise * np.nan_to_num(depth) ** 2).astype(np.float32)
        if self.holes:
            blots = cv2.GaussianBlur(rng.normal(size=depth.shape), (0, 0), 3.0)
            out[blots > np.quantile(blots, 1 - self.holes)] = np.nan
        if self.dark:
            out[color.max(axis=2) < self.dark] = np.nan
        return out

    def _turned(self, image: NDArray, model: CameraModel, how: int, outside: float) -> NDArray:
        if self.mirror:
            image = np.ascontiguousarray(image[:, ::-1])
        if self.roll_deg:
            cx = model.width - 1 - model.cx if self.mirror else model.cx
            turn = cv2.getRotationMatrix2D((cx, model.cy), self.roll_deg, 1.0)
            size = (model.width, model.height)
            image = cv2.warpAffine(image, turn, size, flags=how, borderValue=(outside,) * 3)
        return image

    def _rows(self, annotated: NDArray[np.bool_]) -> slice:
        height = round(annotated.shape[0] * self.scale)
        if not self.crop_rows:
            return slice(0, height)
        rows = np.flatnonzero(annotated.any(axis=1)) * self.scale
        middle = (rows[0] + rows[-1]) / 2
        first = int(np.clip(middle - self.crop_rows / 2, 0, height - self.crop_rows))
        return slice(first, first + self.crop_rows)


def _resized_depth(depth: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Depth interpolated where it is continuous, from the nearest pixel elsewhere."""
    nearest = cv2.resize(depth, size, interpolation=cv2.INTER_NEAREST)
    if size[0] <= depth.shape[1]:
        return nearest
    smooth = cv2.resize(depth, size, interpolation=cv2.INTER_LINEAR)  # NaN spreads
    known = np.isfinite(smooth) & np.isfinite(nearest)
    near = np.abs(np.nan_to_num(smooth) - np.nan_to_num(nearest)) < _JUMP_M
    return np.where(known & near, smooth, nearest).astype(np.float32)


CHANGES = (
    Change(),
    Change("gain 0.75", gain=0.75),
    Change("gain 1.25", gain=1.25),
    Change("white balance 1.05", white_balance=1.05),
    Change("white balance 0.95", white_balance=0.95),
    Change("depth noise 3 mm", depth_noise_m=0.003),
    Change("gain, balance, noise", gain=0.8, white_balance=1.04, depth_noise_m=0.003),
    Change("mirrored", mirror=True),
    Change("roll +10 deg", roll_deg=10.0),
    Change("roll -10 deg", roll_deg=-10.0),
    Change("half size", scale=0.5),
    Change("1280x720", scale=2.0, crop_rows=720),
    Change("holes 10 %", holes=0.1),
    Change("no depth on dark", dark=60.0),
    Change("mirrored, holes, noise", mirror=True, holes=0.05, depth_noise_m=0.002),
)
