"""Does a thing hang by its handle on a peg? And which motion hangs it there."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from novaflow_core import se3
from novaflow_core.footprint import Footprint
from novaflow_core.handle import Handle, find_handle
from novaflow_core.peg import Peg, find_peg
from novaflow_core.relations import RelationCheck
from novaflow_core.scene import Plane

Float = NDArray[np.float64]

_ON_PEG = 0.45  # of the peg's length, from the stem's axis: where the hole ends
_BEFORE_TIP_M = 0.035  # from the tip to the hole's plane, before it is slid on
_DROP_GAP_M = 0.005  # between the peg and what will rest on it when it is let go
_BEYOND_M = 0.008  # of the peg, through the hole
_OFF_TABLE_M = 0.015
_MAX_ASKEW_RAD = float(np.radians(50.0))  # between peg and hole axis: it still goes through
# Where something that was let go on a peg may come to rest.
_REST_SHARES = (0.3, 0.42, 0.55, 0.7, 0.85)  # of the peg's length
_REST_LEANS_RAD = tuple(np.radians([4.0, 12.0, 20.0, 28.0, 38.0]))
_REST_OUT = (-0.3, 0.2, 0.6)  # of the hole's half width
_REST_TURNS_RAD = (-0.2, 0.0, 0.2)
_ARM_M = 0.1  # arc length per radian, so that angles and distances share one tolerance


@dataclass(frozen=True)
class HangingGoal:
    """How to hang it, planning frame.

    Attributes:
        turn_rad: About the support's normal, about the hole's middle.
        shift: (3,) of the hole's middle [m].
        legs: Last pieces (3,) of the way, in order [m]: on along the peg, down.
    """

    turn_rad: float
    shift: Float
    legs: tuple[Float, ...]


@dataclass(frozen=True)
class Hanging:
    """A handle and a peg, measured before anything moves.

    Attributes:
        handle: Of the target.
        peg: Of the reference.
        support: What both stand on.
        lowest: (M, 3) points of the target's foot [m].
    """

    handle: Handle
    peg: Peg
    support: Plane
    lowest: Float

    @classmethod
    def measure(
        cls, target: Float, foot: Footprint, reference: Float, support: Plane, eye: Float
    ) -> Hanging:
        """Measure both.

        Args:
            target: (N, 3) points of what is to hang [m].
            foot: Its footprint.
            reference: (M, 3) points of the tree [m].
            support: What both stand on.
            eye: (3,) position of the camera [m].

        Raises:
            PerceptionError: TARGET_NOT_FOUND or REFERENCE_NOT_FOUND where no handle or no peg is
                seen.
        """
        angle = np.arange(16) * (np.pi / 8)
        ring = foot.centre + float(foot.half[0]) * np.stack([np.cos(angle), np.sin(angle)], -1)
        lowest = ring @ support.basis() + (foot.bottom_m - support.offset) * support.normal
        handle = find_handle(target, foot, support)
        return cls(handle, find_peg(reference, support, eye), support, lowest)

    def goal(self) -> HangingGoal:
        """How to hang it: turned the shorter way, slid on along the peg, lowered."""
        handle, peg, up = self.handle, self.peg, self.support.normal
        turns = [_signed_angle(handle.axis, sign * peg.way, up) for sign in (1.0, -1.0)]
        turn = min(turns, key=abs)
        on = peg.root + max(_ON_PEG * peg.length_m, 3 * peg.radius_m) * peg.way
        before = peg.tip + _BEFORE_TIP_M * peg.way
        lowered = max(handle.half_up_m - peg.radius_m - _DROP_GAP_M, 0.0)
        end = on - lowered * up
        return HangingGoal(turn, end - handle.hole, (on - before, end - on))

    def check(self, motion: Float) -> RelationCheck:
        """Check a motion (4, 4) of the target: is the peg through its hole, and it off the table?

        The error is 0 or less where the peg's surface stays within the hole.
        """
        handle, peg = self.handle, self.peg
        turn = motion[:3, :3]
        hole, axis = se3.apply(motion, handle.hole), turn @ handle.axis
        askew = float(np.arccos(np.clip(abs(axis @ peg.way), 0.0, 1.0)))
        along = float((hole - peg.root) @ axis) / (peg.way @ axis) if askew < 1.5 else np.inf
        crossing = peg.root + min(along, 1.0) * peg.way - hole
        out = abs(float(crossing @ (turn @ handle.outward))) - handle.half_out_m
        over = abs(float(crossing @ (turn @ handle.up))) - handle.half_up_m
        left_m = peg.length_m - along
        bottom = float(self.support.height(se3.apply(motion, self.lowest)).min())
        errors = (
            max(out, over),
            _BEYOND_M - left_m,
            -along,
            (askew - _MAX_ASKEW_RAD) * _ARM_M,
            _OFF_TABLE_M - bottom,
        )
        passes = (
            f"the peg passes the handle's hole {1e3 * -max(out, over):.0f} mm within its edge"
            if max(out, over) <= 0
            else f"the peg passes {1e3 * max(out, over):.0f} mm outside of the handle's hole"
        )
        return RelationCheck(
            float(max(errors)),
            f"{passes}, {1e3 * left_m:.0f} mm of the peg lie beyond ({1e3 * _BEYOND_M:.0f} "
            f"needed), {np.degrees(askew):.0f} deg askew, its bottom is {1e3 * bottom:.0f} mm "
            "above the support",
        )

    def at_rest(self, motion: Float) -> list[Float]:
        """Motions in which it may rest on the peg that a motion (4, 4) has put it on.

        It hangs by the upper inside of its handle and has swung down about the peg, its body under
        the peg's height, more or less far: something may have stopped it.
        """
        handle, peg, up = self.handle, self.peg, self.support.normal
        turn = motion[:3, :3]
        aside = turn @ -handle.outward  # from the peg to the body
        sinks = -np.sign(np.cross(peg.way, aside) @ up) or 1.0
        top = handle.hole + max(handle.half_up_m - peg.radius_m, 0.0) * handle.up
        found = []
        for lean, spin in itertools.product(_REST_LEANS_RAD, _REST_TURNS_RAD):
            rotation = se3.exp_so3(sinks * lean * peg.way) @ se3.exp_so3(spin * up) @ turn
            for share, out in itertools.product(_REST_SHARES, _REST_OUT):
                on = top + out * handle.half_out_m * handle.outward
                at = peg.root + share * peg.length_m * peg.way
                found.append(se3.from_rt(rotation, at - rotation @ on))
        return found


def _signed_angle(start: Float, end: Float, up: Float) -> float:
    """Angle [rad] about `up` that turns one direction over another, seen from above."""
    flat = [v - (v @ up) * up for v in (start, end)]
    return float(np.arctan2(np.cross(flat[0], flat[1]) @ up, flat[0] @ flat[1]))
