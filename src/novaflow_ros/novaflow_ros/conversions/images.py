"""Images, cameras and point clouds."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sensor_msgs.msg import CameraInfo, Image, PointCloud2, PointField

from novaflow_core.camera import CameraModel
from novaflow_core.errors import ShapeError
from novaflow_ros.conversions.elements import buffer, time_from_ns

_IMAGE_TYPES = {
    "rgb8": (np.uint8, 3),
    "bgr8": (np.uint8, 3),
    "mono8": (np.uint8, 1),
    "8UC1": (np.uint8, 1),
    "16UC1": (np.uint16, 1),
    "mono16": (np.uint16, 1),
    "32FC1": (np.float32, 1),
}


def image_to_msg(
    image: NDArray[np.generic], encoding: str, frame_id: str = "", stamp_ns: int = 0
) -> Image:
    """Image message of an array (H, W) or (H, W, 3) that already has the encoding's layout."""
    out = Image(height=image.shape[0], width=image.shape[1], encoding=encoding, is_bigendian=0)
    out.header.frame_id = frame_id
    out.header.stamp = time_from_ns(stamp_ns)
    out.step = int(image.strides[0]) if image.flags.c_contiguous else int(image[0].nbytes)
    out.data = buffer(np.ascontiguousarray(image).view(np.uint8), "B")
    return out


def image_from_msg(message: Image) -> NDArray[np.generic]:
    """Array (H, W) or (H, W, 3) of an image message, as a read-only view of its buffer.

    Raises:
        ShapeError: If the encoding is not known or the data is shorter than its size says.
    """
    if message.encoding not in _IMAGE_TYPES:
        raise ShapeError(
            f"image encoding '{message.encoding}' is not one of {', '.join(_IMAGE_TYPES)}"
        )
    dtype, channels = _IMAGE_TYPES[message.encoding]
    row = message.width * channels * np.dtype(dtype).itemsize
    step = message.step or row
    data = np.frombuffer(message.data, np.uint8)
    if step < row or data.size < step * message.height or not row:
        raise ShapeError(
            f"image of {message.width}x{message.height} {message.encoding} holds {data.size} bytes"
        )
    rows = data[: step * message.height].reshape(message.height, step)[:, :row]
    order = ">" if message.is_bigendian else "<"
    out = (
        np.ascontiguousarray(rows)
        .view(np.dtype(dtype).newbyteorder(order))
        .reshape(message.height, message.width, -1)
    )
    return out[..., 0] if channels == 1 else out


def color_from_msg(message: Image) -> NDArray[np.uint8]:
    """Colour image (H, W, 3) uint8 RGB of an rgb8 or bgr8 message."""
    image = image_from_msg(message)
    if image.ndim != 3:
        raise ShapeError(f"a colour image was expected, not {message.encoding}")
    return np.ascontiguousarray(image[..., ::-1] if message.encoding == "bgr8" else image)


def depth_from_msg(message: Image) -> NDArray[np.float32]:
    """Depth image (H, W) float32 [m]; NaN where the sensor saw nothing.

    REP-118: 32FC1 is metres, raw 16UC1 millimetres.
    """
    image = image_from_msg(message)
    if message.encoding in ("16UC1", "mono16"):
        depth = image.astype(np.float32) * np.float32(1e-3)
    elif message.encoding == "32FC1":
        depth = image.astype(np.float32)
    else:
        raise ShapeError(f"depth encoding '{message.encoding}' is neither 32FC1 nor 16UC1")
    depth[~(np.isfinite(depth) & (depth > 0))] = np.nan
    return depth


def camera_info_to_msg(model: CameraModel, frame_id: str, stamp_ns: int = 0) -> CameraInfo:
    """CameraInfo message of a camera without distortion."""
    out = CameraInfo(
        width=model.width, height=model.height, distortion_model="plumb_bob", d=[0.0] * 5
    )
    out.header.frame_id = frame_id
    out.header.stamp = time_from_ns(stamp_ns)
    out.k = model.matrix.ravel()
    out.r = np.eye(3).ravel()
    out.p = np.hstack([model.matrix, np.zeros((3, 1))]).ravel()
    return out


def camera_info_from_msg(message: CameraInfo) -> CameraModel:
    """Camera of a CameraInfo message.

    Raises:
        ShapeError: If the focal length is not positive.
    """
    k = np.asarray(message.k, float)
    if not (k[0] > 0 and k[4] > 0):
        raise ShapeError(
            f"camera_info has focal lengths {k[0]}, {k[4]} px; the camera is not calibrated"
        )
    return CameraModel(
        int(message.width), int(message.height), *(float(k[i]) for i in (0, 4, 2, 5))
    )


def cloud_to_msg(
    points: ArrayLike, frame_id: str, stamp_ns: int = 0, rgb: NDArray[np.uint8] | None = None
) -> PointCloud2:
    """PointCloud2 of points (N, 3) [m], with packed `rgb` when colours (N, 3) uint8 are given."""
    xyz = np.asarray(points, np.float32).reshape(-1, 3)
    names = ["x", "y", "z"]
    columns = xyz
    if rgb is not None:
        packed = (
            (rgb.astype(np.uint32) << np.array([16, 8, 0], np.uint32)).sum(axis=1).astype(np.uint32)
        )
        columns = np.hstack([xyz, packed.view(np.float32)[:, None]])
        names.append("rgb")
    out = PointCloud2(height=1, width=len(columns), is_dense=bool(np.isfinite(xyz).all()))
    out.header.frame_id = frame_id
    out.header.stamp = time_from_ns(stamp_ns)
    out.fields = [
        PointField(name=n, offset=4 * i, datatype=PointField.FLOAT32, count=1)
        for i, n in enumerate(names)
    ]
    out.point_step = 4 * len(names)
    out.row_step = out.point_step * len(columns)
    out.data = buffer(np.ascontiguousarray(columns).view(np.uint8), "B")
    return out


def cloud_from_msg(message: PointCloud2) -> NDArray[np.float64]:
    """Points (N, 3) [m] of a PointCloud2 with float32 x, y, z; rows with NaN are left out."""
    offsets = {f.name: f.offset for f in message.fields if f.datatype == PointField.FLOAT32}
    if not {"x", "y", "z"} <= offsets.keys():
        raise ShapeError(f"point cloud has float32 fields {sorted(offsets)}, not x, y, z")
    dtype = np.dtype(
        {
            "names": ["x", "y", "z"],
            "formats": ["<f4"] * 3,
            "offsets": [offsets[n] for n in "xyz"],
            "itemsize": message.point_step,
        }
    )
    rows = np.frombuffer(message.data, dtype, count=message.width * message.height)
    points = np.stack([rows["x"], rows["y"], rows["z"]], -1).astype(float)
    return points[np.isfinite(points).all(axis=1)]
