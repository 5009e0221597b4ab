"""Compressed images as image_transport writes them: JPEG colour, PNG depth behind a header.

Source: compressed_depth_image_transport (ConfigHeader: int32 format, float32[2] parameters).
"""

from __future__ import annotations

import struct

import cv2
import numpy as np
from numpy.typing import NDArray

from novaflow_core.errors import Code, PlatformError, ShapeError

COLOR_FORMAT = "rgb8; jpeg compressed bgr8"
DEPTH_FORMAT = "16UC1; compressedDepth png"
DEPTH_HEADER = struct.pack("<iff", 0, 0.0, 0.0)  # format 0: not quantised
PNG_LEVEL = 1  # 16-bit depth gains little from more, and costs several times as much


def encode_color(image: NDArray[np.uint8], quality: int = 90) -> bytes:
    """Return the JPEG of a colour image (H, W, 3) RGB."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return _encoded(done, data)


def decode_color(data: bytes) -> NDArray[np.uint8]:
    """Return the colour image (H, W, 3) RGB of a JPEG or PNG.

    Raises:
        ShapeError: If it cannot be decoded.
    """
    bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if bgr is None:
        raise ShapeError(f"{len(data)} bytes are no colour image")
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


def encode_depth(image: NDArray[np.uint16]) -> bytes:
    """Return header and PNG of a raw depth image (H, W) [mm]."""
    done, data = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, PNG_LEVEL])
    return DEPTH_HEADER + _encoded(done, data)


def decode_depth(data: bytes) -> NDArray[np.uint16]:
    """Return the raw depth image (H, W) [mm].

    Raises:
        ShapeError: If it cannot be decoded.
    """
    image = cv2.imdecode(np.frombuffer(data[len(DEPTH_HEADER) :], np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None or image.dtype != np.uint16 or image.ndim != 2:
        raise ShapeError(f"{len(data)} bytes are no 16-bit depth image")
    return np.asarray(image, np.uint16)


def _encoded(done: bool, data: NDArray[np.uint8]) -> bytes:
    if not done:
        raise PlatformError(Code.INTERNAL, "the image could not be compressed")
    return bytes(data)
