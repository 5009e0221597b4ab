"""The instruction's grammar: what moves, how, and to where.

A clause is a verb, the thing that moves, and phrases that follow it: a direction ("to the left"), a
relation and its reference ("on the saucer"), a place that tells two alike apart ("on the right"), a
distance, an angle. The last direction or relation is the goal; earlier ones say which thing is
meant. What cannot be understood is an error that names the words; nothing is guessed.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace

from novaflow_core.errors import Code, PerceptionError
from novaflow_core.task import Direction, Motion, ObjectPhrase, Relation, TaskSpec
from novaflow_perception.core import vocabulary as words
from novaflow_perception.core.clause import ClauseReader, Goal, ReadClause
from novaflow_perception.core.object_words import MOVING_PARTS

_SPLITTERS = frozenset({",", "and", "then"})
_WATERING_CAN = "watering can"
_TAKES_GOAL = frozenset({Motion.MOVE, Motion.PUSH, Motion.PULL})


def parse(instruction: str) -> TaskSpec:
    """Understand one instruction.

    Args:
        instruction: One sentence, e.g. "put the small red cup on the saucer".

    Returns:
        What moves, how, and relative to what.

    Raises:
        PerceptionError: EMPTY_INSTRUCTION; UNKNOWN_MOTION when no motion, or none with a goal, is
            named; UNKNOWN_WORD, naming a word that stands where an object is named and is not
            known.
    """
    tokens = _tokens(instruction)
    if not any(token != "," for token in tokens):
        raise PerceptionError(
            Code.EMPTY_INSTRUCTION, "the instruction is empty; say e.g. 'lift the red cup'"
        )
    clauses = [ClauseReader(part, instruction).read() for part in _split(tokens)]
    return _joined(clauses, instruction)


def _tokens(text: str) -> list[str]:
    """Lower-case words, numbers and commas."""
    text = text.lower().replace("°", " degrees ").replace("\u2019", "'")
    text = re.sub(r"[;:]", ",", text)
    return re.findall(r"\d+(?:\.\d+)?|[a-zà-ÿ]+|,", re.sub(r"(?<=[a-z])-most\b", "most", text))


def _split(tokens: list[str]) -> list[list[str]]:
    """Cut at "and", "then" or a comma where a new verb follows."""
    parts: list[list[str]] = [[]]
    for i, token in enumerate(tokens):
        rest = [t for t in tokens[i + 1 :] if t not in _SPLITTERS and t not in words.ADVERBS]
        begun = any(t in words.VERBS for t in parts[-1])
        if token in _SPLITTERS and begun and rest and rest[0] in words.VERBS:
            parts.append([])
        elif token != ",":
            parts[-1].append(token)
    return parts


def _joined(clauses: list[ReadClause], instruction: str) -> TaskSpec:
    last = clauses[-1]
    for earlier in clauses[:-1]:
        if earlier.motion is not Motion.LIFT or (last.target is not None and not last.pronoun):
            raise PerceptionError(
                Code.UNKNOWN_MOTION,
                f"'{instruction.strip()}' asks for more than one motion; give one at a time",
            )
        last.target = last.target or earlier.target
    if last.target is None:
        raise PerceptionError(
            Code.UNKNOWN_WORD, f"'{instruction.strip()}' does not say what to {last.verb}"
        )
    return _task(last, last.target, instruction)


def _task(read: ReadClause, target: ObjectPhrase, instruction: str) -> TaskSpec:
    if read.verb in words.WATERS:
        return _watering(read.tool, target, instruction)
    goal, target = _final_goal(read, target)
    motion = read.motion
    if read.upright and not goal:
        motion = Motion.STRAIGHTEN
    elif read.verb in words.HANGS and goal and goal.relation in (Relation.ON, Relation.OVER):
        goal.relation = Relation.HANG
        if goal.reference is not None and "peg" in goal.reference.text.split():
            goal.reference = replace(goal.reference, noun="tree")  # elsewhere it is a block
    elif read.verb == "stand" and goal and goal.relation:
        motion = Motion.MOVE
    elif read.upside_down or read.verb in ("flip", "overturn", "invert"):
        motion, read.angle_rad = Motion.TILT, read.angle_rad or math.pi
    elif motion is Motion.LIFT and goal and _moves_elsewhere(goal):
        motion = Motion.MOVE
    elif goal is None and motion in (Motion.PULL, Motion.PUSH) and _comes_out(read, target):
        motion = Motion.OPEN
    if motion is Motion.OPEN:
        goal = None
        _refuse_what_does_not_open(target, instruction)
    elif motion is Motion.LIFT:
        goal = Goal("", direction=Direction.UP)
    elif motion is Motion.STRAIGHTEN:
        goal = None
    elif motion is Motion.TURN:
        read.angle_rad = _signed_turn(read, goal)
        goal = None
    elif motion is Motion.TILT and goal and goal.relation and target.noun == _WATERING_CAN:
        goal.relation = Relation.WATER
    elif motion is Motion.TILT and goal and goal.relation:
        goal.relation = Relation.OVER  # pouring happens above what it goes into
    elif motion in _TAKES_GOAL and goal is None:
        goal, target = _goal_without_words(read, target, motion, instruction)
    return TaskSpec(
        instruction=instruction,
        motion=motion,
        target=target,
        direction=goal.direction if goal else None,
        relation=goal.relation if goal else None,
        references=(goal.reference,) if goal and goal.reference else (),
        distance_m=read.distance_m,
        angle_rad=read.angle_rad,
    )


def _comes_out(read: ReadClause, target: ObjectPhrase) -> bool:
    """Whether a drawer is asked to be pulled, or slid out: that opens it."""
    named = target.noun in MOVING_PARTS
    return named and (read.motion is Motion.PULL or read.particle in ("out", "open"))


def _refuse_what_does_not_open(target: ObjectPhrase, instruction: str) -> None:
    if target.noun not in MOVING_PARTS:
        raise PerceptionError(
            Code.UNKNOWN_MOTION,
            f"how '{target.text}' in '{instruction.strip()}' opens is not known; "
            f"known to open: {', '.join(sorted(MOVING_PARTS))}",
            {"word": target.text},
        )


def _watering(tool: ObjectPhrase | None, plant: ObjectPhrase, instruction: str) -> TaskSpec:
    """The instruction names what gets the water; what moves is the can, named or not."""
    if tool is None:
        tool = ObjectPhrase("the watering can", noun=_WATERING_CAN)
    elif tool.noun == "can":
        tool = replace(tool, noun=_WATERING_CAN)
    if "pot" in plant.text.split():
        plant = replace(plant, noun="plant")  # elsewhere it is a tub
    return TaskSpec(
        instruction=instruction,
        motion=Motion.TILT,
        target=tool,
        relation=Relation.WATER,
        references=(plant,),
    )


def _final_goal(read: ReadClause, target: ObjectPhrase) -> tuple[Goal | None, ObjectPhrase]:
    """Which of the phrases is the goal; the others tell which object is meant.

    The last one is, "put the cup on the tin into the bowl", unless an earlier one can only be a
    goal and the last can be a place: "put the cup into the bowl on the tin".
    """
    goals = list(read.goals)
    if not goals:
        return None, target
    holds = read.motion not in _TAKES_GOAL and read.verb not in ("stand", "pour", "empty")
    goal: Goal | None = goals[-1]
    assert goal is not None
    sure = [g for g in goals if g.word in words.GOAL_WORDS]
    if len(goals) > 1 and sure and goal.word not in words.GOAL_WORDS and goal.relation:
        goal = sure[-1]
        landmark = goals[-1].landmark()
        if goal.reference is not None and landmark is not None:
            goal.reference = replace(goal.reference, landmark=landmark)
            goals.pop()
    elif goal.under or (holds and goal.relation and not _moves_elsewhere(goal)):
        if goal.under and not holds and len(goals) == 1:
            raise PerceptionError(
                Code.UNKNOWN_MOTION,
                f"the relation '{goal.word}' is not known as a goal; known are on, in, next to, "
                "over, left of, right of, in front of, behind",
                {"word": goal.word},
            )
        ways = [g for g in goals if g.direction is not None]
        goal = ways[-1] if ways else None
    for other in goals:
        landmark = None if other is goal else other.landmark()
        if landmark is not None:
            target = replace(target, landmark=target.landmark or landmark)
    return goal, target


def _moves_elsewhere(goal: Goal) -> bool:
    if goal.direction is not None:
        return goal.direction is not Direction.UP
    return goal.word in words.GOAL_WORDS


def _signed_turn(read: ReadClause, goal: Goal | None) -> float | None:
    """Angle about the support's normal; positive is counter-clockwise from above, or left."""
    sense = read.sense
    if not sense and goal and goal.direction in (Direction.LEFT, Direction.RIGHT):
        sense = 1 if goal.direction is Direction.LEFT else -1
    if read.angle_rad is None:
        return sense * math.pi / 2 if sense else None
    return (sense or 1) * read.angle_rad


def _goal_without_words(
    read: ReadClause, target: ObjectPhrase, motion: Motion, instruction: str
) -> tuple[Goal, ObjectPhrase]:
    if motion is Motion.PUSH:
        return Goal("", direction=Direction.AWAY_FROM_CAMERA), target
    if motion is Motion.PULL:
        return Goal("", direction=Direction.TOWARD_CAMERA), target
    if read.trailing_place in words.PLACE_AS_DIRECTION:
        place = "" if target.place == read.trailing_place else target.place
        direction = words.PLACE_AS_DIRECTION[read.trailing_place]
        return Goal("", direction=direction), replace(target, place=place)
    if read.particle in ("up", "down"):
        return Goal("", direction=Direction(read.particle)), target
    raise PerceptionError(
        Code.UNKNOWN_MOTION,
        f"'{instruction.strip()}' does not say where to; add e.g. 'to the left' or 'on the saucer'",
    )
