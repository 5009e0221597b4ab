"""A textured red box on a table, as an RGB-D view in a folder; and its removal from a bag."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message, serialize_message
from rosbags.rosbag2 import Reader
from sensor_msgs.msg import CompressedImage, Image

from novaflow_bringup.core import image_codec
from novaflow_bringup.ros.bag_writer import BagWriter
from novaflow_ros.conversions import buffer, image_from_msg

WIDTH, HEIGHT, FOCAL = 640, 480, 525.0
PITCH, DISTANCE = np.radians(40.0), 0.75
BOXES = (
    ((0.0, 0.0), (0.07, 0.07, 0.08), (175, 30, 30)),
    ((0.16, 0.05), (0.06, 0.06, 0.06), (30, 45, 170)),
)


def write_view(folder: Path) -> Path:
    """Render the boxes and write color.png, depth_mm.png and camera.json."""
    folder.mkdir(parents=True)
    u, v = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    rays = np.stack([(u - 319.5) / FOCAL, (v - 239.5) / FOCAL, np.ones_like(u)], -1)
    forward = np.array([0.0, np.cos(PITCH), -np.sin(PITCH)])
    right = np.array([1.0, 0.0, 0.0])
    axes = np.stack([right, np.cross(forward, right), forward], 1)
    directions, origin = rays @ axes.T, -DISTANCE * forward
    depth = -origin[2] / directions[..., 2]
    colour = np.full((HEIGHT, WIDTH, 3), (150.0, 140.0, 125.0))
    texture = np.random.default_rng(3).uniform(0.6, 1.2, (64, 64, 64))
    for (x, y), size, rgb in BOXES:
        half = np.array(size) / 2
        local = origin - np.array([x, y, half[2]])
        with np.errstate(divide="ignore", invalid="ignore"):
            near = np.minimum((-half - local) / directions, (half - local) / directions)
            far = np.maximum((-half - local) / directions, (half - local) / directions)
        enter, leave = near.max(-1), far.min(-1)
        hit = (enter < leave) & (enter > 0) & (enter < depth)
        at = local + enter[..., None] * directions
        cells = np.clip(((at[hit] + half) / 0.006).astype(int), 0, 63)
        shade = texture[cells[:, 0], cells[:, 1], cells[:, 2]] * (0.75 + 0.1 * near.argmax(-1)[hit])
        depth[hit] = enter[hit]
        colour[hit] = np.array(rgb) * shade[:, None]
    colour += np.random.default_rng(4).normal(0, 2, colour.shape)
    pixels = np.clip(colour, 0, 255).astype(np.uint8)
    cv2.imwrite(str(folder / "color.png"), pixels[..., ::-1])
    cv2.imwrite(str(folder / "depth_mm.png"), (depth * 1000).astype(np.uint16))
    camera = {"width": WIDTH, "height": HEIGHT, "fx": FOCAL, "fy": FOCAL, "cx": 319.5, "cy": 239.5}
    (folder / "camera.json").write_text(json.dumps(camera))
    return folder


def paint_out_target(bag: Path, painted: Path) -> int:
    """Copy a bag with the grounded target replaced by the table in every image.

    Returns:
        How many images were changed.
    """
    with Reader(bag) as source:
        mask = _target_mask(source)
        out = BagWriter(painted)
        changed = 0
        for connection in source.connections:
            offered = connection.ext.offered_qos_profiles[0]
            out.add(
                connection.topic,
                connection.msgtype,
                QoSProfile(
                    depth=10,
                    reliability=ReliabilityPolicy(offered.reliability.value),
                    durability=DurabilityPolicy(offered.durability.value),
                ),
            )
        for connection, stamp, data in source.messages():
            kept = bytes(data)
            if connection.topic.endswith(("/compressed", "/compressedDepth")):
                message = deserialize_message(kept, CompressedImage)
                image = bytes(message.data)
                if connection.topic.endswith("Depth"):
                    depth = image_codec.decode_depth(image)
                    image = image_codec.encode_depth(_table_depth(depth, mask))
                else:
                    colour = cv2.inpaint(
                        image_codec.decode_color(image), mask, 5, cv2.INPAINT_TELEA
                    )
                    image = image_codec.encode_color(colour)
                message.data = buffer(np.frombuffer(image, np.uint8), "B")
                kept = serialize_message(message)
                changed += 1
            out.write(connection.topic, stamp, kept)
        out.close()
    return changed


def _target_mask(source: Reader) -> np.ndarray:
    chosen = [c for c in source.connections if c.topic == "/novaflow/target_mask"]
    *_, (_, _, data) = source.messages(connections=chosen)
    mask = (image_from_msg(deserialize_message(bytes(data), Image)) > 0).astype(np.uint8)
    return cv2.dilate(mask, np.ones((31, 31), np.uint8))


def _table_depth(depth: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The inverse depth of a plane is linear in the pixels: fit it around the mask, fill it in."""
    ring = (cv2.dilate(mask, np.ones((41, 41), np.uint8)) > mask) & (depth > 0)
    v, u = np.nonzero(ring)
    terms = np.stack([u, v, np.ones_like(u)], 1).astype(float)
    inverse = 1.0 / depth[ring]
    keep = np.ones(len(inverse), bool)
    for _ in range(5):  # what else stands in the ring is no part of the table
        fit, *_ = np.linalg.lstsq(terms[keep], inverse[keep], rcond=None)
        off = np.abs(terms @ fit - inverse)
        keep = off < 2.5 * np.median(off[keep]) + 1e-9
    v, u = np.nonzero(mask)
    out = depth.copy()
    out[mask > 0] = np.round(1.0 / (np.stack([u, v, np.ones_like(u)], 1) @ fit)).astype(np.uint16)
    return out
