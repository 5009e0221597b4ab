"""Which of the things that were seen does a phrase mean?"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from novaflow_core.errors import Code, PerceptionError
from novaflow_core.settings import setting
from novaflow_core.task import ObjectPhrase
from novaflow_perception.core import colour, kinds
from novaflow_perception.core.colour import ColourSettings
from novaflow_perception.core.shape import Shape


@dataclass(frozen=True)
class ChoiceSettings:
    """When a thing is accepted for a phrase, and when two are too alike to choose."""

    least_fit: float = setting(0.30, "least fit of a shape to a noun, 0..1")
    alike: float = setting(0.75, "of the best score, above which another thing is as good")
    place_alike: float = setting(0.60, "the same where a place or a size tells things apart")
    size_ratio: float = setting(1.10, "by how much sizes must differ to be told apart")
    place_px: float = setting(0.02, "the same for places, as a share of the image's width")
    place_m: float = setting(0.02, "the same for distances from the camera", unit="m")
    frame_px: float = setting(2.0, "things this near to the image's border are cut off", unit="px")


@dataclass(frozen=True)
class Thing:
    """One thing on the support.

    Attributes:
        label: Its label in the segmentation.
        shape: Its measures.
        colours: Share of its pixels by colour name.
        centre_px: (2,) mean pixel, u right and v down.
        distance_m: Of its nearest parts from the camera, along the support [m].
        cut_off: Whether it reaches the image's border.
    """

    label: int
    shape: Shape
    colours: dict[str, float]
    centre_px: NDArray[np.float64]
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


@dataclass(frozen=True)
class Choice:
    """A thing and how well it fits its phrase, 0..1."""

    thing: Thing
    score: float


def choose(
    phrase: ObjectPhrase,
    things: Sequence[Thing],
    *,
    taken: Collection[int] = (),
    reference: bool = False,
    width_px: int = 640,
    settings: ChoiceSettings | None = None,
    colours: ColourSettings | None = None,
) -> Choice:
    """Choose the thing that a phrase means.

    Args:
        phrase: What the instruction says.
        things: What stands there.
        taken: Labels that other phrases mean already.
        reference: Whether the phrase names a reference; it decides the error's code.
        width_px: Width of the image.
        settings: Thresholds.
        colours: Thresholds of colour names.

    Raises:
        PerceptionError: TARGET_NOT_FOUND, REFERENCE_NOT_FOUND or AMBIGUOUS_TARGET, saying what was
            seen instead.
    """
    settings, colours = settings or ChoiceSettings(), colours or ColourSettings()
    fitting: list[Choice] = []
    for thing in things:
        if thing.label in taken or (thing.cut_off and not reference):
            continue
        form = kinds.fit(phrase.noun, thing.shape)
        if form < settings.least_fit:
            continue
        tone = colour.fit(phrase.colour, thing.colours, colours) if phrase.colour else 1.0
        if tone > 0:
            fitting.append(Choice(thing, form * tone))
    if not fitting:
        raise _not_found(phrase, things, reference, colours)
    best = max(choice.score for choice in fitting)
    told_apart = bool(phrase.place or phrase.size)
    limit = settings.place_alike if told_apart else settings.alike
    alike = [choice for choice in fitting if choice.score >= limit * best]
    if phrase.size and len(alike) > 1:
        alike = _by_size(alike, phrase.size, settings)
    if phrase.place and len(alike) > 1:
        alike = _by_place(alike, phrase.place, width_px, settings)
    if len(alike) > 1:
        raise _ambiguous(phrase, alike, colours)
    return alike[0]


def _by_size(alike: list[Choice], size: str, settings: ChoiceSettings) -> list[Choice]:
    sizes = np.array([choice.thing.size() for choice in alike])
    if size == "small":
        keep = sizes <= sizes.min() * settings.size_ratio
    else:
        keep = sizes >= sizes.max() / settings.size_ratio
    return [choice for choice, chosen in zip(alike, keep, strict=True) if chosen]


def _by_place(
    alike: list[Choice], place: str, width_px: int, settings: ChoiceSettings
) -> list[Choice]:
    along = {
        "left": [-choice.thing.centre_px[0] for choice in alike],
        "right": [choice.thing.centre_px[0] for choice in alike],
    }
    far = [choice.thing.distance_m for choice in alike]
    if place in along:
        value, margin = np.array(along[place]), settings.place_px * width_px
    else:
        sign = -1.0 if place in ("front", "nearest") else 1.0
        value, margin = sign * np.array(far), settings.place_m
    keep = value >= value.max() - margin
    return [choice for choice, chosen in zip(alike, keep, strict=True) if chosen]


def _named(phrase: ObjectPhrase) -> str:
    return f"'{phrase.text}'"


def _not_found(
    phrase: ObjectPhrase, things: Sequence[Thing], reference: bool, colours: ColourSettings
) -> PerceptionError:
    seen = "; ".join(thing.description(colours) for thing in things[:6]) or "nothing"
    code = Code.REFERENCE_NOT_FOUND if reference else Code.TARGET_NOT_FOUND
    return PerceptionError(
        code,
        f"nothing in view fits {_named(phrase)}; on the support: {seen}",
        {"phrase": phrase.text, "things": len(things)},
    )


def _ambiguous(
    phrase: ObjectPhrase, alike: list[Choice], colours: ColourSettings
) -> PerceptionError:
    by_place = sorted(alike, key=lambda choice: float(choice.thing.centre_px[0]))
    names = "; ".join(
        f"({chr(97 + i)}) {choice.thing.description(colours)} at pixel "
        f"({choice.thing.centre_px[0]:.0f}, {choice.thing.centre_px[1]:.0f})"
        for i, choice in enumerate(by_place[:6])
    )
    return PerceptionError(
        Code.AMBIGUOUS_TARGET,
        f"{_named(phrase)} fits {len(alike)} things, from left to right: {names}; "
        "say its colour, size or place",
        {"phrase": phrase.text, "choices": [choice.thing.label for choice in by_place]},
    )
