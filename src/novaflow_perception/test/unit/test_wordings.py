"""One meaning, many wordings: order, manners, capitals, synonyms; and words that nobody knows."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from novaflow_core.errors import Code, PerceptionError
from novaflow_core.task import Direction, Motion, Relation
from novaflow_perception.core import kinds, object_words
from novaflow_perception.core.instruction import parse

SENTENCES = st.sampled_from(
    [
        "put the red cup on the saucer",
        "lift the small box",
        "move the nearest bottle 10 cm to the left",
        "push the tin away from the camera",
        "insert the yellow block into the socket",
        "turn the round tin by 45 degrees clockwise",
        "place the second cup from the left behind the bowl",
    ]
)


def meaning(text):
    """What is understood, without the words that said so."""
    task = parse(text)

    def bare(phrase):
        landmark = phrase.landmark and replace(phrase.landmark, phrase=bare(phrase.landmark.phrase))
        return replace(phrase, text="", landmark=landmark)

    references = tuple(bare(r) for r in task.references)
    return replace(task, instruction="", target=bare(task.target), references=references)


@given(
    SENTENCES,
    st.sampled_from(["", "please ", "could you please ", "hey robot, ", "now ", "I want you to "]),
    st.sampled_from(["", ".", "!", " please", ", thank you!", " now?", " for me, please"]),
    st.sampled_from([str, str.upper, str.capitalize, str.title]),
)
@settings(max_examples=80, deadline=None)
def test_manners_capitals_and_punctuation_change_nothing(sentence, before, behind, case):
    assert meaning(case(before + sentence + behind)) == meaning(sentence)


@given(SENTENCES, st.integers(1, 4))
@settings(max_examples=20, deadline=None)
def test_spaces_change_nothing(sentence, count):
    assert meaning("  " + sentence.replace(" ", " " * count) + "\n") == meaning(sentence)


@pytest.mark.parametrize(
    "text",
    [
        "set the red mug down on top of the saucer",
        "take the crimson cup and place it on the saucer",
        "the red cup goes on the saucer",
        "the red mug should be placed on the saucer",
        "I would like the red cup to be on the saucer",
        "red cup onto saucer",
        "move the red cup over onto the saucer",
        "pick the red cup up and put it on the coaster",
    ],
)
def test_wordings_of_one_goal(text):
    wanted = meaning("put the red cup on the saucer")
    assert meaning(text) == wanted


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("move the box 10 cm to the left", "move the box to the left by 10 cm"),
        ("move to the left the box", "move the box to the left"),
        ("pick up the cup", "pick the cup up"),
        ("gently lift the tin", "lift the tin gently"),
        ("turn the tin clockwise by 30 degrees", "turn the tin by 30 degrees clockwise"),
        ("bring the grey tub closer to me", "bring the gray tub toward me"),
    ],
)
def test_word_order(a, b):
    assert meaning(a) == meaning(b)


_MEANT = object_words.NOUNS.keys() | object_words.COLOURS.keys() | object_words.SIZES.keys()
NONSENSE = st.text("bcdfghjklmnpqrstvwxz", min_size=5, max_size=9).filter(
    lambda word: word not in _MEANT
)


@given(NONSENSE, st.sampled_from(["lift the {}", "lift the red {}", "put the cup on the {}",
                                  "put the {} next to the box", "lift the {} box"]))  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_an_unknown_word_is_named_and_what_is_known_is_said(word, frame):
    with pytest.raises(PerceptionError) as caught:
        parse(frame.format(word))
    assert caught.value.code is Code.UNKNOWN_WORD
    assert f"{word}" in caught.value.reason
    assert "bottle" in caught.value.reason


@given(NONSENSE)
@settings(max_examples=30, deadline=None)
def test_an_unknown_motion_is_named(word):
    with pytest.raises(PerceptionError) as caught:
        parse(f"{word} the cup")
    assert caught.value.code is Code.UNKNOWN_MOTION
    assert word in caught.value.reason


@pytest.mark.parametrize(
    "text",
    ["do not lift the cup", "don't put the cup on the saucer", "never push the box",
     "put the cup between the box and the tin", "the cup", "the cup on the left"],
)  # fmt: skip
def test_what_must_not_or_cannot_be_done_is_no_task(text):
    with pytest.raises(PerceptionError) as caught:
        parse(text)
    assert caught.value.code is Code.UNKNOWN_MOTION


@pytest.mark.parametrize(
    ("text", "size", "form", "place"),
    [
        ("lift the tallest box", "tall", "", ""),
        ("lift the flat box", "short", "", ""),
        ("lift the round tin", "", "round", ""),
        ("lift the rectangular box", "", "angular", ""),
        ("lift the lying bottle", "", "lying", ""),
        ("lift the middle box", "", "", "middle"),
        ("lift the box in the middle", "", "", "middle"),
        ("lift the second cup from the left", "", "", "left 2"),
        ("lift the third box from the right", "", "", "right 3"),
        ("lift the last cup", "", "", "right"),
        ("lift the box in the back left corner", "", "", "back left"),
        ("lift the box on top", "", "", "top"),
        ("lift the bottom box", "", "", "bottom"),
        ("lift the mug close to me", "", "", "nearest"),
        ("lift the box on the left side of the table", "", "", "left"),
    ],
)
def test_sizes_forms_and_places(text, size, form, place):
    target = parse(text).target
    assert (target.size, target.form, target.place) == (size, form, place)


@pytest.mark.parametrize(
    ("text", "relation", "noun", "motion"),
    [
        ("lift the cup on the tin", Relation.ON, "tin", Motion.LIFT),
        ("take the cup off the tin", Relation.ON, "tin", Motion.LIFT),
        ("take the block out of the bowl", Relation.IN, "bowl", Motion.LIFT),
        ("lift the box under the book", "under", "book", Motion.LIFT),
        ("push the cup behind the bowl to the left", Relation.BEHIND, "bowl", Motion.PUSH),
        ("put the cup that is next to the jar on the tin", Relation.NEXT_TO, "jar", Motion.MOVE),
        ("put the cup on the tin into the bowl", Relation.ON, "tin", Motion.MOVE),
    ],
)
def test_what_stands_beside_it_tells_a_thing_apart(text, relation, noun, motion):
    task = parse(text)
    assert task.motion is motion and task.target.landmark is not None
    assert (task.target.landmark.relation, task.target.landmark.phrase.noun) == (relation, noun)


def test_a_reference_is_told_apart_too():
    task = parse("put the cup into the bowl behind the tin")
    assert task.target.landmark is None and task.relation is Relation.IN
    assert task.references[0].landmark is not None
    assert task.references[0].landmark.phrase.noun == "tin"


@pytest.mark.parametrize(
    ("text", "motion", "direction"),
    [
        ("bring me the cup", Motion.MOVE, Direction.TOWARD_CAMERA),
        ("put the cup in front of the camera", Motion.MOVE, Direction.TOWARD_CAMERA),
        ("red box to the left", Motion.MOVE, Direction.LEFT),
        ("move the box to the right side of the table", Motion.MOVE, Direction.RIGHT),
        ("roll the can away", Motion.PUSH, Direction.AWAY_FROM_CAMERA),
        ("knock over the bottle", Motion.TILT, None),
        ("lower the cup", Motion.MOVE, Direction.DOWN),
    ],
)
def test_further_verbs_and_ways(text, motion, direction):
    task = parse(text)
    assert (task.motion, task.direction) == (motion, direction)


def test_every_form_has_a_look():
    shape = None
    for form in set(object_words.FORMS.values()):
        with pytest.raises(AttributeError):  # known: it asks the shape; unknown would be a KeyError
            kinds.form_fit(form, shape)
