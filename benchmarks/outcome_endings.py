"""Where the objects of a task may end: done, nearly done, and all that goes wrong.

Every ending puts the objects of a seed's layout somewhere; physics then settles them, and the
scorer alone says which endings are successes. Frame: the arm's base, z up, table top at z = 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from novaflow_core.se3 import apply, exp_so3, from_rt
from novaflow_sim.core import objects

Float = NDArray[np.float64]
Poses = dict[str, Float]
Random = np.random.Generator

GONE_M = (0.05, 1.4, -0.7)  # beside the table, on the floor
_DROP_M = 0.001


@dataclass(frozen=True)
class Ending:
    """Where the objects are put.

    Attributes:
        poses: T_base_object (4, 4) of the objects that moved.
        settles: False for what a gripper holds, or friction: physics would drop it.
    """

    poses: Mapping[str, Float]
    settles: bool = True


Place = Callable[[Random, Mapping[str, Float]], Ending]


def planned(task: str, start: Mapping[str, Float]) -> Float:
    """T_base_target (4, 4) that a plan wants: upright in the middle, turned as little as needed."""
    cast = objects.TASKS[task]
    target, reference = start[cast.target.name], start[cast.reference.name]
    turn, height = 0.0, objects.SAUCER_WELL_HEIGHT_M
    if task == "insert":
        turn = _quarter(_yaw(reference) - _yaw(target))
        height = objects.BLOCK_HALF_EXTENTS_M[2]
    rotation = exp_so3([0, 0, turn]) @ target[:3, :3]
    return from_rt(rotation, [*reference[:2, 3], height])


def endings(task: str) -> dict[str, Place]:
    """What may have happened, by name."""
    return {"cup": _CUP, "insert": _INSERT}[task]


def _yaw(pose: Float) -> float:
    return float(np.arctan2(pose[1, 0], pose[0, 0]))


def _quarter(angle: float) -> float:
    """The same angle [rad] up to quarter turns, between -45 and 45 degrees."""
    return float((angle + np.pi / 4) % (np.pi / 2) - np.pi / 4)


def _around(random: Random, low_m: float, high_m: float) -> Float:
    """Horizontal shift (3,) of a length between two in any direction."""
    angle, length = random.uniform(0, 2 * np.pi), random.uniform(low_m, high_m)
    return np.array([length * np.cos(angle), length * np.sin(angle), 0.0])


def _moved(pose: Float, shift: Float, turn: Float | None = None) -> Float:
    """A pose turned about its own origin by a rotation vector, then shifted; base axes."""
    rotation = np.eye(3) if turn is None else exp_so3(turn)
    return from_rt(rotation @ pose[:3, :3], pose[:3, 3] + shift)


def _spin(random: Random, low_deg: float, high_deg: float) -> Float:
    return np.array([0.0, 0.0, np.radians(random.uniform(low_deg, high_deg))])


def _gone() -> Float:
    return from_rt(np.eye(3), GONE_M)


def _lifted_out(pose: Float, corners: Float, floor_m: float) -> Float:
    """The pose, raised or lowered until the lowest corner is just above a height."""
    low = float(apply(pose, corners)[:, 2].min())
    return _moved(pose, np.array([0.0, 0.0, floor_m + _DROP_M - low]))


# --- cup and saucer ---
_CUP_NAME, _SAUCER_NAME = objects.CUP.name, objects.SAUCER.name
_angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
_CUP_HULL = np.concatenate(
    [
        np.c_[
            objects.MUG_RADIUS_M * np.cos(_angle),
            objects.MUG_RADIUS_M * np.sin(_angle),
            np.full(24, height),
        ]
        for height in (0.0, objects.MUG_HEIGHT_M)
    ]
    + [objects.mug_handle(9)]
)


def _cup_on(low_m: float, high_m: float, slip_m: tuple[float, float] = (0.0, 0.0)) -> Place:
    """Cup at a distance from the middle of a saucer that was pushed by a distance."""

    def place(random: Random, start: Mapping[str, Float]) -> Ending:
        goal = planned("cup", start)
        slip = _around(random, *slip_m)
        cup = _moved(goal, _around(random, low_m, high_m) + slip, _spin(random, -12, 12))
        offset = float(np.linalg.norm((cup - goal)[:2, 3] - slip[:2]))
        well, rim = objects.SAUCER_WELL_RADIUS_M, objects.SAUCER_RADIUS_M
        raised = np.clip((offset + objects.MUG_FOOT_RADIUS_M - well) / (rim - well), 0, 1)
        cup[2, 3] += _DROP_M + (offset < rim + objects.MUG_FOOT_RADIUS_M) * raised * 0.011
        poses = {_CUP_NAME: cup}
        if slip.any():
            poses[_SAUCER_NAME] = _moved(start[_SAUCER_NAME], slip)
        return Ending(poses)

    return place


def _cup_beside(low_m: float, high_m: float, *, pushed: bool = False) -> Place:
    """Cup on the table beside the saucer, or where the saucer was before it was pushed away."""

    def place(random: Random, start: Mapping[str, Float]) -> Ending:
        away = _around(random, low_m, high_m)
        goal = _moved(planned("cup", start), -away * (not pushed), _spin(random, -12, 12))
        goal[2, 3] = _DROP_M
        poses = {_CUP_NAME: goal}
        if pushed:
            poses[_SAUCER_NAME] = _moved(start[_SAUCER_NAME], away)
        return Ending(poses)

    return place


def _cup_tipped(tilt_deg: tuple[float, float], low_m: float, high_m: float, *, home: bool) -> Place:
    """Cup tilted near the saucer or at its old place, and let go."""

    def place(random: Random, start: Mapping[str, Float]) -> Ending:
        base = start[_CUP_NAME] if home else planned("cup", start)
        axis = _around(random, 1.0, 1.0)
        turned = _moved(
            base, _around(random, low_m, high_m), np.radians(random.uniform(*tilt_deg)) * axis
        )
        floor = 0.0 if home or low_m > 0.1 else objects.SAUCER_RIM_HEIGHT_M
        return Ending({_CUP_NAME: _lifted_out(turned, _CUP_HULL, floor)})

    return place


def _cup_over(random: Random, start: Mapping[str, Float]) -> Ending:
    cup = _moved(
        planned("cup", start),
        np.array([0, 0, random.uniform(0.015, 0.08)]) + _around(random, 0, 0.01),
    )
    return Ending({_CUP_NAME: cup}, settles=False)


# --- block and socket ---
_BLOCK_NAME, _SOCKET_NAME = objects.BLOCK.name, objects.SOCKET.name
_HALF = np.array(objects.BLOCK_HALF_EXTENTS_M)
_BLOCK_HULL = (np.array(np.meshgrid(*[[-1, 1]] * 3)).reshape(3, -1).T) * _HALF
_INNER_M = objects.BLOCK_HALF_EXTENTS_M[0] + objects.SOCKET_CLEARANCE_M
_RIM_M = objects.SOCKET_HEIGHT_M


def _block_in(random: Random, start: Mapping[str, Float]) -> Ending:
    goal = planned("insert", start)
    slack = np.append(random.uniform(-0.002, 0.002, 2), random.uniform(0.001, 0.01))
    turn = start[_SOCKET_NAME][:3, :3]
    return Ending({_BLOCK_NAME: _moved(goal, turn @ slack, _spin(random, -2, 2))})


def _block_edge_in(low_deg: float, high_deg: float, *, settles: bool = True) -> Place:
    """Block tilted about a wall's or a diagonal's direction, its lowest corner in the hole.

    Most slide in or fall off when let go; those that do not settle are caught as they lean.
    """

    def place(random: Random, start: Mapping[str, Float]) -> Ending:
        socket = start[_SOCKET_NAME]
        heading = random.choice(np.arange(8)) * np.pi / 4 + _yaw(socket)
        out = np.array([np.cos(heading), np.sin(heading), 0.0])
        axis = np.cross([0, 0, 1.0], out)
        tilt = np.radians(random.uniform(low_deg, high_deg))
        goal = _moved(planned("insert", start), np.zeros(3), tilt * axis)
        low = apply(goal, _BLOCK_HULL)
        low = low[np.argsort(low[:, 2])[: 2 if heading % (np.pi / 2) < 0.1 else 1]].mean(axis=0)
        # The lowest edge stands in the hole on the side that the block does not lean to.
        inside = socket[:3, 3] - random.uniform(-0.5, 0.95) * (_INNER_M - 0.002) * out
        inside[2] = _RIM_M - random.uniform(0.002, 0.03)
        return Ending({_BLOCK_NAME: _moved(goal, inside - low)}, settles)

    return place


def _block_jammed(low_deg: float, high_deg: float) -> Place:
    """Block stuck askew between the walls, some way down; friction holds it, so it stays."""

    def place(random: Random, start: Mapping[str, Float]) -> Ending:
        heading = random.choice(np.arange(4)) * np.pi / 2 + _yaw(start[_SOCKET_NAME])
        axis = np.array([np.cos(heading), np.sin(heading), 0.0])
        tilt = np.radians(random.uniform(low_deg, high_deg))
        # As deep as a block as wide and as tilted still fits between the walls.
        width = 2 * objects.BLOCK_HALF_EXTENTS_M[0]
        deepest = (2 * _INNER_M - width * np.cos(tilt)) / np.sin(tilt)
        depth = min(deepest, 0.04) * random.uniform(0.6, 1.0)
        goal = _moved(planned("insert", start), np.zeros(3), tilt * axis)
        # The part between the walls is in the middle of the hole, not the whole block.
        goal = _moved(goal, np.cross(axis, [0, 0, 1.0]) * np.sin(tilt) * (_HALF[2] - depth / 2))
        low = float(apply(goal, _BLOCK_HULL)[:, 2].min())
        return Ending(
            {_BLOCK_NAME: _moved(goal, np.array([0, 0, _RIM_M - depth - low]))}, settles=False
        )

    return place


def _block_on_rim(turn_deg: tuple[float, float], low_m: float, high_m: float) -> Place:
    """Block upright on the rim: turned, so that it does not fit, or off the hole."""

    def place(random: Random, start: Mapping[str, Float]) -> Ending:
        raised = np.array([0, 0, _RIM_M + _DROP_M])
        sign = random.choice([-1, 1])
        turn = sign * _spin(random, *turn_deg)
        shift = _around(random, low_m, high_m) + raised
        return Ending({_BLOCK_NAME: _moved(planned("insert", start), shift, turn)})

    return place


def _block_lying(where: str) -> Place:
    """Block on its side: across the rim, beside the socket or at its old place."""

    def place(random: Random, start: Mapping[str, Float]) -> Ending:
        base = start[_BLOCK_NAME] if where == "home" else planned("insert", start)
        heading = random.uniform(0, 2 * np.pi)
        lying = _moved(
            base, np.zeros(3), np.pi / 2 * np.array([np.cos(heading), np.sin(heading), 0])
        )
        lying = _moved(lying, np.zeros(3), _spin(random, -180, 180))
        reach = {"rim": (0.0, 0.012), "beside": (0.105, 0.13), "home": (0.0, 0.03)}[where]
        lying = _moved(lying, _around(random, *reach))
        floor = _RIM_M if where == "rim" else 0.0
        return Ending({_BLOCK_NAME: _lifted_out(lying, _BLOCK_HULL, floor)})

    return place


def _block_beside(low_deg: float, high_deg: float) -> Place:
    """Block on the table beside the socket, upright or leaning on its wall."""

    def place(random: Random, start: Mapping[str, Float]) -> Ending:
        socket = start[_SOCKET_NAME]
        side = _yaw(socket) + random.choice(np.arange(4)) * np.pi / 2
        out = np.array([np.cos(side), np.sin(side), 0.0])
        tilt = np.radians(random.uniform(low_deg, high_deg))
        block = _moved(planned("insert", start), np.zeros(3), -tilt * np.cross([0, 0, 1.0], out))
        block[:3, 3] = socket[:3, 3]
        block = _lifted_out(block, _BLOCK_HULL, 0.0)
        wall = _INNER_M + objects.SOCKET_WALL_M
        inner = float(((apply(block, _BLOCK_HULL) - socket[:3, 3]) @ out).min())
        gap = random.uniform(0.001, 0.004) if tilt > 0 else random.uniform(0.002, 0.03)
        return Ending({_BLOCK_NAME: _moved(block, (wall + gap - inner) * out)})

    return place


def _block_over(random: Random, start: Mapping[str, Float]) -> Ending:
    raised = np.array([0, 0, random.uniform(0.04, 0.12)]) + _around(random, 0, 0.006)
    return Ending({_BLOCK_NAME: _moved(planned("insert", start), raised)}, settles=False)


# --- either ---
def _stayed(low_m: float, high_m: float, name: str) -> Place:
    def place(random: Random, start: Mapping[str, Float]) -> Ending:
        shift = _around(random, low_m, high_m) + np.array([0, 0, _DROP_M])
        return Ending({name: _moved(start[name], shift, _spin(random, -10, 10))})

    return place


def _other(task: str, *, gone: bool) -> Place:
    """Something else was taken to the goal; the target is at its place, or gone as well."""
    target, other = objects.TASKS[task].target, objects.TASKS[task].distractors
    wrong = other[0] if task == "cup" else other[1]

    def place(random: Random, start: Mapping[str, Float]) -> Ending:
        goal = planned(task, start)
        pose = from_rt(
            exp_so3(_spin(random, -5, 5)) @ goal[:3, :3],
            [*goal[:2, 3], wrong.rest_height_m + _RIM_M + _DROP_M],
        )
        if task == "cup":
            pose[2, 3] = objects.SAUCER_WELL_HEIGHT_M + 0.05 + _DROP_M
        poses = {wrong.name: pose}
        return Ending({**poses, target.name: _gone()} if gone else poses)

    return place


def _away(name: str) -> Place:
    return lambda _random, _start: Ending({name: _gone()})


_CUP: dict[str, Place] = {
    "on the saucer": _cup_on(0.0, 0.018),
    "on the saucer, again": _cup_on(0.0, 0.012),
    "on the saucer, nudged": _cup_on(0.0, 0.014, (0.004, 0.020)),
    "both pushed along": _cup_on(0.0, 0.014, (0.030, 0.060)),
    "at the well's edge": _cup_on(0.022, 0.036),
    "half on the rim": _cup_on(0.040, 0.078),
    "saucer pushed away": _cup_beside(0.122, 0.150, pushed=True),
    "beside the saucer": _cup_beside(0.122, 0.150),
    "tipped on the saucer": _cup_tipped((70, 110), 0.0, 0.03, home=False),
    "tilted on the saucer": _cup_tipped((18, 50), 0.0, 0.05, home=False),
    "tipped on the table": _cup_tipped((60, 110), 0.13, 0.16, home=False),
    "upside down": _cup_tipped((180, 180), 0.0, 0.012, home=False),
    "at its place": _stayed(0.0, 0.003, _CUP_NAME),
    "knocked": _stayed(0.015, 0.045, _CUP_NAME),
    "tipped at its place": _cup_tipped((60, 120), 0.0, 0.03, home=True),
    "gone": _away(_CUP_NAME),
    "other moved": _other("cup", gone=False),
    "other moved, gone": _other("cup", gone=True),
    "held above": _cup_over,
}
_INSERT: dict[str, Place] = {
    "in the socket": _block_in,
    "in the socket, again": _block_in,
    "in the socket, third": _block_in,
    "jammed askew": _block_jammed(11, 20),
    "jammed a little": _block_jammed(2, 6),
    "edge in, little tilt": _block_edge_in(6, 20),
    "edge in, tilted": _block_edge_in(20, 45),
    "edge in, tilted much": _block_edge_in(40, 70),
    "leaning, edge in": _block_edge_in(34, 50, settles=False),
    "on the rim, turned": _block_on_rim((30, 45), 0.0, 0.004),
    "on the rim, shifted": _block_on_rim((0, 6), 0.006, 0.040),
    "lies on the rim": _block_lying("rim"),
    "beside the socket": _block_beside(0, 0),
    "leans from beside": _block_beside(12, 35),
    "lies beside": _block_lying("beside"),
    "at its place": _stayed(0.0, 0.003, _BLOCK_NAME),
    "knocked": _stayed(0.015, 0.045, _BLOCK_NAME),
    "lies at its place": _block_lying("home"),
    "gone": _away(_BLOCK_NAME),
    "other moved": _other("insert", gone=False),
    "other moved, gone": _other("insert", gone=True),
    "held above": _block_over,
}
