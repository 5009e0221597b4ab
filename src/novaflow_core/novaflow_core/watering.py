"""Does a can water a plant? Its spout's tip over the plant, and the can tilted spout down."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from novaflow_core import se3
from novaflow_core.errors import Code
from novaflow_core.footprint import Footprint
from novaflow_core.relations import RelationCheck, footprint_of
from novaflow_core.scene import Plane
from novaflow_core.spout import Spout, find_spout

Float = NDArray[np.float64]

MIN_POUR_RAD = float(np.radians(32.0))
POUR_RAD = float(np.radians(40.0))  # what a motion aims at
_TIP_ABOVE_M = 0.045  # the plant's top, where the tip ends
_BEFORE_MIDDLE_M = 0.008  # what runs out flies on
_ALLOWED_SHARE = 0.75  # of the pot's radius, between the tip and its middle
_BELOW_TOP_M = 0.010
_HIGHEST_M = 0.10  # above the plant's top
_POT_SHARE = 0.75  # of the plant's height; the crown above it may lean
_ARM_M = 0.1  # arc length per radian, so that angles and distances share one tolerance


@dataclass(frozen=True)
class WateringGoal:
    """How to water, planning frame.

    Attributes:
        shift: (3,) of the spout's tip [m].
        rotation: (3,) about the tip, spout down [rad].
    """

    shift: Float
    rotation: Float


@dataclass(frozen=True)
class Watering:
    """A spout and a plant, measured before anything moves.

    Attributes:
        spout: Of the target.
        pot: Footprint of the reference without its crown.
        top_m: Height of the reference above the support, with its crown [m].
        support: What both stand on.
    """

    spout: Spout
    pot: Footprint
    top_m: float
    support: Plane

    @classmethod
    def measure(
        cls, target: Float, reference: Float, support: Plane, T_planning_camera: Float
    ) -> Watering:
        """Measure both.

        Args:
            target: (N, 3) points of the can [m].
            reference: (M, 3) points of the plant [m].
            support: What both stand on.
            T_planning_camera: (4, 4) of the camera that saw them.

        Raises:
            PerceptionError: TARGET_NOT_FOUND where no spout is seen, REFERENCE_NOT_FOUND where too
                little is seen of the plant.
        """
        known = reference[np.isfinite(reference).all(axis=1)]
        height = support.height(known)
        top = float(np.percentile(height, 98.5)) if len(height) else 0.0
        low = known[height < _POT_SHARE * top]
        pot = footprint_of(low, support, T_planning_camera, Code.REFERENCE_NOT_FOUND)
        return cls(find_spout(target, support), pot, top, support)

    def goal(self) -> WateringGoal:
        """How to water: as the can stands, without a turn about the vertical."""
        up, way = self.support.normal, self.spout.direction
        over = self.pot.centre @ self.support.basis() - _BEFORE_MIDDLE_M * way
        over = over + (self.top_m + _TIP_ABOVE_M - self.support.offset) * up
        return WateringGoal(over - self.spout.tip, POUR_RAD * np.cross(up, way))

    def check(self, motion: Float) -> RelationCheck:
        """Check a motion (4, 4) of the target: the tip over the pot, the spout pointing down.

        The error is 0 or less where both hold.
        """
        tip = se3.apply(motion, self.spout.tip)
        offset = float(np.linalg.norm(tip @ self.support.basis().T - self.pot.centre))
        allowed = _ALLOWED_SHARE * float(self.pot.half.min())
        above = float(self.support.height(tip)) - self.top_m
        sunk = -float(motion[:3, :3] @ self.spout.direction @ self.support.normal)
        angle = float(np.arcsin(np.clip(sunk, -1.0, 1.0)))
        errors = (
            offset - allowed,
            -_BELOW_TOP_M - above,
            above - _HIGHEST_M,
            (MIN_POUR_RAD - angle) * _ARM_M,
        )
        return RelationCheck(
            float(max(errors)),
            f"the spout's tip is {1e3 * offset:.0f} mm from over the middle of the pot "
            f"({1e3 * allowed:.0f} allowed), {1e3 * above:.0f} mm above its top, and the spout "
            f"points {np.degrees(angle):.0f} deg down ({np.degrees(MIN_POUR_RAD):.0f} needed)",
        )
