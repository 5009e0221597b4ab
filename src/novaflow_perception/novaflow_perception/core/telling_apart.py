"""Sizes, forms, places and landmarks: which of several things that fit a noun is meant.

Each function keeps those that the word fits; several are kept where they are too alike to choose,
which makes an ambiguity answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from novaflow_core.settings import setting
from novaflow_core.task import Relation
from novaflow_perception.core import kinds
from novaflow_perception.core.thing import Thing

Array = NDArray[np.float64]


@dataclass(frozen=True)
class TellingSettings:
    """By how much things must differ to be told apart."""

    size_ratio: float = setting(1.10, "ratio of sizes or lengths")
    place_m: float = setting(0.02, "difference of places along the support", unit="m")
    bearing: float = setting(0.024, "difference to the left or right, as a tangent")
    level_m: float = setting(0.015, "difference of heights above the support", unit="m")
    form: float = setting(0.3, "difference of fits to a form, 0..1")
    beside_m: float = setting(0.01, "least distance that counts as left of, behind, ...", unit="m")


def by_form(alike: Sequence[Thing], form: str, settings: TellingSettings) -> list[Thing]:
    """Keep those of a form."""
    return _greatest(alike, [kinds.form_fit(form, t.shape) for t in alike], settings.form)


def by_size(alike: Sequence[Thing], size: str, settings: TellingSettings) -> list[Thing]:
    """Keep the smallest, tallest, ..."""
    shapes = [thing.shape for thing in alike]
    lengths = {
        "tall": [s.height_m for s in shapes],
        "short": [1 / max(s.height_m, 0.005) for s in shapes],
        "long": [s.big_m for s in shapes],
        "wide": [s.long_m for s in shapes],
        "thin": [1 / max(min(s.short_m, s.height_m), 0.005) for s in shapes],
        "thick": [min(s.short_m, s.height_m) for s in shapes],
        "large": [t.size() for t in alike],
        "small": [1 / t.size() for t in alike],
    }[size]
    return _greatest(alike, np.log(lengths), float(np.log(settings.size_ratio)))


def by_place(alike: Sequence[Thing], place: str, settings: TellingSettings) -> list[Thing]:
    """Keep the leftmost, nearest, second from the right, ..."""
    first, _, rest = place.partition(" ")
    if rest.isdigit():
        return _counted(alike, first, int(rest), settings)
    if first == "middle":
        return _middle(alike, settings)
    if first == "corner":
        spread = _places(alike) - _places(alike).mean(axis=0)
        return _greatest(alike, np.linalg.norm(spread, axis=1), settings.place_m)
    value = _along(alike, first)
    if rest:  # "back left": of the corner, both count alike
        value = value + _along(alike, rest) * float(np.mean([t.distance_m for t in alike]))
    return _greatest(alike, value, _margin(first, settings))


def by_landmark(
    alike: Sequence[Thing], relation: str, mark: Thing, settings: TellingSettings
) -> list[Thing]:
    """Keep those that stand so to another thing, the nearest to it if several do.

    A single thing is kept anyway: nothing needs telling apart, and what is said of its place may
    have been seen otherwise.
    """
    if len(alike) < 2:
        return list(alike)
    between = _places(alike) - mark.place_m
    distance = np.linalg.norm(between, axis=1)
    reach = max(0.6 * mark.shape.long_m, 0.03)
    bottom = np.array([thing.shape.bottom_m for thing in alike])
    top = np.array([thing.shape.top_m for thing in alike])
    beside = settings.beside_m
    holds = {
        Relation.LEFT_OF: -between[:, 0] > beside,
        Relation.RIGHT_OF: between[:, 0] > beside,
        Relation.IN_FRONT_OF: -between[:, 1] > beside,
        Relation.BEHIND: between[:, 1] > beside,
        Relation.ON: (distance < reach) & (top > mark.shape.top_m + 0.005),
        Relation.OVER: (distance < reach) & (top > mark.shape.top_m + 0.005),
        Relation.IN: distance < reach,
        "under": (distance < reach) & (bottom < mark.shape.bottom_m),
    }.get(relation, distance < np.inf)
    kept = [thing for thing, good in zip(alike, holds, strict=True) if good]
    return _greatest(kept, -distance[holds], settings.place_m) if kept else []


def _places(things: Sequence[Thing]) -> Array:
    return np.array([thing.place_m for thing in things])


def _along(things: Sequence[Thing], side: str) -> Array:
    """How far each thing is to one side: [m], or a tangent to the left and right."""
    values = {
        "left": -np.array([t.bearing for t in things]),
        "right": np.array([t.bearing for t in things]),
        "front": -np.array([t.distance_m for t in things]),
        "back": np.array([t.distance_m for t in things]),
        "top": np.array([t.shape.top_m for t in things]),
        "bottom": -np.array([t.shape.top_m for t in things]),
    }
    side = {"nearest": "front", "farthest": "back"}.get(side, side)
    return np.asarray(values[side])


def _margin(side: str, settings: TellingSettings) -> float:
    if side in ("left", "right"):
        return settings.bearing
    return settings.level_m if side in ("top", "bottom") else settings.place_m


def _counted(
    alike: Sequence[Thing], side: str, number: int, settings: TellingSettings
) -> list[Thing]:
    """The second from the left and the like; those beside it that are as far are kept, too."""
    if number > len(alike):
        return []
    value = _along(alike, side if side != "middle" else "left")
    margin = _margin(side, settings)
    chosen = np.sort(value)[::-1][number - 1]
    return [t for t, v in zip(alike, value, strict=True) if abs(v - chosen) < margin]


def _middle(alike: Sequence[Thing], settings: TellingSettings) -> list[Thing]:
    """The one between the others: nearest to the middle of their places."""
    places = _places(alike)
    middle = (places.min(axis=0) + places.max(axis=0)) / 2
    return _greatest(alike, -np.linalg.norm(places - middle, axis=1), settings.place_m)


def _greatest(things: Sequence[Thing], value: Sequence[float] | Array, margin: float) -> list[Thing]:
    values = np.asarray(value, float)
    keep = values >= values.max() - margin
    return [thing for thing, chosen in zip(things, keep, strict=True) if chosen]
