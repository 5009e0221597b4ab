"""Approach backend `rrt_connect`: the planner of the product itself; it has no parameters."""

from __future__ import annotations

from novaflow_executor.core.approach import RrtConnect
from novaflow_executor.core.approach_settings import ApproachSettings


def make_rrt_connect(_settings: ApproachSettings) -> RrtConnect:
    """Entry point of the stage `approach`."""
    return RrtConnect()
