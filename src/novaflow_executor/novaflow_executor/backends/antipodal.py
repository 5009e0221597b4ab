"""Grasp backend `antipodal`: two opposite faces between the pads, found by geometry alone.

A gripper that comes down along its approach axis sweeps columns. What stands in the columns between
the pads must be one piece that fits, the columns of the fingers and the palm must be empty. A block
across two faces and the wall of an open vessel are the same case: one piece between two gaps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from novaflow_core import se3
from novaflow_core.errors import Code, GraspError
from novaflow_core.grasp import Grasp
from novaflow_executor.core.grasps import GraspRequest, ObjectShape, object_shape
from novaflow_executor.core.handle_grasps import handle_grasps
from novaflow_executor.core.robot_settings import GripperSpec

Array = NDArray[np.float64]

DEPTHS_M = (0.022, 0.014, 0.030)  # of the tips below the object's local top
TILTS_RAD = (0.0, -0.35, 0.35)
TURNS = 18  # closing directions over half a turn
SEEDS = 30
SIDE_CLEARANCE_M = 0.012  # between an open pad and the object
MIN_SIDE_CLEARANCE_M = 0.005
SUPPORT_CLEARANCE_M = 0.006
MAX_FACE_ANGLE_RAD = 0.35  # within the friction cone of rubber
FLATNESS_M = 0.0025
FACE_M = 0.004  # so near to where a pad meets it, the surface is its face
MIN_FACE_SHARE = 0.5  # of the way from the tips to the top; less is a slope, and the pad slides off
KEPT = 50


@dataclass(frozen=True)
class _Trial:
    """A grasp in the support's frame, before it is one."""

    turn: float
    tilt: float
    seed: Array
    depth: float
    R_support_tcp: Array
    tcp: Array
    opening: float
    width: float
    face_angle: float
    score: float


class Antipodal:
    """Proposes antipodal grasps from above, upright and tilted; see `GraspProposer`."""

    def propose(self, request: GraspRequest) -> tuple[Grasp, ...]:
        """Return at most 50 grasps, best first; half turns about the approach are not listed."""
        if request.on_joint:
            return handle_grasps(request)
        shape = object_shape(request.points, request.scene.support)
        seeds = _spread(shape.surface[shape.surface[:, 2] > shape.top - 0.012], SEEDS)
        reasons: dict[str, int] = {}
        trials: list[_Trial] = []
        turns = _turns(shape)
        for tilt in TILTS_RAD:
            for turn in turns:
                trials += _evaluate(
                    shape, request.gripper, turn, tilt, seeds, DEPTHS_M[:1], reasons
                )
        trials.sort(key=lambda t: -t.score)
        refined: list[_Trial] = []
        for trial in _distinct(trials, KEPT):
            turn = trial.turn + trial.face_angle  # squares up with the faces
            again = _evaluate(
                shape, request.gripper, turn, trial.tilt, trial.seed[None], DEPTHS_M, reasons
            )
            refined += [trial, *again]
        refined.sort(key=lambda t: -t.score)
        chosen = _distinct(refined, KEPT)
        if not chosen:
            tried = len(TILTS_RAD) * len(turns) * len(seeds)
            why = ", ".join(f"{v} {k}" for k, v in sorted(reasons.items(), key=lambda x: -x[1]))
            raise GraspError(
                Code.NO_GRASP,
                f"none of {tried} placements of the gripper takes the object "
                f"({shape.top * 1e3:.0f} mm high, opening "
                f"{request.gripper.max_opening * 1e3:.0f} mm): {why}",
            )
        frame = shape.T_planning_support
        return tuple(
            Grasp(frame @ se3.from_rt(t.R_support_tcp, t.tcp), t.opening, t.score) for t in chosen
        )


def _turns(shape: ObjectShape) -> Array:
    """Closing directions [rad]: a regular fan, and the sides of the top's tightest rectangle."""
    fan = np.arange(TURNS) * np.pi / TURNS
    top = shape.surface[shape.surface[:, 2] > shape.top - 0.012][:, :2]
    angles = np.linspace(0, np.pi / 2, 91)[:-1]
    along = np.stack([np.cos(angles), np.sin(angles)])
    across = np.stack([-np.sin(angles), np.cos(angles)])
    area = _extent(top @ along) * _extent(top @ across)
    best = angles[int(np.argmin(area))]
    return np.concatenate([fan, [best, best + np.pi / 2]])


def _extent(values: Array) -> Array:
    low, high = np.percentile(values, [2, 98], axis=0)
    return np.asarray(high - low)


def _side(turn: float) -> Array:
    """Horizontal direction (2,) across the closing direction."""
    return np.array([-np.sin(turn), np.cos(turn)])


def _axes(turn: float, tilt: float) -> Array:
    """R_support_tcp (3, 3): x closes in the plane, z comes down, leaning about x by `tilt`."""
    x = np.array([np.cos(turn), np.sin(turn), 0.0])
    z = np.array([*(np.sin(tilt) * _side(turn)), -np.cos(tilt)])
    return np.stack([x, np.cross(z, x), z], axis=1)


def _evaluate(
    shape: ObjectShape,
    gripper: GripperSpec,
    turn: float,
    tilt: float,
    seeds: Array,
    depths: tuple[float, ...],
    reasons: dict[str, int],
) -> list[_Trial]:
    """All placements at seeds and depths for one orientation."""
    R_support_tcp = _axes(turn, tilt)
    # straight from above, what is hidden below the visible surface cannot be met
    local = (shape.surface if tilt == 0.0 else shape.solid) @ R_support_tcp
    local = local[np.argsort(local[:, 0])]
    at = seeds @ R_support_tcp
    local = local[-local[:, 2] > (-at[:, 2]).min() - max(depths)]
    x, y, up = local[:, 0], local[:, 1], -local[:, 2]
    out = []
    for k, seed in enumerate(at):
        near = np.abs(y - seed[1]) < 0.045  # the palm is the widest part
        xn, yn, un = x[near], y[near] - seed[1], up[near]
        for depth in depths:
            result = _place(xn, yn, un, seed[0], -seed[2] - depth, depth, gripper)
            if isinstance(result, str):
                reasons[result] = reasons.get(result, 0) + 1
                continue
            centre, opening, width, face_angle, level, quality = result
            tcp = R_support_tcp @ np.array([centre, seed[1], -level])
            tip = R_support_tcp @ np.array([centre, seed[1], -level + gripper.reach(0.0)])
            if tip[2] - gripper.finger_thickness * abs(np.sin(tilt)) < SUPPORT_CLEARANCE_M:
                reasons["would touch the support"] = reasons.get("would touch the support", 0) + 1
                continue
            to_centre = shape.centre - tcp[:2]
            along, aside = to_centre @ R_support_tcp[:2, 0], to_centre @ _side(turn)
            # weight beside the closing axis turns the object between the pads; along it, it cannot
            steady = np.exp(-((aside / 0.02) ** 2)) * np.exp(-((along / 0.12) ** 2))
            score = float(quality * steady * np.cos(tilt) ** 4)
            out.append(
                _Trial(
                    turn,
                    tilt,
                    seeds[k],
                    depth,
                    R_support_tcp,
                    tcp,
                    opening,
                    width,
                    face_angle,
                    score,
                )
            )
    return out


def _place(
    x: Array, y: Array, up: Array, seed_x: float, level: float, depth: float, gripper: GripperSpec
) -> str | tuple[float, float, float, float, float, float]:
    """Centre the gripper on the piece that holds the seed; `x` is sorted.

    Returns:
        Why not, or centre, opening, width, mean angle of the faces, height of the TCP and quality.
    """
    between = (np.abs(y) < gripper.pad_half_width) & (up > level)
    xs, ys = x[between], y[between]
    if len(xs) < 6:
        return "hold too little"
    gap = gripper.finger_thickness + 2 * MIN_SIDE_CLEARANCE_M
    here = min(int(np.searchsorted(xs, seed_x)), len(xs) - 1)
    breaks = np.flatnonzero(np.diff(xs) > gap)
    first = breaks[breaks < here].max(initial=-1) + 1
    last = breaks[breaks >= here].min(initial=len(xs) - 1)
    xs, ys, ups = xs[first : last + 1], ys[first : last + 1], up[between][first : last + 1]
    if len(xs) < 6:
        return "hold too little"
    low, high = _ends(xs, 0.02)
    face = min(float(ups[np.abs(xs - end) < FACE_M].max()) for end in (low, high)) - level
    if face < MIN_FACE_SHARE * min(depth, float(ups.max()) - level):
        return "meet a slope"
    width, centre = high - low, 0.5 * (low + high)
    if width > gripper.max_opening - 2 * MIN_SIDE_CLEARANCE_M:
        return "are too wide"
    opening = min(gripper.max_opening, width + 2 * SIDE_CLEARANCE_M)
    reach = float(gripper.reach(max(width, 0.0)))
    offset = np.abs(x - centre)
    tips = (offset > opening / 2) & (offset < opening / 2 + gripper.finger_thickness + 0.002)
    fingers = tips & (np.abs(y) < gripper.pad_half_width + 0.003) & (up > level)
    knuckles = (offset < opening / 2 + 0.045) & (np.abs(y) < 0.02) & (up > level + reach + 0.03)
    palm = (offset < 0.075) & (up > level + reach + gripper.palm_distance - 0.005)
    # a few stray points are noise; a wall is not
    if fingers.sum() > 2 or knuckles.sum() > 2:
        return "would hit the object with a finger"
    if palm.sum() > 2:
        return "would hit the object with the palm"
    faces = _faces(xs, ys, centre)
    if faces is None:
        return "hold too little"
    angles, bulge = faces
    if np.abs(angles).max() > MAX_FACE_ANGLE_RAD:
        return "meet faces that are not opposite"
    # an edge between the pads lets the object turn; the bulge of a cup's wall is half a millimetre
    flat = float(np.exp(-((angles / 0.2) ** 2).sum() - ((bulge / FLATNESS_M) ** 2).sum()))
    cover = min(1.0, depth / (0.6 * gripper.pad_length)) * min(1.0, float(np.ptp(ys)) / 0.014)
    room = min(1.0, (opening - width) / (2 * SIDE_CLEARANCE_M))
    quality = flat * (0.5 + 0.5 * cover) * (0.6 + 0.4 * room)
    return centre, opening, width, float(angles.mean()), level + reach, quality


def _faces(xs: Array, ys: Array, centre: float) -> tuple[Array, Array] | None:
    """Angles (2,) [rad] of the faces' normals to the closing axis, their unevenness (2,) [m]."""
    bins = np.clip(((ys + 0.011) / 0.022 * 4).astype(int), 0, 3)
    rows = []
    for k in range(4):
        inside = bins == k
        piece = xs[inside]
        if len(piece) >= 3:
            rows.append((ys[inside].mean(), *_ends(piece, 0.05)))
    if len(rows) < 3:
        return None
    table = np.array(rows)
    side = table[:, 0] - table[:, 0].mean()
    slope = (side @ (table[:, 1:] - centre)) / (side @ side)
    level = table[:, 1:] - table[:, 1:].mean(axis=0)
    bulge = np.sqrt(((level - side[:, None] * slope) ** 2).mean(axis=0))
    return np.arctan(-slope), bulge


def _ends(ascending: Array, share: float) -> tuple[float, float]:
    """Quantiles `share` and `1 - share` of sorted values; np.percentile takes ten times as long."""
    skip = int(share * len(ascending))
    return float(ascending[skip]), float(ascending[-1 - skip])


def _spread(points: Array, count: int) -> Array:
    """Points that are far from each other (farthest point sampling)."""
    if len(points) <= count:
        return points
    chosen = [int(np.argmax(np.linalg.norm(points - points.mean(axis=0), axis=1)))]
    distance = np.linalg.norm(points - points[chosen[0]], axis=1)
    while len(chosen) < count:
        chosen.append(int(np.argmax(distance)))
        distance = np.minimum(distance, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return points[chosen]


def _distinct(trials: list[_Trial], count: int) -> list[_Trial]:
    """The best trials (they come sorted) without near repetitions."""
    kept: list[_Trial] = []
    for trial in trials:
        for other in kept:
            close = np.linalg.norm(trial.tcp - other.tcp) < 0.006
            cosine = np.trace(trial.R_support_tcp.T @ other.R_support_tcp)
            flipped = trial.R_support_tcp.T @ (other.R_support_tcp * np.array([-1, -1, 1]))
            if close and max(cosine, np.trace(flipped)) > 1 + 2 * np.cos(0.15):
                break
        else:
            kept.append(trial)
            if len(kept) == count:
                break
    return kept


def make_antipodal(_settings: object) -> Antipodal:
    """Entry point of the `antipodal` backend; it needs no settings."""
    return Antipodal()
