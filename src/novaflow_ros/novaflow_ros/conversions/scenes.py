"""Scenes, parsed instructions, groundings and collision scenes."""

from __future__ import annotations

import math

import numpy as np
from geometry_msgs.msg import Point

from novaflow_core.errors import ShapeError
from novaflow_core.grounding import CollisionScene, GroundedObject, Grounding, Role
from novaflow_core.scene import RgbdView, Scene
from novaflow_core.task import Direction, Motion, ObjectPhrase, Relation, TaskSpec
from novaflow_msgs import msg as nf
from novaflow_ros.conversions.elements import (
    member,
    plane_from_msg,
    plane_to_msg,
    pose_from_matrix,
    pose_to_matrix,
    time_from_ns,
    time_to_ns,
)
from novaflow_ros.conversions.images import (
    camera_info_from_msg,
    camera_info_to_msg,
    color_from_msg,
    depth_from_msg,
    image_from_msg,
    image_to_msg,
)
from novaflow_ros.conversions.obstacles import obstacle_from_msg, obstacle_to_msg

MOST_OBSTACLES = 256  # a scene that holds more is not one that perception saw


def scene_to_msg(scene: Scene) -> nf.Scene:
    """Scene message of a scene."""
    return nf.Scene(
        scene_id=scene.scene_id,
        planning_frame=scene.planning_frame,
        views=[_view_to_msg(view) for view in scene.views],
    )


def scene_from_msg(message: nf.Scene) -> Scene:
    """Scene of a scene message.

    Raises:
        ShapeError: If it holds no view or its parts disagree.
    """
    if not message.views:
        raise ShapeError(f"scene '{message.scene_id}' holds no view")
    return Scene(
        message.scene_id,
        message.planning_frame,
        tuple(_view_from_msg(view) for view in message.views),
    )


def _view_to_msg(view: RgbdView) -> nf.View:
    out = nf.View(camera=view.camera, pose=pose_from_matrix(view.T_planning_camera))
    out.header.frame_id = view.frame_id
    out.header.stamp = time_from_ns(view.stamp_ns)
    out.color = image_to_msg(view.color, "rgb8", view.frame_id, view.stamp_ns)
    out.depth = image_to_msg(view.depth.astype(np.float32), "32FC1", view.frame_id, view.stamp_ns)
    out.camera_info = camera_info_to_msg(view.model, view.frame_id, view.stamp_ns)
    return out


def _view_from_msg(message: nf.View) -> RgbdView:
    return RgbdView(
        camera=message.camera,
        frame_id=message.header.frame_id,
        stamp_ns=time_to_ns(message.header.stamp),
        color=color_from_msg(message.color),
        depth=depth_from_msg(message.depth),
        model=camera_info_from_msg(message.camera_info),
        T_planning_camera=pose_to_matrix(message.pose),
    )


def task_to_msg(task: TaskSpec) -> nf.TaskSpec:
    """TaskSpec message of a parsed instruction."""
    return nf.TaskSpec(
        instruction=task.instruction,
        motion=task.motion.value,
        direction=task.direction.value if task.direction else "",
        relation=task.relation.value if task.relation else "",
        target=_phrase_to_msg(task.target),
        references=[_phrase_to_msg(phrase) for phrase in task.references],
        distance=math.nan if task.distance_m is None else task.distance_m,
        angle=math.nan if task.angle_rad is None else task.angle_rad,
    )


def task_from_msg(message: nf.TaskSpec) -> TaskSpec:
    """Parsed instruction of a TaskSpec message."""
    return TaskSpec(
        instruction=message.instruction,
        motion=member(Motion, message.motion),
        target=_phrase_from_msg(message.target),
        direction=member(Direction, message.direction) if message.direction else None,
        relation=member(Relation, message.relation) if message.relation else None,
        references=tuple(_phrase_from_msg(phrase) for phrase in message.references),
        distance_m=None if math.isnan(message.distance) else message.distance,
        angle_rad=None if math.isnan(message.angle) else message.angle,
    )


def _phrase_to_msg(phrase: ObjectPhrase) -> nf.ObjectPhrase:
    return nf.ObjectPhrase(
        text=phrase.text,
        noun=phrase.noun,
        colour=phrase.colour,
        size=phrase.size,
        place=phrase.place,
    )


def _phrase_from_msg(message: nf.ObjectPhrase) -> ObjectPhrase:
    return ObjectPhrase(message.text, message.noun, message.colour, message.size, message.place)


def grounding_to_msg(grounding: Grounding) -> nf.Grounding:
    """Grounding message of a grounding."""
    return nf.Grounding(
        scene_id=grounding.scene_id,
        task=task_to_msg(grounding.task),
        support=plane_to_msg(grounding.support),
        labels=[image_to_msg(labels, "mono8") for labels in grounding.labels],
        objects=[
            nf.GroundedObject(
                label=item.label,
                role=item.role.value,
                description=item.description,
                score=float(item.score),
                corners=[Point(x=float(x), y=float(y), z=float(z)) for x, y, z in item.corners],
            )
            for item in grounding.objects
        ],
    )


def grounding_from_msg(message: nf.Grounding) -> Grounding:
    """Grounding of a grounding message."""
    return Grounding(
        scene_id=message.scene_id,
        task=task_from_msg(message.task),
        support=plane_from_msg(message.support),
        labels=tuple(np.asarray(image_from_msg(labels), np.uint8) for labels in message.labels),
        objects=tuple(
            GroundedObject(
                label=int(item.label),
                role=member(Role, item.role),
                description=item.description,
                score=float(item.score),
                corners=np.array([[p.x, p.y, p.z] for p in item.corners]).reshape(-1, 3),
            )
            for item in message.objects
        ),
    )


def collision_scene_to_msg(scene: CollisionScene, stamp_ns: int = 0) -> nf.CollisionScene:
    """CollisionScene message."""
    out = nf.CollisionScene(scene_id=scene.scene_id, support=plane_to_msg(scene.support))
    out.header.frame_id = scene.planning_frame
    out.header.stamp = time_from_ns(stamp_ns)
    out.obstacles = [obstacle_to_msg(item) for item in scene.obstacles]
    out.eyes = [Point(x=float(e[0]), y=float(e[1]), z=float(e[2])) for e in scene.eyes]
    return out


def collision_scene_from_msg(message: nf.CollisionScene) -> CollisionScene:
    """Collision scene of a message.

    Raises:
        ShapeError: If an obstacle is malformed, two have one name, or there are too many.
    """
    count = len(message.obstacles)
    if count > MOST_OBSTACLES:
        raise ShapeError(
            f"collision scene: {count} obstacles, at most {MOST_OBSTACLES} are looked at"
        )
    return CollisionScene(
        message.scene_id,
        message.header.frame_id,
        plane_from_msg(message.support),
        tuple(obstacle_from_msg(item) for item in message.obstacles),
        tuple(np.array([eye.x, eye.y, eye.z]) for eye in message.eyes),
    )
