"""The last of a flow, led to where the scene shows that it goes.

One camera tells to a fraction of a millimetre where in its image a thing is, and only to
millimetres or centimetres how far away. A socket 3 mm wider than its block, or a peg, forgives
less. So where a lifted flow ends at the goal but for its distance from the camera, that distance is
taken from the scene, and the last of the way is the one that leads into the socket or onto the peg.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from novaflow_core import se3
from novaflow_core.errors import NovaflowError
from novaflow_core.flow import ObjectFlow
from novaflow_core.grounding import Grounding
from novaflow_core.kabsch import fit_sequence
from novaflow_core.scene import Scene
from novaflow_core.task import Relation
from novaflow_flowgen.core.goal import Stage, plan_goal

Float = NDArray[np.float64]

MAX_ACROSS_M = 0.008  # in the image it must end there: what is off there was imagined so
MAX_ALONG_M = 0.04  # what lifting errs by behind a hand
_BEFORE_M = 0.02  # of a way at least, before its last part
_ABOVE_RIM_M = 0.01  # what goes into an opening comes from so far above it
_PRECISE = (Relation.IN, Relation.HANG)


@dataclass(frozen=True)
class _End:
    """Where a flow should end.

    Attributes:
        pivot: (3,) point of the object in the first step [m].
        place: (3,) where it ends [m].
        legs: Last straight pieces (3,) of the way there, in order [m].
    """

    pivot: Float
    place: Float
    legs: tuple[Float, ...]

    @property
    def length(self) -> float:
        """Of the legs [m]."""
        return float(sum(np.linalg.norm(leg) for leg in self.legs))


def settled(
    flow: ObjectFlow, stats: dict[str, float], scene: Scene, grounding: Grounding
) -> tuple[ObjectFlow, dict[str, float]]:
    """Lead the last of a flow to the goal that it ends at but for its distance from the camera.

    Args:
        flow: As lifted, of the target.
        stats: Measured while lifting.
        scene: What the cameras saw.
        grounding: What the instruction speaks of.

    Returns:
        The flow, unchanged where the instruction asks for no precise place, the scene does not tell
        it or the flow ends elsewhere; and the statistics with how far off it was.

    Raises:
        TrackingError: POSE_SUPPORT_TOO_SMALL when the flow's points do not fix its poses.
    """
    if grounding.task.relation not in _PRECISE or not grounding.references:
        return flow, stats
    try:
        end = _end(Stage(scene, grounding))
    except NovaflowError:
        return flow, stats | {"goal_told": 0.0}  # the judge says what is wrong with it
    poses = fit_sequence(flow).poses
    path = poses[:, :3, :3] @ end.pivot + poses[:, :3, 3]
    off = end.place - path[-1]
    ray = path[-1] - scene.main.T_planning_camera[:3, 3]
    ray /= np.linalg.norm(ray)
    along = float(off @ ray)
    across = float(np.linalg.norm(off - along * ray))
    told = stats | {"goal_told": 1.0, "goal_along_m": along, "goal_across_m": across}
    if abs(along) > MAX_ALONG_M or across > MAX_ACROSS_M:
        return flow, told
    if float(np.linalg.norm(path[-1] - path[0])) <= end.length + _BEFORE_M:
        return flow, told
    change = _lead(poses, path, end) @ se3.inverse(poses)
    points = [se3.apply(T, p) for T, p in zip(change, flow.points, strict=True)]
    return replace(flow, points=np.stack(points).astype(np.float32)), told


def _end(stage: Stage) -> _End:
    """Where the target goes, and how; errors as of `plan_goal`."""
    goal = plan_goal(stage, stage.grounding.target)
    legs = goal.legs
    if goal.sinks_m is not None and goal.sinks_m > -_ABOVE_RIM_M:  # straight down
        legs = (-(goal.sinks_m + _ABOVE_RIM_M) * stage.support.normal,)
    return _End(goal.pivot, goal.pivot + goal.shift, legs)


def _lead(poses: Float, path: Float, end: _End) -> Float:
    """Poses (T, 4, 4): on the legs at last, and until then its own path (T, 3), led there."""
    legs, length = np.array(end.legs).reshape(-1, 3), end.length
    left = np.linalg.norm(path - path[-1], axis=1)  # from the end, as the video shows it
    first = min(int(np.flatnonzero(left > length)[-1]) + 1, len(path) - 1)
    # What is seen of a thing that disappears in another is noisy; it goes one way.
    down = isotonic_regression(np.minimum(left[first:], length), increasing=False).x
    last = _on_legs(end.place, legs, down)
    walked = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    share = np.minimum(walked / walked[first], 1.0)
    to = path + share[:, None] * (last[0] - path[first])
    to[first:] = last
    rotation = np.array(poses[:, :3, :3])
    if len(legs):
        turn = se3.log_so3(rotation[-1] @ rotation[first].T)
        rotation = se3.exp_so3(share[:, None] * turn) @ rotation
        rotation[first:] = poses[-1, :3, :3]
    led = np.asarray(se3.from_rt(rotation, to - rotation @ end.pivot))
    led[0] = np.eye(4)
    return led


def _on_legs(place: Float, legs: Float, left: Float) -> Float:
    """Points (N, 3) on the legs (L, 3) that end at `place`, `left` (N,) [m] before it."""
    out = np.repeat(place[None], len(left), axis=0)
    for leg in legs[::-1]:
        length = float(np.linalg.norm(leg))
        done = np.minimum(left, length)
        out = out - (done / length)[:, None] * leg
        left = left - done
    return out
