"""Grounding without a learned model, by shape, colour, size and place on one support.

It knows the kinds of `core.kinds` and nothing else, and it needs things to stand on one plane. It
says so when it finds none that fits; it never takes the next best.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from novaflow_core import se3
from novaflow_core.camera import CameraModel
from novaflow_core.errors import Code, PerceptionError
from novaflow_core.grounding import (
    LABEL_NOTHING,
    LABEL_SUPPORT,
    GroundedObject,
    Grounding,
    Role,
)
from novaflow_core.relations import view_axes
from novaflow_core.scene import Plane, RgbdView, Scene
from novaflow_core.task import ObjectPhrase, Relation, TaskSpec
from novaflow_perception.core import colour, plane, segmentation, shape, watering_parts
from novaflow_perception.core import surface as local
from novaflow_perception.core.choice import ChoiceSettings, Chooser
from novaflow_perception.core.colour import ColourSettings
from novaflow_perception.core.geometry import upright_box
from novaflow_perception.core.moving_part import with_moving_part
from novaflow_perception.core.object_words import MOVING_PARTS
from novaflow_perception.core.segmentation import SegmentationSettings
from novaflow_perception.core.surface import Surface, surface_of
from novaflow_perception.core.telling_apart import TellingSettings
from novaflow_perception.core.thing import Thing
from novaflow_perception.core.tree_parts import rods_of
from novaflow_perception.core.working_size import at_working_size, labels_of_size

Labels = NDArray[np.int32]
_MAX_OBJECTS = 200  # labels are bytes, and two are taken


@dataclass(frozen=True)
class TabletopSettings:
    """Thresholds of all steps."""

    segmentation: SegmentationSettings = field(default_factory=SegmentationSettings)
    colours: ColourSettings = field(default_factory=ColourSettings)
    choice: ChoiceSettings = field(default_factory=ChoiceSettings)
    telling: TellingSettings = field(default_factory=TellingSettings)
    other_views_m: float = (
        0.012  # how near to an object's points another view's points belong to it
    )


@dataclass(frozen=True)
class Inventory:
    """What stands in one view.

    Attributes:
        support: The plane, camera frame.
        surface: The view's geometry.
        labels: (H, W) 0 none, then `Thing.label`.
        things: What was found, by decreasing size in the image.
    """

    support: Plane
    surface: Surface
    labels: Labels
    things: tuple[Thing, ...]


class TabletopGrounder:
    """The `tabletop` backend of the grounding stage."""

    def __init__(self, settings: TabletopSettings | None = None) -> None:
        """Keep the thresholds."""
        self._settings = settings or TabletopSettings()

    def ground(self, scene: Scene, task: TaskSpec) -> Grounding:
        """Find the target and the references in the scene's first view; see `Grounder`."""
        found = self.inventory(scene.main)
        settings = self._settings
        if _named(task) & watering_parts.NOUNS:
            found = _with_watering_parts(found)
        chooser = Chooser(found.things, settings.choice, settings.telling, settings.colours)
        taken: list[int] = []
        roles: dict[int, tuple[Role, float]] = {}
        phrases = [(task.target, Role.TARGET), *((p, Role.REFERENCE) for p in task.references)]
        # The one with the most to say is looked for first, so that "the cup" and "the red cup" do
        # not collide.
        for phrase, role in sorted(phrases, key=lambda pair: -says(pair[0])):
            choice = chooser.choose(phrase, taken=taken, reference=role is Role.REFERENCE)
            taken.append(choice.thing.label)
            roles[choice.thing.label] = (role, choice.score)
            if role is Role.REFERENCE and task.relation is Relation.HANG:
                found = with_rods(found, choice.thing)
        return self.grounding(scene, task, found, roles)

    def inventory(self, view: RgbdView) -> Inventory:
        """Find everything that stands on the support in one view."""
        settings = self._settings
        valid = np.isfinite(view.depth)
        if valid.mean() < 0.05:
            raise PerceptionError(
                Code.DEPTH_INVALID,
                f"camera '{view.camera}' has depth at {valid.mean():.1%} of its pixels",
            )
        small = at_working_size(view)
        points = small.model.back_project(small.depth)
        support = plane.fit_support(points[np.isfinite(small.depth)])
        surface = surface_of(small.depth, small.model, small.color, support)
        labels, normal = segmentation.segment(surface, settings.segmentation)
        stage = (labels > 0) | segmentation.support_pixels(surface, settings.segmentation)
        rgb = colour.corrected(small.color, settings.colours, stage)
        scale = view.model.width / small.model.width
        things = tuple(
            self._describe(i, surface, labels == i, normal, rgb, small.model, scale)
            for i in range(1, min(int(labels.max()), _MAX_OBJECTS) + 1)
        )
        if small is not view:
            surface = surface_of(view.depth, view.model, view.color, support)
            labels = np.where(valid, labels_of_size(labels, view.depth.shape), 0)
        return Inventory(support, surface, labels, things)

    def measured(
        self, view: RgbdView, support: Plane, mask: NDArray[np.bool_], label: int
    ) -> Thing:
        """Measure what somebody else has outlined.

        Args:
            view: The view.
            support: The plane, camera frame.
            mask: (H, W) its pixels; at least some have depth.
            label: What the thing shall be called.
        """
        small = at_working_size(view)
        surface = surface_of(small.depth, small.model, small.color, support)
        inside = surface.valid & (labels_of_size(mask.astype(np.int32), small.depth.shape) > 0)
        normal = local.normals(local.smoothed_points(surface), surface.valid, inside, surface.px(3))
        stage = inside | segmentation.support_pixels(surface, self._settings.segmentation)
        rgb = colour.corrected(small.color, self._settings.colours, stage)
        scale = view.model.width / small.model.width
        return self._describe(label, surface, inside, normal, rgb, small.model, scale)

    def _describe(
        self,
        label: int,
        surface: Surface,
        mask: NDArray[np.bool_],
        normal: NDArray[np.float64],
        rgb: NDArray[np.float32],
        model: CameraModel,
        scale: float,
    ) -> Thing:
        rows, columns = np.nonzero(mask)
        # Measure in a window: most of the image is something else.
        window = (
            slice(max(0, int(rows.min()) - 4), int(rows.max()) + 5),
            slice(max(0, int(columns.min()) - 4), int(columns.max()) + 5),
        )
        part, inside = surface.window(*window), mask[window]
        solid = shape.solid_pixels(part, inside)
        n = self._settings.choice.frame_px * surface.px_scale
        h, w = mask.shape
        cut_off = bool(
            rows.min() < n or columns.min() < n or rows.max() >= h - n or columns.max() >= w - n
        )
        along = surface.points[mask] - surface.support.normal * surface.height[mask][:, None]
        foot = -surface.support.offset * surface.support.normal  # below the camera
        flat = along @ view_axes(np.eye(4), surface.support).T
        return Thing(
            label=label,
            shape=shape.measure(part, normal[window], inside),
            colours=colour.shares(rgb[window][solid]),
            centre_px=(np.array([columns.mean(), rows.mean()]) + 0.5) * scale - 0.5,
            bearing=(float(columns.mean()) - model.cx) / model.fx,
            place_m=np.percentile(flat, [2, 98], axis=0).mean(axis=0),
            distance_m=float(np.percentile(np.linalg.norm(along - foot, axis=1), 10)),
            cut_off=cut_off,
        )

    def grounding(
        self, scene: Scene, task: TaskSpec, found: Inventory, roles: dict[int, tuple[Role, float]]
    ) -> Grounding:
        """Label all views; `roles` says by a thing's label which part it plays, and its score.

        A target that is a part of something, such as a drawer, is told from the rest of it.
        """
        T_planning_camera = scene.main.T_planning_camera
        support = plane.to_frame(found.support, T_planning_camera)
        labels = np.full(found.labels.shape, LABEL_NOTHING, np.uint8)
        labels[segmentation.support_pixels(found.surface, self._settings.segmentation)] = (
            LABEL_SUPPORT
        )
        objects: list[GroundedObject] = []
        clouds: list[NDArray[np.float64]] = []
        for thing in found.things:
            mask = found.labels == thing.label
            labels[mask] = thing.label + 1
            solid = mask & shape.solid_pixels(found.surface, mask)
            cloud = se3.apply(T_planning_camera, found.surface.points[solid].astype(float))
            role, score = roles.get(thing.label, (Role.OTHER, float("nan")))
            clouds.append(cloud)
            objects.append(
                GroundedObject(
                    label=thing.label + 1,
                    role=role,
                    description=thing.description(self._settings.colours),
                    score=score,
                    corners=upright_box(cloud, support),
                )
            )
        others = tuple(
            self._label_other_view(view, support, objects, clouds) for view in scene.views[1:]
        )
        order = {Role.TARGET: 0, Role.REFERENCE: 1, Role.OTHER: 2}
        grounding = Grounding(
            scene_id=scene.scene_id,
            task=task,
            support=support,
            labels=(labels, *others),
            objects=tuple(sorted(objects, key=lambda item: order[item.role])),
        )
        return with_moving_part(scene, grounding) if task.target.noun in MOVING_PARTS else grounding

    def _label_other_view(
        self,
        view: RgbdView,
        support: Plane,
        objects: list[GroundedObject],
        clouds: list[NDArray[np.float64]],
    ) -> NDArray[np.uint8]:
        """Label a further view by nearness to what the first one saw."""
        labels = np.zeros(view.depth.shape, np.uint8)
        points = view.points()
        height = np.where(np.isfinite(view.depth), support.height(np.nan_to_num(points)), np.nan)
        labels[np.abs(height) < 0.008] = LABEL_SUPPORT
        above = height > 0.006
        if not objects or not above.any():
            return labels
        owner = np.concatenate(
            [np.full(len(c), o.label) for c, o in zip(clouds, objects, strict=True)]
        )
        tree = cKDTree(np.concatenate(clouds))
        distance, nearest = tree.query(
            points[above], distance_upper_bound=self._settings.other_views_m
        )
        hit = np.isfinite(distance)
        found = np.zeros(len(distance), np.uint8)
        found[hit] = owner[nearest[hit]]
        labels[above] = found
        return np.asarray(cv2.medianBlur(labels, 3))


def _named(task: TaskSpec) -> frozenset[str]:
    """Kinds that the instruction speaks of."""
    phrases = [task.target, *task.references]
    marks = [p.landmark.phrase for p in phrases if p.landmark is not None]
    return frozenset(phrase.noun for phrase in (*phrases, *marks))


def _with_watering_parts(found: Inventory) -> Inventory:
    """The same view; crowns of leaves are parts of their pots, and spouts are measured."""
    clouds = {t.label: found.surface.points[found.labels == t.label] for t in found.things}
    grown = watering_parts.crowns(found.things, clouds, found.support)
    labels = found.labels.copy()
    for crown, pot in grown.items():
        labels[labels == crown] = pot
    things = watering_parts.completed(found.things, grown, clouds, found.support)
    return replace(found, labels=labels, things=things)


def make_tabletop(settings: object = None) -> TabletopGrounder:
    """Entry point of the `tabletop` backend, which has no parameters."""
    return TabletopGrounder()


def with_rods(found: Inventory, tree: Thing) -> Inventory:
    """The same view with the rods of a tree given to it."""
    clouds = {t.label: found.surface.points[found.labels == t.label] for t in found.things}
    rods = rods_of(tree, found.things, clouds)
    things = tuple(thing for thing in found.things if thing.label not in rods)
    labels = np.where(np.isin(found.labels, rods), tree.label, found.labels)
    return replace(found, labels=labels, things=things)


def says(phrase: ObjectPhrase) -> int:
    """Count what a phrase tells of its object."""
    return sum(
        bool(part)
        for part in (
            phrase.noun,
            phrase.colour,
            phrase.size,
            phrase.form,
            phrase.place,
            phrase.landmark,
        )
    )
