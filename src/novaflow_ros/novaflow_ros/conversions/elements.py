"""Times, poses, planes and the flat buffers of array fields."""

from __future__ import annotations

import array
from enum import Enum
from typing import TypeVar

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Pose
from numpy.typing import ArrayLike, NDArray
from shape_msgs.msg import Plane as PlaneMsg

from novaflow_core import se3
from novaflow_core.errors import ShapeError
from novaflow_core.scene import Plane

E = TypeVar("E", bound=Enum)


def buffer(values: ArrayLike, typecode: str) -> array.array:  # type: ignore[type-arg]
    """Pack an array into the flat buffer of a message field; `typecode` 'B', 'f' or 'd'."""
    out = array.array(typecode)
    out.frombytes(np.ascontiguousarray(values, np.dtype(typecode)).data.cast("B"))
    return out


def member(kind: type[E], value: object) -> E:
    """Return the member of an enumeration that a field names.

    Raises:
        ShapeError: If there is none, naming those that exist.
    """
    try:
        return kind(value)
    except ValueError as error:
        known = ", ".join(str(item.value) for item in kind)
        raise ShapeError(f"{kind.__name__.lower()} '{value}' is not one of {known}") from error


def time_from_ns(stamp_ns: int) -> Time:
    """Time message of nanoseconds."""
    sec, nanosec = divmod(int(stamp_ns), 1_000_000_000)
    return Time(sec=sec, nanosec=nanosec)


def time_to_ns(stamp: Time) -> int:
    """Nanoseconds of a time message."""
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def pose_from_matrix(transform: NDArray[np.float64]) -> Pose:
    """Pose message of a transform (4, 4)."""
    out = Pose()
    out.position.x, out.position.y, out.position.z = (float(v) for v in transform[:3, 3])
    x, y, z, w = (float(v) for v in se3.quaternion_xyzw(transform[:3, :3]))
    out.orientation.x, out.orientation.y, out.orientation.z, out.orientation.w = x, y, z, w
    return out


def pose_to_matrix(pose: Pose) -> NDArray[np.float64]:
    """Transform (4, 4) of a pose message.

    Raises:
        ShapeError: If the quaternion has no length.
    """
    q = pose.orientation
    quaternion = np.array([q.x, q.y, q.z, q.w])
    if not np.linalg.norm(quaternion) > 1e-6:
        raise ShapeError(f"the pose's quaternion is {quaternion.tolist()}; it must have length 1")
    p = pose.position
    return se3.from_rt(se3.rotation_from_xyzw(quaternion), [p.x, p.y, p.z])


def plane_to_msg(plane: Plane) -> PlaneMsg:
    """Plane message of a plane."""
    return PlaneMsg(coef=np.array([*plane.normal, plane.offset], float))


def plane_from_msg(message: PlaneMsg) -> Plane:
    """Plane of a plane message."""
    coef = np.asarray(message.coef, float)
    return Plane(coef[:3].copy(), float(coef[3]))
