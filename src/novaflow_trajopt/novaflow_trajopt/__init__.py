"""Trajectory optimisation of serial arms; the work is done in C++, in this package's `src/`."""

from novaflow_trajopt.kernel import (
    Arm,
    Bodies,
    Model,
    Problem,
    Solution,
    Weights,
    clearance,
    follow,
    instruction_set,
    linearise,
)

__all__ = [
    "Arm",
    "Bodies",
    "Model",
    "Problem",
    "Solution",
    "Weights",
    "clearance",
    "follow",
    "instruction_set",
    "linearise",
]
