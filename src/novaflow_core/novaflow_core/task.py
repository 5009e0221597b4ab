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
    OPEN = "open"  # a part on a joint: a drawer comes out of its chest


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
    HANG = "hang"  # by its handle, on a peg of the reference
    WATER = "water"  # a can over a plant, spout down, held


@dataclass(frozen=True)
class ObjectPhrase:
    """How the instruction names one object; empty strings where it does not say.

    `form` and `landmark` stay with the stage that grounds the instruction and are not sent on: what
    they tell apart is told apart in the grounding.

    Attributes:
        text: The words as written, e.g. "the small red cup".
        noun: Canonical kind, e.g. "cup".
        colour: Canonical colour, e.g. "grey".
        size: "small", "large", "tall", "short", "long", "wide", "thin" or "thick".
        place: "front", "back", "left", "right", "nearest", "farthest", "middle", "corner", "top" or
            "bottom", as seen from the camera; two of them ("back left"), or one and a number
            ("left 2": the second from the left).
        form: "round", "angular", "open", "closed", "standing" or "lying".
        landmark: Something else that tells it apart, e.g. "behind the bowl".
    """

    text: str
    noun: str = ""
    colour: str = ""
    size: str = ""
    place: str = ""
    form: str = ""
    landmark: Landmark | None = None


@dataclass(frozen=True)
class Landmark:
    """How an object stands to another one that tells it apart.

    Attributes:
        relation: The value of a `Relation`, or "under".
        phrase: The other object.
    """

    relation: str
    phrase: ObjectPhrase


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
