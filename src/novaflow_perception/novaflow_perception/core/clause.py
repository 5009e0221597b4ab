"""One clause of an instruction: a verb, the thing that moves, and the phrases that follow it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace

from novaflow_core.errors import Code, PerceptionError
from novaflow_core.task import Direction, Landmark, Motion, ObjectPhrase, Relation
from novaflow_perception.core import object_words
from novaflow_perception.core import vocabulary as words
from novaflow_perception.core.object_phrase import (
    GROUP,
    SUPPORT,
    noun_of,
    object_follows,
    read_object,
    unknown_word,
)
from novaflow_perception.core.phrases import Found, PhraseTable

_TABLE = PhraseTable.of_vocabulary()
_TO_ME = frozenset({"bring", "get", "fetch", "pass", "hand", "give", "deliver"})
UNDER = "under"
_SIDES = {
    Relation.LEFT_OF: "left",
    Relation.RIGHT_OF: "right",
    Relation.IN_FRONT_OF: "front",
    Relation.BEHIND: "back",
}
_IN_PLACE = frozenset({Motion.LIFT, Motion.TILT, Motion.TURN, Motion.STRAIGHTEN})


@dataclass
class Goal:
    """A direction, or a relation and its reference; `word` is the preposition as written.

    `under` is a relation that can only tell where something is.
    """

    word: str
    direction: Direction | None = None
    relation: Relation | None = None
    reference: ObjectPhrase | None = None
    under: bool = False

    def landmark(self) -> Landmark | None:
        """Return what this says of where something is."""
        if self.reference is None or self.reference.noun in (SUPPORT, GROUP):
            return None
        return Landmark(UNDER if self.under else str(self.relation), self.reference)


@dataclass
class ReadClause:
    """What one clause says."""

    verb: str
    motion: Motion
    target: ObjectPhrase | None = None
    tool: ObjectPhrase | None = None  # "water the plant with the can"
    pronoun: bool = False
    object_first: bool = False
    goals: list[Goal] = field(default_factory=list)
    trailing_place: str = ""
    particle: str = ""
    upright: bool = False
    upside_down: bool = False
    distance_m: float | None = None
    angle_rad: float | None = None
    sense: int = 0  # +1 counter-clockwise seen from above, -1 clockwise


class ClauseReader:
    """Reads one clause from left to right."""

    def __init__(self, tokens: list[str], instruction: str) -> None:
        """Find the verb; errors quote the instruction."""
        self._instruction, self._t = instruction, tokens
        self._linked = False
        self._i = self._begin(tokens)
        if self._i < len(tokens) and tokens[self._i] in words.VERBS:
            self._out = ReadClause(tokens[self._i], words.VERBS[tokens[self._i]])
            self._out.particle = words.IMPLIED_PARTICLES.get(self._out.verb, "")
            self._i += 1
        else:
            self._out = ReadClause("move", Motion.MOVE, object_first=True)
            self._out.target = self._object()
            self._predicate()

    def _begin(self, tokens: list[str]) -> int:
        """Index of the verb, or of an object that comes first ("the block goes into ...")."""
        for i, token in enumerate(tokens):
            if token in words.VERBS:
                return i
            if object_follows(tokens, i) and self._is_subject(tokens, i):
                return i
            known = token in words.FILLERS or token in words.ADVERBS
            if not known and not (token in ("the", "arm") and i + 1 < len(tokens)):
                raise self._unknown_motion(token)
        raise self._unknown_motion(tokens[-1])

    def _is_subject(self, tokens: list[str], i: int) -> bool:
        """Whether a known object stands here, with something said of where it goes."""
        if tokens[i] in object_words.PRONOUNS - object_words.DETERMINERS:
            return False
        try:
            end = read_object(tokens, i, self._instruction).end
        except PerceptionError:
            return False
        return end < len(tokens)

    def _predicate(self) -> None:
        """Skip "should be moved" and the like behind an object that comes first."""
        t = self._t
        while self._i < len(t):
            token = t[self._i]
            ahead = t[self._i + 1] if self._i + 1 < len(t) else ""
            if (
                (token == "to" and (ahead in words.COPULAS or _verb_of(ahead)))
                or token in words.COPULAS
                or (token in words.FILLERS and token not in ("to", "me"))
            ):
                pass
            elif _verb_of(token):
                verb = _verb_of(token)
                self._out.verb, self._out.motion = verb, words.VERBS[verb]
            else:
                return
            self._i += 1

    def _unknown_motion(self, word: str) -> PerceptionError:
        known = "put, move, lift, push, pull, tilt, turn, straighten, open"
        return PerceptionError(
            Code.UNKNOWN_MOTION,
            f"'{word}' in '{self._instruction.strip()}' is not a motion that is known; "
            f"begin with one such as {known}",
            {"word": word},
        )

    def read(self) -> ReadClause:
        """Read to the end; raises UNKNOWN_MOTION or UNKNOWN_WORD."""
        out = self._out
        while self._i < len(self._t):
            if self._amount() or self._skip():
                continue
            found = _TABLE.longest(self._t, self._i)
            if found is not None and self._phrase(found):
                continue
            if self._read_tool():
                continue
            if out.target is None and not out.pronoun:
                found_object = self._object()
                out.target = None if out.pronoun else found_object
                continue
            raise unknown_word(self._t[self._i], self._instruction)
        if out.object_first and not out.goals and out.motion is Motion.MOVE:
            raise self._unknown_motion(self._t[-1])
        return out

    # --- phrases ---
    def _read_tool(self) -> bool:
        """Read "with the can" behind what is watered."""
        out, t = self._out, self._t
        if out.verb not in words.WATERS or out.target is None or t[self._i] not in words.BY_MEANS:
            return False
        if not object_follows(t, self._i + 1):
            return False
        self._i += 1
        out.tool = self._object()
        return True

    def _skip(self) -> bool:
        token, out = self._t[self._i], self._out
        particles = words.PARTICLES.get(out.verb, "").split()
        before_object = out.target is None and token != "over"
        if token in particles and (before_object or not object_follows(self._t, self._i + 1)):
            out.particle = token
        elif token in words.UPRIGHT and out.target is not None and not self._relation_or_way_next():
            out.upright = True
        elif token in words.ADVERBS and _TABLE.longest(self._t, self._i) is None:
            pass
        elif token in ("right", "straight", "just") and self._relation_or_way_next():
            pass  # "right next to", "straight up": an adverb here
        elif token in ("me", "us") and out.target is None and out.verb in _TO_ME:
            out.goals.append(Goal(f"to {token}", direction=Direction.TOWARD_CAMERA))
        elif token in ("of", "and", ",") and self._i + 1 == len(self._t):
            pass
        else:
            return False
        self._i += 1
        return True

    def _relation_or_way_next(self) -> bool:
        found = _TABLE.longest(self._t, self._i + 1)
        return found is not None and bool({"relation", "direction"} & found.meanings.keys())

    def _phrase(self, found: Found) -> bool:
        """Use a phrase of the table that begins here; False when it does not fit."""
        out, meanings, text = self._out, found.meanings, found.text
        named = out.target is not None or out.pronoun
        after = self._i + found.length
        with_object = object_follows(self._t, after)
        if "unsupported" in meanings:
            raise self._unknown_relation(text)
        if "ignored" in meanings or "amount" in meanings:
            pass
        elif "upside_down" in meanings:
            out.upside_down = True
        elif "sense" in meanings:
            out.sense = int(str(meanings["sense"]))
        elif with_object and named and ("relation" in meanings or "under" in meanings):
            self._i = after
            reference = self._object(support_allowed=True)
            relation = None if "under" in meanings else Relation(str(meanings["relation"]))
            self._add_relation(text, relation, reference)
            return True
        elif with_object and "source" in meanings:
            self._i = after
            self._add_source(text, self._object(support_allowed=True))
            return True
        elif "place" in meanings and named:
            self._add_place(str(meanings["place"]))
            after = self._of_support(after)
        elif text in words.NEAR_VIEWER and named and out.motion in _IN_PLACE:
            self._add_place("nearest")
        elif "direction" in meanings and (named or not object_follows(self._t, self._i)):
            out.goals.append(Goal(text, direction=self._direction(meanings["direction"])))
            after = self._of_support(after)
        elif "link" in meanings and named:
            self._linked = True
        elif "relation" in meanings and with_object and not named:
            return False
        elif "relation" in meanings or "source" in meanings:
            self._hanging(text, after, "source" in meanings)
        else:
            return False
        self._i = after
        return True

    def _hanging(self, text: str, after: int, source: bool) -> None:
        """Check a preposition without an object: "over to the left", "off there"."""
        if after < len(self._t):
            if not (_TABLE.longest(self._t, after) or self._t[after] in words.ADVERBS):
                raise unknown_word(self._t[after], self._instruction)
        elif not source:
            raise PerceptionError(Code.UNKNOWN_MOTION, f"no object follows '{text}'")

    def _unknown_relation(self, text: str) -> PerceptionError:
        return PerceptionError(
            Code.UNKNOWN_MOTION,
            f"the relation '{text}' is not known; known are on, in, next to, over, left of, "
            "right of, in front of, behind",
            {"word": text},
        )

    def _of_support(self, i: int) -> int:
        """Skip "of the table" behind a side or a way."""
        t = self._t
        j = i + 1
        while j < len(t) and t[j] in object_words.DETERMINERS:
            j += 1
        of_support = i < len(t) and t[i] == "of" and j < len(t) and noun_of(t[j]) == SUPPORT
        return j + 1 if of_support else i

    def _direction(self, value: object) -> Direction:
        if isinstance(value, Direction):
            return value
        toward = self._out.motion is Motion.PULL or self._out.verb in ("bring", "get", "fetch")
        if value == "backward" and self._out.motion is not Motion.PUSH:
            toward = True
        return Direction.TOWARD_CAMERA if toward else Direction.AWAY_FROM_CAMERA

    def _add_relation(self, word: str, relation: Relation | None, reference: ObjectPhrase) -> None:
        goal = Goal(word, relation=relation, reference=reference, under=relation is None)
        linked, self._linked = self._linked, False
        if linked and (landmark := goal.landmark()):
            self._tell_apart(landmark)
        elif reference.noun == SUPPORT:
            # "on the table" is where things stand anyway, unless it is the only goal.
            if relation is None:
                raise self._unknown_relation(word)
            if relation in _SIDES:  # "on the left side of the table"
                self._add_place(_SIDES[relation])
            if not self._out.goals and relation in (Relation.ON, Relation.NEXT_TO):
                self._out.goals.append(Goal(word, direction=Direction.DOWN))
        else:
            self._out.goals.append(goal)

    def _add_source(self, word: str, reference: ObjectPhrase) -> None:
        """Where the target is taken from tells which one is meant."""
        relation = Relation.IN if word in words.SOURCES_INSIDE else Relation.ON
        landmark = Goal(word, relation=relation, reference=reference).landmark()
        far = word in words.SOURCES_AWAY
        if landmark and not far and self._out.target is not None:
            self._out.target = replace(self._out.target, landmark=landmark)

    def _tell_apart(self, landmark: Landmark) -> None:
        """Say of the last object where it is."""
        out = self._out
        if out.goals and out.goals[-1].reference is not None:
            out.goals[-1].reference = replace(out.goals[-1].reference, landmark=landmark)
        elif out.target is not None:
            out.target = replace(out.target, landmark=landmark)

    def _add_place(self, place: str) -> None:
        out = self._out
        self._linked = False
        if out.goals and out.goals[-1].reference is not None:
            last = out.goals[-1]
            assert last.reference is not None
            last.reference = replace(last.reference, place=last.reference.place or place)
        elif out.target is not None:
            out.trailing_place = place
            out.target = replace(out.target, place=out.target.place or place)
        else:
            out.trailing_place = place

    def _amount(self) -> bool:
        """Read "by 10 cm", "a quarter turn", "45 degrees"."""
        i = self._i
        if self._t[i] == "by" and i + 1 < len(self._t):
            i += 1
        value, i = self._number(i)
        if value is None or i >= len(self._t):
            return False
        i += self._t[i] == "of" and i + 1 < len(self._t)
        unit = self._t[i]
        if unit in words.LENGTH_UNITS_M:
            self._out.distance_m = value * words.LENGTH_UNITS_M[unit]
        elif unit in words.ANGLE_UNITS_DEG:
            self._out.angle_rad = math.radians(value * words.ANGLE_UNITS_DEG[unit])
        else:
            return False
        self._i = i + 1
        return True

    def _number(self, i: int) -> tuple[float | None, int]:
        t = self._t
        if i < len(t) and t[i] in ("a", "an") and i + 1 < len(t):
            unit = t[i + 1]
            if unit in words.LENGTH_UNITS_M or unit in words.ANGLE_UNITS_DEG:
                return 1.0, i + 1
            i += 1
        elif i < len(t) and re.fullmatch(r"\d+(\.\d+)?", t[i]):
            return float(t[i]), i + 1
        if i >= len(t):
            return None, i
        if t[i] in words.FRACTIONS_OF_TURN and i + 1 < len(t) and t[i + 1] in ("turn", "rotation"):
            return words.FRACTIONS_OF_TURN[t[i]] / 360.0, i + 1
        if t[i] in words.NUMBERS:
            value, i = words.NUMBERS[t[i]], i + 1
            if value == 0.5 and i < len(t) and t[i] in ("a", "an"):
                i += 1
            elif value >= 20 and i < len(t) and 0 < words.NUMBERS.get(t[i], 0) < 10:
                return value + words.NUMBERS[t[i]], i + 1
            return value, i
        return None, i

    def _object(self, *, support_allowed: bool = False) -> ObjectPhrase:
        read = read_object(self._t, self._i, self._instruction, support_allowed=support_allowed)
        self._i = read.end
        self._out.pronoun = self._out.pronoun or read.pronoun
        return read.phrase


def _verb_of(token: str) -> str:
    """Verb of "moved", "placed", "putting"; "" if it is none."""
    for ending in ("ed", "d", "ing", "s"):
        if token.endswith(ending):
            stem = token.removesuffix(ending)
            undoubled = stem[:-1] if len(stem) > 2 and stem[-1] == stem[-2] else stem
            for form in (stem, f"{stem}e", undoubled):
                if form in words.VERBS:
                    return form
    return token if token in words.VERBS else ""
