"""What belongs to watering: crowns that are parts of their pots, and spouts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from novaflow_core.errors import PerceptionError
from novaflow_core.scene import Plane
from novaflow_core.spout import find_spout
from novaflow_perception.core.thing import Thing

Float = NDArray[np.float64]

NOUNS = frozenset({"plant", "watering can"})
_FLOATS_M = 0.035  # nothing that stands by itself has its lowest visible point so high
_WITHIN_M = 0.035  # from the crown's middle to what is seen of the pot, from above
_GAP_M = 0.04  # of height between what is seen of the crown and of the pot
_GREEN = 0.35  # share of a crown's pixels
_MIN_POINTS = 40


def crowns(things: Sequence[Thing], clouds: Mapping[int, Float], support: Plane) -> dict[int, int]:
    """Labels of crowns of leaves, each with the label of the pot that it grows from.

    The cut between things separates leaves from their pot: they jump in depth. A crown is green,
    floats, and is over what stands below it.

    Args:
        things: What was found in the view.
        clouds: (N, 3) points of each by label [m].
        support: What they stand on, in the clouds' frame.
    """
    known = {label: _known(cloud) for label, cloud in clouds.items()}
    standing = [t for t in things if t.shape.bottom_m < _FLOATS_M and len(known[t.label])]
    out: dict[int, int] = {}
    for thing in things:
        cloud = known[thing.label]
        green = thing.colours.get("green", 0.0)
        if thing.shape.bottom_m < _FLOATS_M or green < _GREEN or len(cloud) < _MIN_POINTS:
            continue
        middle = np.median(cloud @ support.basis().T, axis=0)
        below = [t for t in standing if thing.shape.bottom_m - t.shape.top_m < _GAP_M]
        outside = {t.label: _outside_m(known[t.label], middle, support) for t in below}
        pot = min(outside, key=lambda label: outside[label], default=0)
        if pot and outside[pot] < _WITHIN_M:
            out[thing.label] = pot
    return out


def completed(
    things: Sequence[Thing], grown: Mapping[int, int], clouds: Mapping[int, Float], support: Plane
) -> tuple[Thing, ...]:
    """The things that stand: with their crowns, and with the reach of their spouts.

    Args:
        things: What was found in the view.
        grown: Crowns and their pots, as `crowns` tells them.
        clouds: (N, 3) points of each by label [m].
        support: What they stand on, in the clouds' frame.
    """
    out = []
    for thing in things:
        if thing.label in grown:
            continue
        own = [t for t in things if grown.get(t.label) == thing.label]
        cloud = np.concatenate([clouds[t.label] for t in (thing, *own)])
        shape = replace(thing.shape, spout_m=_spout_reach_m(cloud, support))
        colours = dict(thing.colours)
        for crown in own:
            top = max(shape.top_m, crown.shape.top_m)
            shape = replace(shape, crown=1.0, top_m=top)
            # Either part's colour is the plant's.
            colours = {name: max(share, crown.colours[name]) for name, share in colours.items()}
        out.append(replace(thing, shape=shape, colours=colours))
    return tuple(out)


def _spout_reach_m(cloud: Float, support: Plane) -> float:
    """How far a spout sticks out of a thing (N, 3) [m]; 0 where none does."""
    try:
        return find_spout(_known(cloud), support).reach_m
    except PerceptionError:
        return 0.0


def _outside_m(cloud: Float, at: Float, support: Plane) -> float:
    """How far a place (2,) is outside of the outline of a cloud from above [m]."""
    flat = cloud[:: max(1, len(cloud) // 2000)] @ support.basis().T
    hull = cv2.convexHull(np.ascontiguousarray(flat, np.float32))
    inside = cv2.pointPolygonTest(hull, (float(at[0]), float(at[1])), True)
    return -float(inside)


def _known(cloud: Float) -> Float:
    return cloud[np.isfinite(cloud).all(axis=1)].astype(float)
