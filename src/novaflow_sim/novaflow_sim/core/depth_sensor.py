"""What a stereo depth camera makes of true depth: noise, steps, holes, a slip against colour."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class DepthNoise:
    """Parameters of the sensor.

    Attributes:
        sigma_m: Standard deviation at `reference_m` [m]; it grows with the square of depth.
        reference_m: See `sigma_m` [m].
        correlated: Share of the variance that is smooth over a few pixels, as by a matching window.
        edge_ratio: A neighbour nearer or farther by more than this fraction of depth makes an edge.
        edge_px: Width of the band along an edge where depth may be missing [px].
        edge_hole_rate: Chance of a hole within that band.
        misregistration_px: Depth lies this far right and below of colour [px]; whole pixels.
        near_m: Nothing is seen nearer than this [m].
        far_m: Nor farther [m].
    """

    sigma_m: float = 0.002
    reference_m: float = 0.7
    correlated: float = 0.5
    edge_ratio: float = 0.02
    edge_px: int = 3
    edge_hole_rate: float = 0.6
    misregistration_px: int = 1
    near_m: float = 0.25
    far_m: float = 6.0


class DepthSensor:
    """Turns true depth into what the sensor reports; noise differs from frame to frame."""

    def __init__(self, noise: DepthNoise, width: int, height: int, seed: int) -> None:
        """Draw the noise fields; every frame uses a random window and sign of one of them."""
        self._noise = noise
        self._rng = np.random.default_rng(seed)
        self._size = (height, width)
        margin = 128
        shape = (height + margin, width + margin)
        self._margin = margin
        self._fields = [self._field(shape) for _ in range(3)]
        self._chances = self._rng.random(shape, np.float32)

    def _field(self, shape: tuple[int, int]) -> NDArray[np.float32]:
        draw = self._rng.standard_normal(shape, np.float32)
        smooth = np.asarray(cv2.GaussianBlur(draw, (0, 0), sigmaX=2.0, sigmaY=2.0), np.float32)
        smooth = smooth / smooth.std()
        white = self._rng.standard_normal(shape, np.float32)
        share = self._noise.correlated
        return np.asarray(np.sqrt(share) * smooth + np.sqrt(1.0 - share) * white, np.float32)

    def measure(self, depth_m: NDArray[np.float32]) -> NDArray[np.uint16]:
        """Measure one frame.

        Args:
            depth_m: (H, W) true depth along optical +z [m].

        Returns:
            (H, W) depth [mm]; 0 where nothing was seen.
        """
        n = self._noise
        depth = np.ascontiguousarray(depth_m, np.float32)
        field = self._window(self._fields[self._rng.integers(len(self._fields))])
        sign = np.float32(n.sigma_m / n.reference_m**2 * (1 if self._rng.random() < 0.5 else -1))
        noisy = depth + sign * field * depth * depth
        noisy[self._holes(depth)] = 0.0
        noisy[(depth < n.near_m) | (depth > n.far_m)] = 0.0
        out = np.rint(noisy * np.float32(1000.0)).astype(np.uint16)
        shift = n.misregistration_px
        if shift:
            moved = np.zeros_like(out)
            moved[shift:, shift:] = out[:-shift, :-shift]
            return moved
        return out

    def _holes(self, depth: NDArray[np.float32]) -> NDArray[np.bool_]:
        n = self._noise
        kernel = np.ones((3, 3), np.uint8)
        jump = cv2.dilate(depth, kernel) - cv2.erode(depth, kernel) > n.edge_ratio * depth
        width = max(1, n.edge_px)
        band = cv2.dilate(jump.astype(np.uint8), np.ones((width, width), np.uint8)) > 0
        return band & (self._window(self._chances) < n.edge_hole_rate)

    def _window(self, field: NDArray[np.float32]) -> NDArray[np.float32]:
        top, left = self._rng.integers(0, self._margin, 2)
        height, width = self._size
        return field[top : top + height, left : left + width]


class ColourSensor:
    """Adds the grain of a colour sensor; it differs from frame to frame."""

    _MARGIN = 128

    def __init__(self, sigma: float, width: int, height: int, seed: int) -> None:
        """Draw the grain once; `sigma` is in grey levels, 0 for none."""
        self._rng = np.random.default_rng([seed, 1])
        self._size = (height, width)
        self._offset = int(np.ceil(3 * sigma))
        shape = (height + self._MARGIN, width + self._MARGIN, 3)
        grain = np.rint(self._offset + sigma * self._rng.standard_normal(shape, np.float32))
        self._grain = np.clip(grain, 0, 255).astype(np.uint8)
        self._level = np.full((height, width, 3), self._offset, np.uint8)

    def measure(self, colour: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the image (H, W, 3) with grain."""
        if self._offset == 0:
            return colour
        height, width = self._size
        top, left = self._rng.integers(0, self._MARGIN, 2)
        grain = np.ascontiguousarray(self._grain[top : top + height, left : left + width])
        # Both saturate, unlike NumPy's uint8.
        lifted = cv2.add(colour, grain)
        return np.asarray(cv2.subtract(lifted, self._level), np.uint8)
