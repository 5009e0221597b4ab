"""What arm, gripper and held object may touch: one model for many configurations at once."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from novaflow_core import se3
from novaflow_core.grounding import CollisionScene
from novaflow_core.obstacles import Box, capsule_of
from novaflow_executor.core.distances import segment_box, segment_plane, segment_segment
from novaflow_executor.core.robot import RobotModel

Array = NDArray[np.float64]
PLANE = 0  # column of the support in `meets`; box k is column k + 1, spheres and capsules follow


@dataclass(frozen=True)
class Carried:
    """The held object as spheres that move with the TCP.

    Attributes:
        points: (P, 3) centres [m], TCP frame.
        radius: Of all spheres [m].
        ignored: Names of obstacles that it may touch; "support" for the plane.
    """

    points: Array
    radius: float
    ignored: frozenset[str] = frozenset({"support"})


class Contacts(NamedTuple):
    """Pairs closer than a margin, over S configurations; everything in the base frame.

    Attributes:
        sample: (M,) index of the configuration.
        distance: (M,) [m].
        normal: (M, 3) unit; moving `point` along it increases the distance.
        point: (M, 3) [m] on the axis of the capsule that moves away.
        frame: (M,) moving frame of `point`.
        other_point: (M, 3) [m] on the other capsule of a self-collision; NaN against the scene.
        other_frame: (M,) moving frame of it; 0 against the scene.
    """

    sample: NDArray[np.int_]
    distance: Array
    normal: Array
    point: Array
    frame: NDArray[np.int_]
    other_point: Array
    other_frame: NDArray[np.int_]


class CollisionModel:
    """Capsules of a robot against a scene and each other.

    Args:
        robot: The arm.
        scene: Plane and obstacles in the base frame; None for self-collision only.
        opening_m: Of the gripper.
        carried: The held object, if any.
        ignore: Names of obstacles that nothing is checked against.

    Attributes:
        scene: As given, without what is ignored.
        opening_m: As given.
        frame: (C,) that capsule moves with, 0..N.
        a: (C, 3) first ends [m], in that frame.
        b: (C, 3) second ends [m].
        radius: (C,) [m].
        pairs: (P, 2) capsules that must not touch each other.
        plane: The support, if there is a scene.
        T_box_base: (B, 4, 4).
        box_half: (B, 3) half extents [m].
        rods: (O, 7) spheres and capsules: both ends and radius [m], base frame.
        meets: (C, 1 + B + O) whether a capsule is checked against plane, boxes and rods.
    """

    def __init__(
        self,
        robot: RobotModel,
        scene: CollisionScene | None,
        opening_m: float,
        carried: Carried | None = None,
        ignore: Collection[str] = (),
    ) -> None:
        """Lay out the robot's capsules, the obstacles and the pairs to look at."""
        if scene is not None and ignore:
            left = tuple(item for item in scene.obstacles if item.name not in ignore)
            scene = replace(scene, obstacles=left)
        self.robot, self.scene, self.opening_m = robot, scene, opening_m
        obstacles = () if scene is None else scene.obstacles
        frame, a, b, radius = robot.capsules(opening_m)
        self._arm_count = len(frame)
        if carried is not None:
            spheres = se3.apply(robot.T_frame_tcp, carried.points)
            frame = np.concatenate([frame, np.full(len(spheres), robot.tcp_frame)])
            a, b = np.concatenate([a, spheres]), np.concatenate([b, spheres])
            radius = np.concatenate([radius, np.full(len(spheres), carried.radius)])
        self.frame, self.a, self.b, self.radius = frame, a, b, radius
        boxes = [item for item in obstacles if isinstance(item, Box)]
        rods = [capsule_of(item) for item in obstacles if not isinstance(item, Box)]
        self.T_box_base = (
            se3.inverse(np.stack([box.T_planning_box for box in boxes]))
            if boxes
            else np.zeros((0, 4, 4))
        )
        self.box_half = np.array([box.size for box in boxes], float).reshape(-1, 3) / 2
        self.plane = None if scene is None else scene.support
        rows = [[*rod.a, *rod.b, rod.radius] for rod in rods]
        self.rods = np.array(rows, float).reshape(-1, 7)
        names = ["support", *(box.name for box in boxes), *(rod.name for rod in rods)]
        # the bolted part of the arm and the first link on it stand next to the support
        meets = np.repeat((frame > 1)[:, None], len(names), axis=1)
        if carried is not None:
            meets[self._arm_count :] &= ~np.array([name in carried.ignored for name in names])
        self.meets = meets
        self.pairs = self._self_pairs()

    def _self_pairs(self) -> NDArray[np.int_]:
        """Pairs of the arm's capsules two or more joints apart that are free at home."""
        frame = self.frame[: self._arm_count]
        i, j = np.triu_indices(self._arm_count, 1)
        far = np.abs(frame[i] - frame[j]) >= 2
        i, j = i[far], j[far]
        ends = self._ends(self.robot.home[None])
        distance, _, _ = segment_segment(ends[0][:, i], ends[1][:, i], ends[0][:, j], ends[1][:, j])
        free = (distance[0] - self.radius[i] - self.radius[j]) > 0.005
        return np.stack([i[free], j[free]], axis=1)

    def _ends(self, q: Array) -> tuple[Array, Array]:
        return self._ends_of(*self.robot.frames(q))

    def _ends_of(self, rotation: Array, origin: Array) -> tuple[Array, Array]:
        turn, at = rotation[:, self.frame], origin[:, self.frame]
        return (
            at + np.einsum("scij,cj->sci", turn, self.a),
            at + np.einsum("scij,cj->sci", turn, self.b),
        )

    def contacts(
        self, rotation: Array, origin: Array, margin_m: float, scene: bool = True
    ) -> Contacts:
        """Pairs that are closer than a margin, for S configurations given by `RobotModel.frames`.

        Args:
            rotation: (S, N+1, 3, 3).
            origin: (S, N+1, 3) [m].
            margin_m: Pairs farther apart are left out.
            scene: Whether to look at the scene too, not at self-collision only.
        """
        a, b = self._ends_of(rotation, origin)
        parts = [self._self_contacts(a, b, margin_m)]
        if scene and self.plane is not None:
            parts.append(self._plane_contacts(a, b, margin_m))
            parts += [self._box_contacts(a, b, k, margin_m) for k in range(len(self.box_half))]
            parts += [self._rod_contacts(a, b, k, margin_m) for k in range(len(self.rods))]
        return Contacts(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))

    def clearance(self, q: Array, cap_m: float = 0.05) -> Array:
        """Smallest distance (S,) [m] of configurations (S, N), at most `cap_m`."""
        q = np.atleast_2d(q)
        out = np.full(len(q), cap_m)
        for start in range(0, len(q), 2048):  # bounds the memory
            rotation, origin = self.robot.frames(q[start : start + 2048])
            found = self.contacts(rotation, origin, cap_m)
            np.minimum.at(out, found.sample + start, found.distance)
        return out

    def _self_contacts(self, a: Array, b: Array, margin: float) -> Contacts:
        i, j = self.pairs.T
        middle, half = 0.5 * (a + b), 0.5 * np.linalg.norm(self.b - self.a, axis=1)
        coarse = np.linalg.norm(middle[:, i] - middle[:, j], axis=-1) - (
            half[i] + half[j] + self.radius[i] + self.radius[j]
        )
        s, pair = np.nonzero(coarse < margin)
        i, j = i[pair], j[pair]
        distance, p1, p2 = segment_segment(a[s, i], b[s, i], a[s, j], b[s, j])
        normal = (p2 - p1) / np.maximum(distance, 1e-9)[:, None]
        distance = distance - self.radius[i] - self.radius[j]
        close = distance < margin
        frame = self.frame
        return Contacts(
            s[close],
            distance[close],
            normal[close],
            p2[close],
            frame[j[close]],
            p1[close],
            frame[i[close]],
        )

    def _plane_contacts(self, a: Array, b: Array, margin: float) -> Contacts:
        assert self.plane is not None
        height, point = segment_plane(a, b, self.plane.normal, self.plane.offset)
        s, c = np.nonzero((height - self.radius < margin) & self.meets[:, PLANE])
        normal = np.broadcast_to(self.plane.normal, (len(s), 3))
        return self._against_scene(s, c, height[s, c] - self.radius[c], normal, point[s, c])

    def _box_contacts(self, a: Array, b: Array, k: int, margin: float) -> Contacts:
        inverse, half = self.T_box_base[k], self.box_half[k]
        middle = 0.5 * (a + b) @ inverse[:3, :3].T + inverse[:3, 3]
        outside = np.linalg.norm(np.maximum(np.abs(middle) - half, 0), axis=-1)
        length = 0.5 * np.linalg.norm(self.b - self.a, axis=1)
        s, c = np.nonzero((outside - length - self.radius < margin) & self.meets[:, k + 1])
        local_a, local_b = se3.apply(inverse, a[s, c]), se3.apply(inverse, b[s, c])
        distance, point, normal = segment_box(local_a, local_b, half)
        distance = distance - self.radius[c]
        close = distance < margin
        back = se3.inverse(inverse)
        return self._against_scene(
            s[close],
            c[close],
            distance[close],
            normal[close] @ back[:3, :3].T,
            se3.apply(back, point[close]),
        )

    def _rod_contacts(self, a: Array, b: Array, k: int, margin: float) -> Contacts:
        fixed_a, fixed_b, radius = np.split(self.rods[k], [3, 6])
        distance, from_, to = segment_segment(
            np.broadcast_to(fixed_a, a.shape), np.broadcast_to(fixed_b, a.shape), a, b
        )
        normal = (to - from_) / np.maximum(distance, 1e-9)[..., None]
        distance = distance - self.radius - radius
        s, c = np.nonzero((distance < margin) & self.meets[:, 1 + len(self.box_half) + k])
        return self._against_scene(s, c, distance[s, c], normal[s, c], to[s, c])

    def _against_scene(
        self, s: NDArray[np.int_], c: NDArray[np.int_], distance: Array, normal: Array, point: Array
    ) -> Contacts:
        nothing = np.full((len(s), 3), np.nan)
        return Contacts(s, distance, normal, point, self.frame[c], nothing, np.zeros(len(s), int))
