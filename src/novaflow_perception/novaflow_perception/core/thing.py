"""One thing that was seen on the support, measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from novaflow_perception.core import colour
from novaflow_perception.core.colour import ColourSettings
from novaflow_perception.core.shape import Shape


@dataclass(frozen=True)
class Thing:
    """One thing on the support.

    Attributes:
        label: Its label in the segmentation.
        shape: Its measures.
        colours: Share of its pixels by colour name.
        centre_px: (2,) mean pixel, u right and v down.
        bearing: How far to the right it is seen, as a tangent.
        place_m: (2,) middle of its outline along the support, to the right and away as seen from
            the camera [m].
        distance_m: Of its nearest parts from the camera, along the support [m].
        cut_off: Whether it reaches the image's border.
    """

    label: int
    shape: Shape
    colours: dict[str, float]
    centre_px: NDArray[np.float64]
    bearing: float
    place_m: NDArray[np.float64]
    distance_m: float
    cut_off: bool

    def size(self) -> float:
        """A length that stands for its size [m]."""
        s = self.shape
        return float(np.cbrt(max(s.long_m, 0.01) * max(s.short_m, 0.01) * max(s.height_m, 0.01)))

    def description(self, settings: ColourSettings) -> str:
        """What was seen, for people."""
        s = self.shape
        colours = " and ".join(colour.main_colours(self.colours, settings)) or "of no clear colour"
        form = "angular" if s.boxy > 0.5 else "round"
        top = ", open" if s.hollow > 0.05 else ""
        extent = f"{s.long_m * 1e3:.0f}x{s.short_m * 1e3:.0f}x{s.height_m * 1e3:.0f} mm"
        return f"{colours}, {form}{top}, {extent}"
