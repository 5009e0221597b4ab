"""A serial arm: kinematics, limits and capsules, from a URDF and a settings record."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from novaflow_core import se3
from novaflow_core.errors import Code, PlatformError
from novaflow_executor.core.robot_settings import RobotSettings, rpy

Array = NDArray[np.float64]


@dataclass(frozen=True)
class JointLimits:
    """Limits of N joints.

    Attributes:
        lower: (N,) [rad].
        upper: (N,) [rad].
        velocity: (N,) [rad/s].
        acceleration: (N,) [rad/s^2].
        jerk: (N,) [rad/s^3].
    """

    lower: Array
    upper: Array
    velocity: Array
    acceleration: Array
    jerk: Array

    def violation(self, q: ArrayLike) -> Array:
        """How far (*B, N) [rad] configurations lie outside: below negative, above positive."""
        q = np.asarray(q, float)
        return np.asarray(np.maximum(q - self.upper, 0.0) - np.maximum(self.lower - q, 0.0))


@dataclass(frozen=True)
class _Joint:
    name: str
    kind: str
    T_parent_joint: Array
    axis: Array
    child: str


class RobotModel:
    """N moving joints in a chain. Frame 0 is the base, frame i moves with joint i (1..N).

    Attributes:
        settings: What the URDF does not say.
        joint_names: N names.
        limits: Position limits already carry the margin of the settings.
        home: (N,) [rad].
    """

    def __init__(self, urdf_text: str, settings: RobotSettings) -> None:
        """Fold fixed joints into the moving ones.

        Raises:
            PlatformError: INVALID_SETTING if the URDF has no chain to the tip, or sizes disagree.
        """
        self.settings = settings
        chain = _chain(urdf_text, settings.base_link, settings.tip_link)
        names: list[str] = []
        self.link_frame: dict[str, tuple[int, Array]] = {settings.base_link: (0, np.eye(4))}
        offsets, axes, revolute, bounds = [], [], [], []
        T_frame_here = np.eye(4)
        for joint, limit in chain:
            T_frame_here = T_frame_here @ joint.T_parent_joint
            if joint.kind != "fixed":
                names.append(joint.name)
                offsets.append(T_frame_here)
                axes.append(joint.axis)
                revolute.append(joint.kind != "prismatic")
                bounds.append(limit)
                T_frame_here = np.eye(4)
            self.link_frame[joint.child] = (len(names), T_frame_here.copy())
        self.joint_names = tuple(names)
        count = len(names)
        for name in ("home", "acceleration", "jerk"):
            if len(getattr(settings, name)) != count:
                raise PlatformError(
                    Code.INVALID_SETTING,
                    f"robot setting '{name}' has {len(getattr(settings, name))} numbers, "
                    f"the arm {count} joints",
                )
        self._rotation = np.stack([o[:3, :3] for o in offsets])
        self._translation = np.stack([o[:3, 3] for o in offsets])
        self._axis = np.stack(axes)
        self._revolute = np.array(revolute)
        self._hat = se3.hat(self._axis)
        self._hat2 = self._hat @ self._hat
        range_ = np.array(bounds)
        self.limits = JointLimits(
            range_[:, 0] + settings.limit_margin,
            range_[:, 1] - settings.limit_margin,
            range_[:, 2],
            settings.acceleration,
            settings.jerk,
        )
        self.home = np.clip(settings.home, self.limits.lower, self.limits.upper)
        frame, T_frame_tip = self.link_frame[settings.tip_link]
        self.tcp_frame = frame
        self.T_frame_tcp = T_frame_tip @ settings.T_tip_tcp

    @property
    def joint_count(self) -> int:
        """Number of moving joints N."""
        return len(self.joint_names)

    def joint_table(self) -> tuple[Array, Array, NDArray[np.bool_]]:
        """Of each joint: its pose (N, 4, 4) in the frame before [m], axis (N, 3), if it turns."""
        return se3.from_rt(self._rotation, self._translation), self._axis, self._revolute

    def frames(self, q: ArrayLike) -> tuple[Array, Array]:
        """Rotations (*B, N+1, 3, 3) and origins (*B, N+1, 3) [m] of all frames, base frame."""
        q = np.asarray(q, float)
        batch = q.shape[:-1]
        sin, cos = np.sin(q)[..., None, None], 1.0 - np.cos(q)[..., None, None]
        turn = np.eye(3) + sin * self._hat + cos * self._hat2  # Rodrigues, per joint
        slide = self._axis * q[..., None]
        rotation = np.empty((*batch, self.joint_count + 1, 3, 3))
        origin = np.empty((*batch, self.joint_count + 1, 3))
        rotation[..., 0, :, :] = np.eye(3)
        origin[..., 0, :] = 0.0
        for i in range(self.joint_count):
            parent = rotation[..., i, :, :]
            origin[..., i + 1, :] = origin[..., i, :] + parent @ self._translation[i]
            here = parent @ self._rotation[i]
            if self._revolute[i]:
                rotation[..., i + 1, :, :] = here @ turn[..., i, :, :]
            else:
                rotation[..., i + 1, :, :] = here
                origin[..., i + 1, :] += np.einsum("...ij,...j->...i", here, slide[..., i, :])
        return rotation, origin

    def axes(self, rotation: Array) -> Array:
        """Joint axes (*B, N, 3) in the base frame, from `frames`' rotations."""
        return np.asarray(np.einsum("...nij,nj->...ni", rotation[..., 1:, :, :], self._axis))

    def tcp(self, q: ArrayLike) -> Array:
        """Poses T_base_tcp (*B, 4, 4) [m] of configurations (*B, N)."""
        return self.tcp_of(*self.frames(q))

    def tcp_of(self, rotation: Array, origin: Array) -> Array:
        """Poses T_base_tcp (*B, 4, 4) from `frames`' result."""
        parent = rotation[..., self.tcp_frame, :, :]
        return se3.from_rt(
            parent @ self.T_frame_tcp[:3, :3],
            origin[..., self.tcp_frame, :] + parent @ self.T_frame_tcp[:3, 3],
        )

    def point_jacobian(
        self, axes: Array, origin: Array, points: Array, frame: NDArray[np.int_] | int
    ) -> Array:
        """Derivative (*B, 3, N) of points (*B, 3) that move with frames (*B) by the joints.

        Args:
            axes: (*B, N, 3) from `axes`.
            origin: (*B, N+1, 3) from `frames`.
            points: (*B, 3) [m], base frame.
            frame: Moving frame of each point, 0..N.
        """
        arm = points[..., None, :] - origin[..., 1:, :]
        columns = np.where(self._revolute[:, None], _cross(axes, arm), axes)
        moved = np.arange(1, self.joint_count + 1) <= np.asarray(frame)[..., None]
        return np.swapaxes(columns * moved[..., None], -1, -2)

    def jacobian(self, q: ArrayLike) -> Array:
        """Geometric Jacobian (*B, 6, N) of the TCP: linear, then angular, in the base frame."""
        rotation, origin = self.frames(q)
        tcp = self.tcp_of(rotation, origin)
        return self.jacobian_of(rotation, origin, tcp)

    def jacobian_of(self, rotation: Array, origin: Array, tcp: Array) -> Array:
        """`jacobian` from `frames`' result and the TCP's poses."""
        axes = self.axes(rotation)
        linear = self.point_jacobian(axes, origin, tcp[..., :3, 3], self.tcp_frame)
        angular = np.swapaxes(axes * self._revolute[:, None], -1, -2)
        return np.concatenate([linear, angular], axis=-2)

    def capsules(self, opening_m: float) -> tuple[NDArray[np.int_], Array, Array, Array]:
        """Moving frame (A,), both ends (A, 3) in it and radius (A,) [m] of arm and gripper."""
        frames, rows = [], []
        for link, capsules in self.settings.capsules.items():
            if link not in self.link_frame:
                raise PlatformError(
                    Code.INVALID_SETTING,
                    f"capsules are given for '{link}', which is not in the arm's chain",
                )
            frame, T_frame_link = self.link_frame[link]
            frames += [frame] * len(capsules)
            rows.append(_moved(T_frame_link, capsules))
        gripper = self.settings.gripper.capsules(opening_m)
        frames += [self.tcp_frame] * len(gripper)
        rows.append(_moved(self.T_frame_tcp, gripper))
        table = np.concatenate(rows)
        return np.array(frames), table[:, :3], table[:, 3:6], table[:, 6]


def _cross(a: Array, b: Array) -> Array:
    """Cross product over the last axis; np.cross is several times slower on small batches."""
    return np.stack(
        [
            a[..., 1] * b[..., 2] - a[..., 2] * b[..., 1],
            a[..., 2] * b[..., 0] - a[..., 0] * b[..., 2],
            a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0],
        ],
        axis=-1,
    )


def _moved(T_frame_local: Array, capsules: Array) -> Array:
    return np.concatenate(
        [
            se3.apply(T_frame_local, capsules[:, :3]),
            se3.apply(T_frame_local, capsules[:, 3:6]),
            capsules[:, 6:],
        ],
        axis=1,
    )


def _numbers(text: str | None, default: str) -> Array:
    return np.array((text or default).split(), float)


def _chain(
    urdf_text: str, base_link: str, tip_link: str
) -> list[tuple[_Joint, tuple[float, float, float]]]:
    """Joints from base to tip, with (lower, upper, velocity) of the moving ones."""
    try:
        root = ET.fromstring(urdf_text)
    except ET.ParseError as error:
        raise PlatformError(Code.INVALID_SETTING, f"robot description: {error}") from error
    by_child = {c.get("link"): j for j in root.findall("joint") for c in j.findall("child")}
    chain = []
    link: str | None = tip_link
    while link != base_link:
        element = by_child.get(link)
        if element is None:
            raise PlatformError(
                Code.INVALID_SETTING,
                f"robot description has no chain from '{base_link}' to '{tip_link}': "
                f"it ends at '{link}'",
            )
        chain.append(_parse_joint(element, str(link)))
        link = element.find("parent").get("link")  # type: ignore[union-attr]
    return chain[::-1]


def _parse_joint(element: ET.Element, child: str) -> tuple[_Joint, tuple[float, float, float]]:
    name, kind = str(element.get("name")), str(element.get("type"))
    if kind not in ("fixed", "revolute", "prismatic", "continuous"):
        raise PlatformError(Code.INVALID_SETTING, f"joint '{name}' is of type '{kind}'")
    origin, axis, limit = element.find("origin"), element.find("axis"), element.find("limit")
    place = np.eye(4)
    if origin is not None:
        place = se3.from_rt(
            rpy(_numbers(origin.get("rpy"), "0 0 0")), _numbers(origin.get("xyz"), "0 0 0")
        )
    direction = _numbers(axis.get("xyz") if axis is not None else None, "1 0 0")
    numbers = (0.0, 0.0, 0.0)
    if kind != "fixed":
        if limit is None:
            raise PlatformError(Code.INVALID_SETTING, f"joint '{name}' has no limit")
        turn = 2 * np.pi if kind == "continuous" else 0.0
        numbers = (
            float(limit.get("lower", -turn)),
            float(limit.get("upper", turn)),
            float(limit.get("velocity", 0.0)),
        )
        direction = direction / np.linalg.norm(direction)
    return _Joint(name, kind, place, direction, child), numbers
