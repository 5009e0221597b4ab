"""The kernel from Python: arrays in, arrays out.

Shapes are checked here, numbers in the library. Calls release the interpreter's lock. Lengths [m],
angles [rad]; T steps, N joints; frame 0 is the base, frame i moves with joint i (1..N).
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from ctypes import byref, c_double, c_void_p
from dataclasses import astuple, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from novaflow_core.errors import ShapeError
from novaflow_trajopt import library

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Arm:
    """A serial arm.

    Attributes:
        T_parent_joint: (N, 4, 4) from frame i-1 to joint i at zero.
        axis: (N, 3) unit, in the joint's frame.
        revolute: (N,) whether a joint turns about its axis; it slides along it otherwise.
        lower: (N,) position limits [rad or m].
        upper: (N,).
        rest: (N,) rest configuration.
        T_last_tcp: (4, 4) the TCP in frame N.
    """

    T_parent_joint: Array
    axis: Array
    revolute: NDArray[np.bool_]
    lower: Array
    upper: Array
    rest: Array
    T_last_tcp: Array


@dataclass(frozen=True)
class Bodies:
    """Capsules of arm, gripper and held object, and what they must not touch.

    Attributes:
        frame: (C,) that each capsule moves with.
        capsule: (C, 7) both ends in that frame, and the radius; a sphere's ends coincide.
        pair: (P, 2) capsules that must not touch each other.
        plane: (4,) unit normal n and offset d of `n . p + d = 0`, base frame; None: no plane.
        T_box_base: (B, 4, 4).
        box_half: (B, 3) half extents.
        obstacle: (O, 7) capsules in the base frame.
        meets: (C, 1 + B + O) whether a capsule is checked against plane, boxes and obstacles.
    """

    frame: NDArray[np.int_]
    capsule: Array
    pair: NDArray[np.int_]
    plane: Array | None
    T_box_base: Array
    box_half: Array
    obstacle: Array
    meets: NDArray[np.bool_]


@dataclass(frozen=True)
class Weights:
    """Weights of the residuals, and the distance at which the collision barrier begins [m]."""

    limit: float
    smooth: float
    collision: float
    rest: float
    position: float
    orientation: float
    end_position: float
    end_orientation: float
    margin_m: float

    @cached_property
    def table(self) -> library.WeightTable:
        """The record that the library reads."""
        return library.WeightTable(*astuple(self))


class Model:
    """An arm with its bodies, laid out in the library.

    Raises:
        ShapeError: If the arrays disagree.
        PlatformError: INVALID_SETTING for indices, axes or radii out of range; UNAVAILABLE if the
            library is not built.
        ExecutionError: OPTIMISATION_FAILED if a number is not finite.
    """

    def __init__(self, arm: Arm, bodies: Bodies) -> None:
        """Copy both into the library."""
        joints, capsules = len(arm.axis), len(bodies.frame)
        boxes, obstacles = len(bodies.box_half), len(bodies.obstacle)
        keep: list[Any] = []

        def pointer(name: str, value: ArrayLike, kind: type, shape: tuple[int, ...]) -> int:
            array: NDArray[Any] = np.ascontiguousarray(value, kind)
            if array.shape != shape:
                raise ShapeError(f"{name} is {array.shape}, wanted is {shape}")
            keep.append(array)
            return int(array.ctypes.data)

        arm_table = library.ArmTable(
            joints,
            pointer("T_parent_joint", arm.T_parent_joint, np.float64, (joints, 4, 4)),
            pointer("axis", arm.axis, np.float64, (joints, 3)),
            pointer("revolute", arm.revolute, np.uint8, (joints,)),
            pointer("lower", arm.lower, np.float64, (joints,)),
            pointer("upper", arm.upper, np.float64, (joints,)),
            pointer("rest", arm.rest, np.float64, (joints,)),
            pointer("T_last_tcp", arm.T_last_tcp, np.float64, (4, 4)),
        )
        plane = np.zeros(4) if bodies.plane is None else np.asarray(bodies.plane, float)
        if plane.shape != (4,):
            raise ShapeError(f"plane is {plane.shape}, wanted is (4,)")
        body_table = library.BodyTable(
            capsules,
            pointer("frame", bodies.frame, np.int32, (capsules,)),
            pointer("capsule", bodies.capsule, np.float64, (capsules, 7)),
            len(bodies.pair),
            pointer("pair", bodies.pair, np.int32, (len(bodies.pair), 2)),
            bodies.plane is not None,
            (c_double * 4)(*plane),
            boxes,
            pointer("T_box_base", bodies.T_box_base, np.float64, (boxes, 4, 4)),
            pointer("box_half", bodies.box_half, np.float64, (boxes, 3)),
            obstacles,
            pointer("obstacle", bodies.obstacle, np.float64, (obstacles, 7)),
            pointer("meets", bodies.meets, np.uint8, (capsules, 1 + boxes + obstacles)),
        )
        handle = c_void_p()
        kernel = library.load()
        status = kernel.novaflow_trajopt_model_create(
            byref(arm_table), byref(body_table), byref(handle)
        )
        if status:
            raise library.failure(status, "collision model")
        self.joint_count = joints
        self.handle = handle
        weakref.finalize(self, kernel.novaflow_trajopt_model_destroy, handle)


@dataclass(frozen=True)
class Problem:
    """Follow poses with the TCP.

    Attributes:
        model: The arm and its surroundings.
        T_base_tcp: (T, 4, 4) wanted poses.
        q_start: (N,) first guess at the first step.
        q_end: (N,) first guess at the last step; between them it is a line.
        weights: Of the residuals.
        q_initial: (T, N) first guess of the whole path instead, if given.
    """

    model: Model
    T_base_tcp: Array
    q_start: Array
    q_end: Array
    weights: Weights
    q_initial: Array | None = None


@dataclass(frozen=True)
class Solution:
    """A joint path.

    Attributes:
        q: (T, N).
        cost: Half the sum of squared residuals.
        iterations: That were spent.
        position_error_m: (T,).
        orientation_error_rad: (T,).
        clearance_m: (T,) smallest distance to anything, at most the margin.
    """

    q: Array
    cost: float
    iterations: int
    position_error_m: Array
    orientation_error_rad: Array
    clearance_m: Array


@dataclass
class _Call:
    """Tables of problems, and the arrays that they point to."""

    table: Any
    keep: list[Any] = field(default_factory=list)


def follow(
    problems: Sequence[Problem],
    *,
    max_iterations: int = 40,
    tolerance: float = 1e-5,
    threads: int = 1,
) -> list[Solution]:
    """Solve problems; each solution is the same as if it were solved alone.

    Args:
        problems: Of any lengths, robots and surroundings.
        max_iterations: Per problem.
        tolerance: Relative decrease of the cost below which a problem is done.
        threads: That share the problems; no more than these run, and none outlives the call.

    Raises:
        ShapeError: If arrays disagree.
        ExecutionError: OPTIMISATION_FAILED, saying why, if any problem fails.
        PlatformError: INVALID_SETTING for weights or limits out of range.
    """
    count = len(problems)
    call = _tables(problems)
    answers = (library.SolutionTable * count)()
    out = []
    for k, problem in enumerate(problems):
        steps, joints = len(problem.T_base_tcp), problem.model.joint_count
        block = np.empty((steps, joints + 3))  # one allocation: q, then the three columns
        base, size = block.ctypes.data, 8 * steps
        first = base + size * joints
        answer = answers[k]
        answer.q, answer.position_error_m = base, first
        answer.orientation_error_rad, answer.clearance_m = first + size, first + 2 * size
        out.append(block.reshape(-1))
    options = library.OptionTable(max_iterations, tolerance, threads)
    status = library.load().novaflow_trajopt_follow(call.table, answers, count, byref(options))
    if status:
        worst = next((k for k in range(count) if answers[k].status == status), -1)
        raise library.failure(status, f"problem {worst + 1} of {count}" if count > 1 else "path")
    return [
        _solution(block, answers[k], problem)
        for k, (block, problem) in enumerate(zip(out, problems, strict=True))
    ]


def linearise(problem: Problem) -> tuple[float, Array, Array]:
    """The objective at `q_initial`.

    Returns:
        Cost, gradient (T, N) and the Gauss-Newton blocks (T, N, N) without smoothness.
    """
    if problem.q_initial is None:
        raise ShapeError("the objective is evaluated at q_initial, which is None")
    call = _tables([problem])
    steps, joints = len(problem.T_base_tcp), problem.model.joint_count
    cost, gradient = np.empty(1), np.empty((steps, joints))
    hessian = np.empty((steps, joints, joints))
    status = library.load().novaflow_trajopt_linearise(
        call.table, cost.ctypes.data, gradient.ctypes.data, hessian.ctypes.data
    )
    if status:
        raise library.failure(status, "path")
    return float(cost[0]), gradient, hessian


def clearance(model: Model, q: ArrayLike, cap_m: float) -> Array:
    """Smallest distance (S,) [m] of configurations (S, N) to anything, at most `cap_m`."""
    at = np.ascontiguousarray(q, np.float64)
    if at.ndim != 2 or at.shape[1] != model.joint_count:
        raise ShapeError(f"q is {at.shape}, wanted is (S, {model.joint_count})")
    out = np.empty(len(at))
    status = library.load().novaflow_trajopt_clearance(
        model.handle, at.ctypes.data, len(at), cap_m, out.ctypes.data
    )
    if status:
        raise library.failure(status, "configurations")
    return out


def instruction_set() -> str:
    """What the kernel runs on here: "avx512", "avx2" or "portable"."""
    return library.target()[0]


def _tables(problems: Sequence[Problem]) -> _Call:
    call = _Call((library.ProblemTable * len(problems))())
    for k, problem in enumerate(problems):
        steps, joints = len(problem.T_base_tcp), problem.model.joint_count
        table = call.table[k]

        def pointer(name: str, value: ArrayLike, shape: tuple[int, ...]) -> int:
            array = np.ascontiguousarray(value, np.float64)
            if array.shape != shape:
                raise ShapeError(f"{name} is {array.shape}, wanted is {shape}")
            call.keep.append(array)
            return int(array.ctypes.data)

        table.model = problem.model.handle
        table.steps = steps
        table.T_base_tcp = pointer("T_base_tcp", problem.T_base_tcp, (steps, 4, 4))
        if problem.q_initial is None:
            table.q_start = pointer("q_start", problem.q_start, (joints,))
            table.q_end = pointer("q_end", problem.q_end, (joints,))
        else:
            table.q_initial = pointer("q_initial", problem.q_initial, (steps, joints))
        table.weights = problem.weights.table
    return call


def _solution(block: Array, answer: Any, problem: Problem) -> Solution:
    steps, joints = len(problem.T_base_tcp), problem.model.joint_count
    q, rest = block[: steps * joints].reshape(steps, joints), block[steps * joints :]
    return Solution(
        q, answer.cost, answer.iterations, rest[:steps], rest[steps : 2 * steps], rest[2 * steps :]
    )
