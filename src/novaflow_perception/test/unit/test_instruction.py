"""The instruction's grammar, by table and by property."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from novaflow_core.errors import Code, PerceptionError
from novaflow_core.task import Direction, Motion, Relation
from novaflow_perception.core import kinds, object_words, vocabulary
from novaflow_perception.core.instruction import parse

UP, DOWN, LEFT, RIGHT = Direction.UP, Direction.DOWN, Direction.LEFT, Direction.RIGHT
TOWARD, AWAY = Direction.TOWARD_CAMERA, Direction.AWAY_FROM_CAMERA

DIRECTED = [
    ("lift the red mug", Motion.LIFT, "cup", UP),
    ("Raise the tin, please!", Motion.LIFT, "tin", UP),
    ("pick the bottle up", Motion.LIFT, "bottle", UP),
    ("could you pick up the bottle", Motion.LIFT, "bottle", UP),
    ("lift the cup straight up", Motion.LIFT, "cup", UP),
    ("lift the cup off the saucer", Motion.LIFT, "cup", UP),
    ("take the block out of the box", Motion.LIFT, "block", UP),
    ("move the jar to the left", Motion.MOVE, "jar", LEFT),
    ("shift the bowl over to the right", Motion.MOVE, "bowl", RIGHT),
    ("move the box leftwards", Motion.MOVE, "box", LEFT),
    ("place the box on the right", Motion.MOVE, "box", RIGHT),
    ("bring me the cup", Motion.MOVE, "cup", TOWARD),
    ("bring the cup closer to the camera", Motion.MOVE, "cup", TOWARD),
    ("move the can away from me", Motion.MOVE, "can", AWAY),
    ("put the cup down", Motion.MOVE, "cup", DOWN),
    ("put the cup on the table", Motion.MOVE, "cup", DOWN),
    ("push the tub to the left", Motion.PUSH, "tub", LEFT),
    ("slide the plate forward", Motion.PUSH, "plate", AWAY),
    ("push the box", Motion.PUSH, "box", AWAY),
    ("push the box back", Motion.PUSH, "box", AWAY),
    ("open the drawer", Motion.OPEN, "drawer", None),
    ("please open up the brown drawer", Motion.OPEN, "drawer", None),
    ("pull the drawer open", Motion.OPEN, "drawer", None),
    ("pull out the drawer", Motion.OPEN, "drawer", None),
    ("slide the drawer out", Motion.OPEN, "drawer", None),
    ("pull the carton towards me", Motion.PULL, "carton", TOWARD),
    ("drag the tray to your right", Motion.PULL, "tray", RIGHT),
    ("pull the box", Motion.PULL, "box", TOWARD),
    ("pull the box forward", Motion.PULL, "box", TOWARD),
    ("tilt the bottle to the left", Motion.TILT, "bottle", LEFT),
    ("straighten the can", Motion.STRAIGHTEN, "can", None),
    ("stand the bottle up", Motion.STRAIGHTEN, "bottle", None),
    ("set the bottle upright", Motion.STRAIGHTEN, "bottle", None),
    ("turn the box", Motion.TURN, "box", None),
    ("grab the cup and move it to the left", Motion.MOVE, "cup", LEFT),
]

RELATED = [
    ("put the cup on the saucer", Relation.ON, "saucer"),
    ("stack the block onto the box", Relation.ON, "box"),
    ("set the cup down on top of the tin", Relation.ON, "tin"),
    ("insert the yellow block into the socket", Relation.IN, "socket"),
    ("put the ball inside the bowl", Relation.IN, "bowl"),
    ("fit the peg in the hole", Relation.IN, "socket"),
    ("move the cup next to the bottle", Relation.NEXT_TO, "bottle"),
    ("place the cup right beside the jar", Relation.NEXT_TO, "jar"),
    ("bring the cup to the bowl", Relation.NEXT_TO, "bowl"),
    ("hold on, robot", None, None),
    ("move the can over the bowl", Relation.OVER, "bowl"),
    ("move the cup to the left of the box", Relation.LEFT_OF, "box"),
    ("put the cup on the right side of the box", Relation.RIGHT_OF, "box"),
    ("put the cup in front of the box", Relation.IN_FRONT_OF, "box"),
    ("put the cup behind the box", Relation.BEHIND, "box"),
    ("pick up the cup and then place it on the plate", Relation.ON, "plate"),
    ("lift the cup onto the plate", Relation.ON, "plate"),
    ("hang the mug on the tree", Relation.HANG, "tree"),
    ("please hang the red mug onto the mug tree", Relation.HANG, "tree"),
    ("hang the cup by its handle on the wooden rack", Relation.HANG, "tree"),
    ("hang the mug on the peg", Relation.HANG, "tree"),
    ("push the cup against the box", Relation.NEXT_TO, "box"),
    ("put the cup on the plate on the table", Relation.ON, "plate"),
]


@pytest.mark.parametrize(("text", "motion", "noun", "direction"), DIRECTED)
def test_motion_target_and_direction(text, motion, noun, direction):
    task = parse(text)
    assert (task.motion, task.target.noun, task.direction) == (motion, noun, direction)
    assert task.relation is None and task.references == ()
    assert task.instruction == text


@pytest.mark.parametrize(("text", "relation", "noun"), [row for row in RELATED if row[1]])
def test_relation_and_reference(text, relation, noun):
    task = parse(text)
    assert (task.relation, [r.noun for r in task.references]) == (relation, [noun])
    assert task.direction is None


@pytest.mark.parametrize(
    ("text", "noun", "colour", "size", "place"),
    [
        ("lift the small red cup", "cup", "red", "small", ""),
        ("lift the biggest crimson mug", "cup", "red", "large", ""),
        ("lift the cup on the left", "cup", "", "", "left"),
        ("lift the right-hand gray cup", "cup", "grey", "", "right"),
        ("lift the leftmost cup", "cup", "", "", "left"),
        ("lift the box in front", "box", "", "", "front"),
        ("lift the box at the back", "box", "", "", "back"),
        ("lift the nearest box", "box", "", "", "nearest"),
        ("lift the box that is closest to the camera", "box", "", "", "nearest"),
        ("lift the box furthest from me", "box", "", "", "farthest"),
        ("lift the milk carton", "carton", "", "", ""),
        ("lift the carton of milk", "carton", "", "", ""),
        ("lift the red and white box", "box", "red", "", ""),
        ("lift the dark blue plastic tub", "tub", "blue", "", ""),
        ("lift the tin can", "can", "", "", ""),
        ("lift the glass", "cup", "", "", ""),
        ("lift the grey thing", "", "grey", "", ""),
        ("lift the orange one on the left", "", "orange", "", "left"),
    ],
)
def test_object_phrase(text, noun, colour, size, place):
    target = parse(text).target
    assert (target.noun, target.colour, target.size, target.place) == (noun, colour, size, place)


def test_a_place_may_belong_to_target_or_reference():
    task = parse("put the cup on the left on the saucer")
    assert task.target.place == "left" and task.references[0].place == ""
    task = parse("put the cup on the saucer on the left")
    assert task.target.place == "" and task.references[0].place == "left"


@pytest.mark.parametrize(
    ("text", "metres"),
    [
        ("move the cup to the left by 10 cm", 0.10),
        ("move the cup 5 centimetres to the left", 0.05),
        ("lift the cup by 20mm", 0.02),
        ("lift the cup twenty five centimeters", 0.25),
        ("push the cup half a metre to the right", 0.5),
        ("lift the cup two inches", 0.0508),
        ("lift the cup a bit", None),
    ],
)
def test_distance(text, metres):
    assert parse(text).distance_m == (None if metres is None else pytest.approx(metres))


@pytest.mark.parametrize(
    ("text", "motion", "degrees"),
    [
        ("rotate the box by 90 degrees", Motion.TURN, 90),
        ("rotate the box 45° clockwise", Motion.TURN, -45),
        ("turn the box a quarter turn counterclockwise", Motion.TURN, 90),
        ("turn the box to the right by 30 degrees", Motion.TURN, -30),
        ("turn the cup upside down", Motion.TILT, 180),
    ],
)
def test_angle(text, motion, degrees):
    task = parse(text)
    assert task.motion is motion
    assert math.degrees(task.angle_rad) == pytest.approx(degrees)


@pytest.mark.parametrize(
    ("text", "code", "word"),
    [
        ("", Code.EMPTY_INSTRUCTION, ""),
        (" ,. ", Code.EMPTY_INSTRUCTION, ""),
        ("juggle the cup", Code.UNKNOWN_MOTION, "juggle"),
        ("the cup", Code.UNKNOWN_MOTION, "cup"),
        ("bring the cup", Code.UNKNOWN_MOTION, "where"),
        ("put the cup under the table", Code.UNKNOWN_MOTION, "under"),
        ("lift the cup and push the bowl", Code.UNKNOWN_MOTION, "more than one"),
        ("lift the zebra", Code.UNKNOWN_WORD, "zebra"),
        ("lift the green banana", Code.UNKNOWN_WORD, "banana"),
        ("put the cup on the zebra", Code.UNKNOWN_WORD, "zebra"),
        ("lift the red", Code.UNKNOWN_WORD, "red"),
        ("lift", Code.UNKNOWN_WORD, "lift"),
        ("move it to the left", Code.UNKNOWN_WORD, "move"),
        ("push the table", Code.UNKNOWN_WORD, "table"),
        ("open the bottle", Code.UNKNOWN_MOTION, "bottle"),
    ],
)
def test_what_is_not_understood_is_named(text, code, word):
    with pytest.raises(PerceptionError) as caught:
        parse(text)
    assert caught.value.code is code
    assert word in caught.value.reason


def test_every_noun_has_a_look():
    assert set(object_words.NOUNS.values()) <= set(kinds.FITS)


_ADJECTIVES = st.sampled_from(["", "red ", "small ", "small blue ", "plastic ", "left "])
_NOUNS = st.sampled_from(sorted(object_words.NOUNS))


@given(_ADJECTIVES, _NOUNS, st.sampled_from(["on", "into", "next to", "behind", "to the left of"]))
@settings(max_examples=60, deadline=None)
def test_any_adjectives_and_nouns_make_a_task(adjective, noun, preposition):
    task = parse(f"Put the {adjective}{noun} {preposition} the {noun}.")
    assert task.target.noun == task.references[0].noun == object_words.NOUNS[noun]
    assert task.relation is vocabulary.RELATIONS[preposition]


@given(st.text(max_size=60))
@settings(max_examples=100, deadline=None)
def test_no_text_breaks_it(text):
    try:
        task = parse(text)
    except PerceptionError as error:
        assert error.reason
    else:
        assert task.target.text


@given(st.lists(st.sampled_from(
    re.split(" ", "put lift push the a red cup box on in to left right of up by 10 cm and it")
), max_size=12))  # fmt: skip
@settings(max_examples=120, deadline=None)
def test_no_word_order_breaks_it(tokens):
    try:
        task = parse(" ".join(tokens))
    except PerceptionError as error:
        assert error.code in (Code.EMPTY_INSTRUCTION, Code.UNKNOWN_MOTION, Code.UNKNOWN_WORD)
    else:
        assert (task.relation is None) == (task.references == ())
