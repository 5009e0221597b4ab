"""The shared library: where it is, and the records of its C interface (`novaflow_trajopt.h`)."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, byref, c_char_p, c_double, c_int32, c_int64, c_void_p
from functools import cache
from pathlib import Path

from novaflow_core.errors import Code, ExecutionError, NovaflowError, PlatformError
from novaflow_core.kernel_library import load_kernel

VERSION = 1
MAX_JOINTS = 16


class ArmTable(ctypes.Structure):
    """`novaflow_trajopt_arm`."""

    _fields_ = (
        ("joint_count", c_int32),
        ("T_parent_joint", c_void_p),
        ("axis", c_void_p),
        ("revolute", c_void_p),
        ("lower", c_void_p),
        ("upper", c_void_p),
        ("rest", c_void_p),
        ("T_last_tcp", c_void_p),
    )


class BodyTable(ctypes.Structure):
    """`novaflow_trajopt_bodies`."""

    _fields_ = (
        ("capsule_count", c_int32),
        ("frame", c_void_p),
        ("capsule", c_void_p),
        ("pair_count", c_int32),
        ("pair", c_void_p),
        ("has_plane", c_int32),
        ("plane", c_double * 4),
        ("box_count", c_int32),
        ("T_box_base", c_void_p),
        ("box_half", c_void_p),
        ("obstacle_count", c_int32),
        ("obstacle", c_void_p),
        ("meets", c_void_p),
    )


class WeightTable(ctypes.Structure):
    """`novaflow_trajopt_weights`."""

    _fields_ = tuple(
        (name, c_double)
        for name in (
            "limit",
            "smooth",
            "collision",
            "rest",
            "position",
            "orientation",
            "end_position",
            "end_orientation",
            "margin_m",
        )
    )


class ProblemTable(ctypes.Structure):
    """`novaflow_trajopt_problem`."""

    _fields_ = (
        ("model", c_void_p),
        ("steps", c_int32),
        ("T_base_tcp", c_void_p),
        ("q_start", c_void_p),
        ("q_end", c_void_p),
        ("q_initial", c_void_p),
        ("weights", WeightTable),
    )


class SolutionTable(ctypes.Structure):
    """`novaflow_trajopt_solution`."""

    _fields_ = (
        ("q", c_void_p),
        ("position_error_m", c_void_p),
        ("orientation_error_rad", c_void_p),
        ("clearance_m", c_void_p),
        ("cost", c_double),
        ("iterations", c_int32),
        ("status", c_int32),
    )


class OptionTable(ctypes.Structure):
    """`novaflow_trajopt_options`."""

    _fields_ = (("max_iterations", c_int32), ("tolerance", c_double), ("threads", c_int32))


@cache
def load() -> ctypes.CDLL:
    """Load the library once.

    Raises:
        PlatformError: UNAVAILABLE, naming the command that builds it.
    """
    library = load_kernel(
        "novaflow_trajopt", Path(__file__).parent, VERSION, "trajectory optimisation"
    )
    library.novaflow_trajopt_target.restype = c_char_p
    library.novaflow_trajopt_target.argtypes = (POINTER(c_int32),)
    library.novaflow_trajopt_use_target.argtypes = (c_char_p,)
    library.novaflow_trajopt_model_create.argtypes = (
        POINTER(ArmTable),
        POINTER(BodyTable),
        POINTER(c_void_p),
    )
    library.novaflow_trajopt_model_destroy.argtypes = (c_void_p,)
    library.novaflow_trajopt_model_destroy.restype = None
    library.novaflow_trajopt_follow.argtypes = (c_void_p, c_void_p, c_int32, POINTER(OptionTable))
    library.novaflow_trajopt_linearise.argtypes = (POINTER(ProblemTable), *(c_void_p,) * 3)
    library.novaflow_trajopt_clearance.argtypes = (c_void_p, c_void_p, c_int64, c_double, c_void_p)
    return library


def target() -> tuple[str, int]:
    """Name and number of lanes of the instruction set in use."""
    lanes = c_int32()
    name = load().novaflow_trajopt_target(byref(lanes))
    return name.decode(), lanes.value


def failure(status: int, what: str) -> NovaflowError:
    """The exception of a status other than OK."""
    reason = {
        1: "a count, an index, an axis or a weight is out of range",
        2: "an input is not finite",
        3: "the normal equations are not positive definite",
        4: "the cost of the first guess is not finite",
        5: "there is not enough memory",
    }.get(status, f"status {status}")
    if status == 1:
        return PlatformError(Code.INVALID_SETTING, f"{what}: {reason}")
    if status == 5:
        return PlatformError(Code.UNAVAILABLE, f"{what}: {reason}")
    return ExecutionError(Code.OPTIMISATION_FAILED, f"{what}: {reason}")
