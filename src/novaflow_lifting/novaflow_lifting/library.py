"""The shared library: where it is, and the records of its C interface (`novaflow_lifting.h`)."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, c_double, c_int32, c_uint32, c_void_p
from functools import cache
from pathlib import Path

from novaflow_core.errors import Code, PlatformError
from novaflow_core.kernel_library import load_kernel

VERSION = 1

OK, BAD_VALUE, NOT_FINITE, NO_MEMORY, NO_POSE = range(5)


class TrackTable(ctypes.Structure):
    """`novaflow_lifting_tracks`."""

    _fields_ = (
        ("count", c_int32),
        ("points", c_void_p),
        ("pixels", c_void_p),
        ("fx", c_double),
        ("fy", c_double),
        ("cx", c_double),
        ("cy", c_double),
    )


@cache
def load() -> ctypes.CDLL:
    """Load the library once.

    Raises:
        PlatformError: UNAVAILABLE, naming the command that builds it.
    """
    library = load_kernel("novaflow_lifting", Path(__file__).parent, VERSION, "lifting")
    library.novaflow_lifting_fit.argtypes = (
        POINTER(TrackTable), c_void_p, c_double, c_uint32, c_void_p, c_void_p,
    )  # fmt: skip
    library.novaflow_lifting_strain.argtypes = (POINTER(TrackTable), c_void_p, c_void_p)
    return library


def check(status: int, what: str) -> None:
    """Raise what a status says is wrong with the input; OK and NO_POSE are answers.

    Raises:
        PlatformError: INVALID_SETTING for a value out of range or not finite, UNAVAILABLE without
            memory.
    """
    if status in {OK, NO_POSE}:
        return
    reason = {
        BAD_VALUE: "too few tracks, or a focal length or limit that is not positive",
        NOT_FINITE: "an input is not finite",
        NO_MEMORY: "there is not enough memory",
    }.get(status, f"status {status}")
    code = Code.UNAVAILABLE if status == NO_MEMORY else Code.INVALID_SETTING
    raise PlatformError(code, f"{what}: {reason}")
