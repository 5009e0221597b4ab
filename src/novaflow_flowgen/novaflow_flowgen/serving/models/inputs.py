"""What the models read from a request, refused where it is of another form."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from novaflow_flowgen.serving.contract import Arrays
from novaflow_flowgen.serving.errors import InputError


def take(arrays: Arrays, name: str, *shape: int | None) -> NDArray[Any]:
    """An array of a request; None stands for any size.

    Raises:
        InputError: If it is missing, of another shape, or no numbers.
    """
    array = arrays.get(name)
    wanted = ", ".join("any" if size is None else str(size) for size in shape)
    if array is None:
        raise InputError(f"'{name}' ({wanted}) is missing")
    fits = len(array.shape) == len(shape) and all(
        size in (None, here) for size, here in zip(shape, array.shape, strict=True)
    )
    if not fits or array.size == 0 or array.dtype.kind not in "fiub":
        raise InputError(f"'{name}' is {array.dtype} {array.shape}, not numbers of ({wanted})")
    return array


def take_colors(arrays: Arrays, name: str, *shape: int | None) -> NDArray[np.uint8]:
    """RGB images of a request, uint8.

    Raises:
        InputError: If they are of another form.
    """
    colors = take(arrays, name, *shape, 3)
    if colors.dtype != np.uint8:
        raise InputError(f"'{name}' is {colors.dtype}, not uint8")
    return colors


def take_intrinsics(arrays: Arrays) -> NDArray[np.float64]:
    """The pinhole matrix (3, 3) [px] of a request.

    Raises:
        InputError: If it is of another form, or no such matrix.
    """
    matrix = take(arrays, "intrinsics", 3, 3).astype(float)
    if not (np.isfinite(matrix).all() and matrix[0, 0] > 0 and matrix[1, 1] > 0):
        raise InputError(f"'intrinsics' are no pinhole camera's: {matrix.tolist()}")
    return matrix


def horizontal_view_deg(matrix: NDArray[np.float64], width: int) -> float:
    """Horizontal angle of view [deg] of an image this many pixels wide."""
    return float(np.degrees(2.0 * np.arctan(width / (2.0 * matrix[0, 0]))))
