"""How plans are made: speeds, and when a grasp and a flow fit."""

from __future__ import annotations

from dataclasses import dataclass, field

from novaflow_executor.core.feasibility import FeasibilityLimits


@dataclass(frozen=True)
class PlannerSettings:
    """How plans are made.

    Attributes:
        speed: Share of the arm's velocity and acceleration limits, 0..1.
        free_m_s: Speed of the TCP without the object [m/s].
        descend_m_s: Speed towards and away from the object [m/s].
        carry_m_s: Speed with the object [m/s].
        place_m_s: Speed over the last `place_m` of the carry [m/s].
        place_m: [m].
        pull_m_s: Speed with something that moves on a joint [m/s].
        feasibility: When a pair of grasp and candidate counts as feasible.
    """

    speed: float = 0.5
    free_m_s: float = 0.6
    descend_m_s: float = 0.12
    carry_m_s: float = 0.25
    place_m_s: float = 0.06
    place_m: float = 0.05
    pull_m_s: float = 0.08
    feasibility: FeasibilityLimits = field(default_factory=FeasibilityLimits)
