"""When the closed loop acts, and how often."""

from __future__ import annotations

from dataclasses import dataclass, field

from novaflow_executor.core.sight import StrayLimits


@dataclass(frozen=True)
class LoopLimits:
    """When the loop acts.

    Attributes:
        frames: Images that a look at rest takes in.
        min_frames: With fewer that show the object, a look has seen nothing.
        look_s: How long a look may take [s].
        moved_m: An object that has moved by more before the grasp is planned for anew [m].
        moved_rad: The same for turns [rad].
        lost_m: An object that has moved this far against the gripper is no longer held [m].
        slipped_m: The same for something that is pulled along its joint [m].
        stray: When an object in motion is not where it should be.
        replans: How often an object that strayed or was moved is planned for anew.
        regrasps: How often the object may be taken hold of again.
        slips: More often in one grasp, what slips and is still held is set down, to be taken anew.
        lifts: How often what caught on something is lifted off it and let down again.
        lift_m: How high [m].
        arrived_m: What is farther from where the flow ends is not let go there [m].
        arrived_rad: The same for turns [rad].
        settles: How often something that is held at the end is brought to where it shall be.
        settle_m: Seen farther from where the gripper has it, it is not [m].
        corridor_m: With approval: a correction in the hand by more needs a new one [m].
        corridor_rad: The same for turns [rad].
    """

    frames: int = 4
    min_frames: int = 2
    look_s: float = 1.5
    moved_m: float = 0.004
    moved_rad: float = 0.10
    lost_m: float = 0.05
    slipped_m: float = 0.02
    replans: int = 6
    regrasps: int = 2
    slips: int = 1
    lifts: int = 2
    lift_m: float = 0.03
    arrived_m: float = 0.006
    arrived_rad: float = 0.10
    settles: int = 2
    settle_m: float = 0.012
    corridor_m: float = 0.03
    corridor_rad: float = 0.35
    stray: StrayLimits = field(default_factory=StrayLimits)
