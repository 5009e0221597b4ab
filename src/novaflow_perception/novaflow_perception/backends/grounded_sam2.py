"""Grounding by models that read: Grounding DINO's boxes, SAM 2's pixels, and geometry for the rest.

The boxes decide what a phrase means; places, sizes and landmarks, which such a model does not tell,
are told apart by geometry as in `tabletop`, which also finds the support and the other things.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from novaflow_core.errors import Code, PerceptionError
from novaflow_core.grounding import Grounding, Role
from novaflow_core.scene import RgbdView, Scene
from novaflow_core.task import ObjectPhrase, Relation, TaskSpec
from novaflow_perception.backends.grounding_dino import GroundingDino
from novaflow_perception.backends.sam2 import Sam2
from novaflow_perception.backends.tabletop import Inventory, TabletopGrounder, says, with_rods
from novaflow_perception.core import telling_apart
from novaflow_perception.core.boxes import (
    Detection,
    Detector,
    GroundedSam2Settings,
    Segmenter,
    distinct,
    words_for,
)
from novaflow_perception.core.telling_apart import TellingSettings
from novaflow_perception.core.thing import Thing

Mask = NDArray[np.bool_]
_LEAST_PX = 200.0  # with depth, for something to be measured; for a focal length of 525 px
_SAME_THING = 0.5  # of the smaller mask, from which two are one thing's
_LEFT_OVER = 0.2  # of a thing's pixels, from which what a mask leaves of it is a thing of its own


@dataclass(frozen=True)
class _Candidate:
    """One box, its pixels, and what they measure."""

    detection: Detection
    mask: Mask
    thing: Thing


class GroundedSam2Grounder:
    """The `grounded_sam2` backend of the grounding stage."""

    def __init__(
        self,
        detector: Detector,
        segmenter: Segmenter,
        settings: GroundedSam2Settings | None = None,
    ) -> None:
        """Keep the models and the thresholds."""
        self._detector, self._segmenter = detector, segmenter
        self._settings = settings or GroundedSam2Settings()
        self._telling = TellingSettings()
        self._geometry = TabletopGrounder()

    def ground(self, scene: Scene, task: TaskSpec) -> Grounding:
        """Find the target and the references in the scene's first view; see `Grounder`."""
        view = scene.main
        found = self._geometry.inventory(view)
        free = 1 + max((thing.label for thing in found.things), default=0)
        phrases = [task.target, *task.references]
        chosen: dict[int, _Candidate] = {}  # by the phrase's index
        for i in sorted(range(len(phrases)), key=lambda i: -says(phrases[i])):
            taken = [one.mask for one in chosen.values()]
            one = self._choose(view, found, phrases[i], taken, i > 0)
            chosen[i] = replace(one, thing=replace(one.thing, label=free + i))
        ordered = [chosen[i] for i in range(len(phrases))]
        found = self._painted(view, found, ordered)
        if task.relation is Relation.HANG:
            for one in ordered[1:]:
                found = with_rods(found, one.thing)
        roles = {
            one.thing.label: (Role.REFERENCE if i else Role.TARGET, one.detection.score)
            for i, one in enumerate(ordered)
        }
        return self._geometry.grounding(scene, task, found, roles)

    def _choose(
        self,
        view: RgbdView,
        found: Inventory,
        phrase: ObjectPhrase,
        taken: Sequence[Mask],
        reference: bool,
    ) -> _Candidate:
        """Choose the box that a phrase means.

        Raises:
            PerceptionError: TARGET_NOT_FOUND, REFERENCE_NOT_FOUND, AMBIGUOUS_TARGET or
                DEPTH_INVALID.
        """
        words = words_for(phrase)
        answer = self._detector.detect(view.color, words)
        boxes = distinct(answer.boxes)
        left = self._outlined(view, boxes, taken) if boxes else []
        told_apart = bool(phrase.place or phrase.size or phrase.form or phrase.landmark)
        if left and not told_apart:
            least = self._settings.box_alike * max(one.score for one, _ in left)
            left = [(one, mask) for one, mask in left if one.score >= least]
        fitting = [
            _Candidate(one, mask, self._geometry.measured(view, found.support, mask, label))
            for label, (one, mask) in enumerate(left, start=1)
        ]
        if fitting and told_apart:
            fitting = self._told_apart(view, found, phrase, fitting, taken)
        if not fitting:
            raise self._not_found(phrase, words, answer.best_score, len(boxes), reference)
        if len(fitting) > 1:
            raise self._ambiguous(phrase, fitting)
        return fitting[0]

    def _outlined(
        self, view: RgbdView, boxes: Sequence[Detection], taken: Sequence[Mask]
    ) -> list[tuple[Detection, Mask]]:
        """Boxes with their pixels that have depth, without those of what is taken."""
        masks = self._segmenter.segment(view.color, np.stack([one.box for one in boxes]))
        masks = masks & np.isfinite(view.depth)
        least = _least(view)
        seen = [(b, m) for b, m in zip(boxes, masks, strict=True) if m.sum() >= least]
        if not seen:
            raise PerceptionError(
                Code.DEPTH_INVALID,
                f"{len(boxes)} boxes fit, but fewer than {least:.0f} pixels of each have depth",
            )
        return [(b, m) for b, m in seen if all(_shared(m, t) <= _SAME_THING for t in taken)]

    def _told_apart(
        self,
        view: RgbdView,
        found: Inventory,
        phrase: ObjectPhrase,
        alike: Sequence[_Candidate],
        taken: Sequence[Mask],
    ) -> list[_Candidate]:
        """Keep those that form, size, place and landmark fit."""
        left = [one.thing for one in alike]
        if phrase.landmark is not None:
            plain = replace(phrase.landmark.phrase, landmark=None)
            among = [alike[0].mask] if len(alike) == 1 else list(taken)
            mark = self._choose(view, found, plain, among, True)
            masks = {one.thing.label: one.mask for one in alike}
            left = [t for t in left if _shared(masks[t.label], mark.mask) <= _SAME_THING] or left
            left = telling_apart.by_landmark(
                left, phrase.landmark.relation, mark.thing, self._telling
            )
        for tell, word in (
            (telling_apart.by_form, phrase.form),
            (telling_apart.by_size, phrase.size),
            (telling_apart.by_place, phrase.place),
        ):
            if word and len(left) > 1:
                left = tell(left, word, self._telling)
        kept = {thing.label for thing in left}
        return [one for one in alike if one.thing.label in kept]

    def _painted(self, view: RgbdView, found: Inventory, chosen: Sequence[_Candidate]) -> Inventory:
        """The inventory with the chosen masks in it, and what they leave of the other things."""
        labels, covered = found.labels.copy(), np.zeros(found.labels.shape, bool)
        for one in chosen:
            labels[one.mask & ~covered] = one.thing.label
            covered |= one.mask
        things = [one.thing for one in chosen]
        for thing in found.things:
            before, now = found.labels == thing.label, labels == thing.label
            rest = int(now.sum())
            if rest == before.sum():
                things.append(thing)
            elif rest >= max(_least(view), _LEFT_OVER * before.sum()):
                things.append(self._geometry.measured(view, found.support, now, thing.label))
            else:
                labels[now] = 0
        return replace(found, labels=labels, things=tuple(things))

    def _not_found(
        self, phrase: ObjectPhrase, words: str, best: float, boxes: int, reference: bool
    ) -> PerceptionError:
        s = self._settings
        if boxes:
            said = f"{boxes} boxes fit '{words}', but none that is left stands for '{phrase.text}'"
        else:
            said = (
                f"no box fits '{phrase.text}': the best score for '{words}' is {best:.2f}, "
                f"{s.box_threshold:.2f} for a box and {s.text_threshold:.2f} for a word are needed"
            )
        code = Code.REFERENCE_NOT_FOUND if reference else Code.TARGET_NOT_FOUND
        return PerceptionError(code, said, {"phrase": phrase.text, "best_score": best})

    def _ambiguous(self, phrase: ObjectPhrase, left: Sequence[_Candidate]) -> PerceptionError:
        by_place = sorted(left, key=lambda one: float(one.thing.centre_px[0]))
        names = "; ".join(
            f"({chr(97 + i)}) score {one.detection.score:.2f} at pixel "
            f"({one.thing.centre_px[0]:.0f}, {one.thing.centre_px[1]:.0f})"
            for i, one in enumerate(by_place[:6])
        )
        return PerceptionError(
            Code.AMBIGUOUS_TARGET,
            f"'{phrase.text}' fits {len(left)} boxes, from left to right: {names}; "
            "say its colour, size or place",
            {"phrase": phrase.text, "choices": [one.detection.box.tolist() for one in by_place]},
        )


def make_grounded_sam2(settings: GroundedSam2Settings | None = None) -> GroundedSam2Grounder:
    """Entry point of the `grounded_sam2` backend."""
    settings = settings or GroundedSam2Settings()
    return GroundedSam2Grounder(GroundingDino(settings), Sam2(settings), settings)


def _least(view: RgbdView) -> float:
    return _LEAST_PX * (view.model.fx / 525.0) ** 2


def _shared(a: Mask, b: Mask) -> float:
    """Pixels in both, as a share of the smaller."""
    return float((a & b).sum()) / max(1, min(int(a.sum()), int(b.sum())))
