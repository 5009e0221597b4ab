"""The instruction, understood: what moves, how, and relative to what."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Motion(StrEnum):
    """What the instruction asks the target to do."""

    MOVE = "move"  # also put, place, insert, set, bring: to a relation or along a direction
    LIFT = "lift"
    PUSH = "push"  # stays on the support
    PULL = "pull"  # stays on the support
    TILT = "tilt"
    TURN = "turn"
    STRAIGHTEN = "straighten"


class Direction(StrEnum):
    """Where to, as seen from the camera; UP and DOWN along the support's normal."""

    UP = "up"
    DOWN = "down"
    LEFT = "left"
    RIGHT = "right"
    TOWARD_CAMERA = "toward_camera"
    AWAY_FROM_CAMERA = "away_from_camera"


class Relation(StrEnum):
    """How the target shall stand to the reference when the task is done."""

    ON = "on"
    IN = "in"
    NEXT_TO = "next_to"
    OVER = "over"
    LEFT_OF = "left_of"
    RIGHT_OF = "right_of"
    IN_FRONT_OF = "in_front_of"
    BEHIND = "behind"


@dataclass(frozen=True)
class ObjectPhrase:
    """How the instruction names one object; empty strings where it does not say.

    Attributes:
        text: The words as written, e.g. "the small red cup".
        noun: Canonical kind, e.g. "cup".
        colour: Canonical colour, e.g. "grey".
        size: "small" or "large".
        place: "front", "back", "left", "right", "nearest" or "farthest", as seen from the camera.
    """

    text: str
    noun: str = ""
    colour: str = ""
    size: str = ""
    place: str = ""


@dataclass(frozen=True)
class TaskSpec:
    """The parsed instruction.

    Attributes:
        instruction: As the user wrote it.
        motion: What the target does.
        target: What moves.
        direction: Where to; None when a relation is named or the motion needs none.
        relation: To the first reference; None when a direction is named.
        references: What the relation refers to.
        distance_m: When the instruction names one.
        angle_rad: When the instruction names one.
    """

    instruction: str
    motion: Motion
    target: ObjectPhrase
    direction: Direction | None = None
    relation: Relation | None = None
    references: tuple[ObjectPhrase, ...] = ()
    distance_m: float | None = None
    angle_rad: float | None = None
