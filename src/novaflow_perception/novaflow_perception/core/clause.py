"""One clause of an instruction: a verb, the thing that moves, and the phrases that follow it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace

from novaflow_core.errors import Code, PerceptionError
from novaflow_core.task import Direction, Motion, ObjectPhrase, Relation
from novaflow_perception.core import vocabulary as words
from novaflow_perception.core.phrases import Found, PhraseTable

_TABLE = PhraseTable.of_vocabulary()
_TO_ME = frozenset({"bring", "get", "fetch", "pass", "hand"})


@dataclass
class Goal:
    """A direction, or a relation and its reference; `word` is the preposition as written."""

    word: str
    direction: Direction | None = None
    relation: Relation | None = None
    reference: ObjectPhrase | None = None


@dataclass
class ReadClause:
    """What one clause says."""

    verb: str
    motion: Motion
    target: ObjectPhrase | None = None
    pronoun: bool = False
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
        self._instruction = instruction
        start = self._verb_at(tokens)
        self._t = tokens
        self._i = start + 1
        verb = tokens[start]
        self._out = ReadClause(verb, words.VERBS[verb])

    def _verb_at(self, tokens: list[str]) -> int:
        for i, token in enumerate(tokens):
            if token in words.VERBS:
                return i
            known = token in words.FILLERS or token in words.ADVERBS
            if not known and not (token in ("the", "arm") and i + 1 < len(tokens)):
                raise self._unknown_motion(token)
        raise self._unknown_motion(tokens[-1])

    def _unknown_motion(self, word: str) -> PerceptionError:
        known = "put, move, lift, push, pull, tilt, turn, straighten"
        return PerceptionError(
            Code.UNKNOWN_MOTION,
            f"'{word}' in '{self._instruction.strip()}' is not a motion that is known; "
            f"begin with one such as {known}",
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
            if out.target is None and not out.pronoun:
                found_object = self._object()
                out.target = None if out.pronoun else found_object
                continue
            raise self._unknown_word(self._t[self._i])
        return out

    # --- phrases ---
    def _skip(self) -> bool:
        token, out = self._t[self._i], self._out
        particles = words.PARTICLES.get(out.verb, "").split()
        before_object = out.target is None and token != "over"
        if token in particles and (before_object or not self._object_follows(1)):
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
        if "unsupported" in meanings:
            raise PerceptionError(
                Code.UNKNOWN_MOTION,
                f"the relation '{text}' is not known; known are on, in, next to, over, left of, "
                "right of, in front of, behind",
            )
        if "upside_down" in meanings:
            out.upside_down = True
        elif "sense" in meanings:
            out.sense = int(str(meanings["sense"]))
        elif "relation" in meanings and self._object_follows(found.length):
            if not named:
                return False
            self._i = after
            reference = self._object(support_allowed=True)
            self._add_relation(text, Relation(str(meanings["relation"])), reference)
            return True
        elif "source" in meanings and self._object_follows(found.length):
            self._i = after
            self._object(support_allowed=True)
            return True
        elif "place" in meanings and named:
            self._add_place(str(meanings["place"]))
        elif "direction" in meanings and (named or not self._object_follows(0)):
            out.goals.append(Goal(text, direction=self._direction(meanings["direction"])))
        elif "link" in meanings or "amount" in meanings:
            pass
        elif "relation" in meanings or "source" in meanings:
            if after < len(self._t) and (
                _TABLE.longest(self._t, after) or self._t[after] in words.ADVERBS
            ):
                pass  # "over to the left", "off there"
            elif after < len(self._t):
                raise self._unknown_word(self._t[after])
            elif "source" not in meanings:
                raise PerceptionError(Code.UNKNOWN_MOTION, f"no object follows '{text}'")
        else:
            return False
        self._i = after
        return True

    def _direction(self, value: object) -> Direction:
        if isinstance(value, Direction):
            return value
        toward = self._out.motion is Motion.PULL or self._out.verb in ("bring", "get", "fetch")
        if value == "backward" and self._out.motion is not Motion.PUSH:
            toward = True
        return Direction.TOWARD_CAMERA if toward else Direction.AWAY_FROM_CAMERA

    def _add_relation(self, word: str, relation: Relation, reference: ObjectPhrase) -> None:
        if reference.noun == "support":
            # "on the table" is where things stand anyway, unless it is the only goal.
            if not self._out.goals and relation in (Relation.ON, Relation.NEXT_TO):
                self._out.goals.append(Goal(word, direction=Direction.DOWN))
            return
        self._out.goals.append(Goal(word, relation=relation, reference=reference))

    def _add_place(self, place: str) -> None:
        out = self._out
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

    # --- objects ---
    def _object_follows(self, offset: int) -> bool:
        i = self._i + offset
        while i < len(self._t) and self._t[i] in words.DETERMINERS:
            i += 1
        if i > self._i + offset and i == len(self._t):
            return self._t[i - 1] in words.PRONOUNS
        return i < len(self._t) and (
            self._t[i] in words.PRONOUNS or self._head_ahead(i) or i > self._i + offset
        )

    def _head_ahead(self, i: int) -> bool:
        while i < len(self._t) and _describes(self._t[i]):
            if _noun(self._t[i]):
                return True
            i += 1
        return False

    def _object(self, *, support_allowed: bool = False) -> ObjectPhrase:
        """Read an object phrase, from its determiner to its noun and what is joined with "of"."""
        begin, out = self._i, ObjectPhrase("")
        noun = ""
        while self._i < len(self._t):
            token = self._t[self._i]
            if noun and not _noun(token):
                break
            if _noun(token):
                noun = _noun(token)
            elif token in words.PRONOUNS and not self._head_ahead(self._i + 1):
                self._i += 1
                self._out.pronoun = True
                return ObjectPhrase(token)
            elif token in words.DETERMINERS or token in words.UNCHECKED or token == "hand":
                pass
            elif token in words.COLOURS:
                out = replace(out, colour=out.colour or words.COLOURS[token])
            elif token == "and" and out.colour and self._next_in(words.COLOURS):
                pass
            elif token in words.SIZES:
                out = replace(out, size=words.SIZES[token])
            elif token in words.PLACE_ADJECTIVES:
                out = replace(out, place=words.PLACE_ADJECTIVES[token])
            elif token not in words.ADVERBS and token != "most":
                raise self._unknown_word(token)
            self._i += 1
        self._contents()
        text = " ".join(self._t[begin : self._i])
        if not noun:
            raise PerceptionError(
                Code.UNKNOWN_WORD,
                f"'{text}' in '{self._instruction.strip()}' names no kind of object; known "
                f"kinds are {', '.join(sorted(set(words.NOUNS.values())))}",
            )
        if noun == "support" and not support_allowed:
            raise PerceptionError(
                Code.UNKNOWN_WORD, f"'{text}' is what things stand on; it cannot be moved"
            )
        if noun == "anything" and not (out.colour or out.size or out.place):
            noun = "anything"
        return replace(out, text=text, noun="" if noun == "anything" else noun)

    def _contents(self) -> None:
        """Skip "of milk" in "the carton of milk"."""
        i = self._i
        if i + 1 < len(self._t) and self._t[i] == "of":
            while i + 1 < len(self._t) and self._t[i + 1] in words.UNCHECKED:
                i += 1
            if i > self._i:
                self._i = i + 1

    def _next_in(self, table: dict[str, str]) -> bool:
        return self._i + 1 < len(self._t) and self._t[self._i + 1] in table

    def _unknown_word(self, word: str) -> PerceptionError:
        return PerceptionError(
            Code.UNKNOWN_WORD,
            f"the word '{word}' in '{self._instruction.strip()}' is not known",
            {"word": word},
        )


def _noun(token: str) -> str:
    """Canonical kind of a noun; "anything" or "support" for the special sorts; "" if none."""
    for form in (token, token.removesuffix("s"), token.removesuffix("es")):
        if form in words.NOUNS:
            return words.NOUNS[form]
        if form in words.ANYTHING:
            return "anything"
        if form in words.SUPPORTS:
            return "support"
    return ""


def _describes(token: str) -> bool:
    return bool(
        _noun(token)
        or token in words.COLOURS
        or token in words.SIZES
        or token in words.UNCHECKED
        or token in words.PLACE_ADJECTIVES
        or token in words.DETERMINERS
        or token in ("and", "hand", "most")
    )
