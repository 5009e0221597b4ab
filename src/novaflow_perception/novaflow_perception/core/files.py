"""RGB-D views in folders: color.png, depth_mm.png (16-bit, 0 = none) and camera.json."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from novaflow_core.camera import CameraModel
from novaflow_core.errors import Code, PerceptionError

_FIELDS = ("width", "height", "fx", "fy", "cx", "cy")


@dataclass(frozen=True)
class StoredView:
    """What a folder holds.

    Attributes:
        color: (H, W, 3) uint8 RGB.
        depth_mm: (H, W) uint16 [mm]; 0 where the sensor saw nothing.
        model: Intrinsics of both.
    """

    color: NDArray[np.uint8]
    depth_mm: NDArray[np.uint16]
    model: CameraModel


def load_directory(folder: Path) -> StoredView:
    """Read a folder.

    Raises:
        PerceptionError: NO_CAMERA when a file is missing or cannot be read, naming it;
            CAMERA_INFO_MISMATCH when the sizes differ.
    """
    color = _image(folder / "color.png", cv2.IMREAD_COLOR)
    depth = _image(folder / "depth_mm.png", cv2.IMREAD_UNCHANGED)
    if depth.dtype != np.uint16 or depth.ndim != 2:
        raise PerceptionError(
            Code.NO_CAMERA, f"{folder / 'depth_mm.png'} is not a 16-bit image of one channel"
        )
    model = _model(folder / "camera.json")
    sizes = {color.shape[:2], depth.shape, (model.height, model.width)}
    if len(sizes) > 1:
        raise PerceptionError(
            Code.CAMERA_INFO_MISMATCH,
            f"{folder}: color.png is {color.shape[1]}x{color.shape[0]} px, depth_mm.png "
            f"{depth.shape[1]}x{depth.shape[0]} px, camera.json {model.width}x{model.height} px",
        )
    rgb = np.asarray(cv2.cvtColor(color, cv2.COLOR_BGR2RGB), np.uint8)
    return StoredView(rgb, np.asarray(depth, np.uint16), model)


def _image(path: Path, mode: int) -> NDArray[np.integer]:
    if not path.is_file():
        raise PerceptionError(Code.NO_CAMERA, f"{path} does not exist; set 'directory'")
    image = cv2.imread(str(path), mode)
    if image is None:
        raise PerceptionError(Code.NO_CAMERA, f"{path} cannot be read as an image")
    return np.asarray(image)


def _model(path: Path) -> CameraModel:
    try:
        values = json.loads(path.read_text())
        return CameraModel(
            int(values["width"]), int(values["height"]), *(float(values[k]) for k in _FIELDS[2:])
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PerceptionError(
            Code.NO_CAMERA, f"{path} must hold {', '.join(_FIELDS)}: {error}"
        ) from error
