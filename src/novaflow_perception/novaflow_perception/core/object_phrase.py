"""Reads the phrase that names one object, from its determiner to its noun and what it holds."""

from __future__ import annotations

from dataclasses import dataclass, replace

from novaflow_core.errors import Code, PerceptionError
from novaflow_core.task import ObjectPhrase
from novaflow_perception.core import object_words as words
from novaflow_perception.core import vocabulary

ANYTHING, SUPPORT, GROUP = "anything", "support", "group"
_COUNT_WORD = "last"


@dataclass(frozen=True)
class ReadObject:
    """What was read.

    Attributes:
        phrase: The object; its noun is "support" or "group" for those.
        end: Index of the first token behind it.
        pronoun: Whether it is "it" or the like.
    """

    phrase: ObjectPhrase
    end: int
    pronoun: bool = False


def unknown_word(word: str, instruction: str) -> PerceptionError:
    """Error that names a word and says what is known."""
    kinds = ", ".join(sorted(set(words.NOUNS.values())))
    return PerceptionError(
        Code.UNKNOWN_WORD,
        f"the word '{word}' in '{instruction.strip()}' is not known; known kinds of objects are "
        f"{kinds}",
        {"word": word},
    )


def object_follows(tokens: list[str], i: int) -> bool:
    """Whether an object phrase begins at `i`; an unknown noun behind a determiner counts."""
    begin = i
    while i < len(tokens) and tokens[i] in words.DETERMINERS:
        i += 1
    if i > begin and i == len(tokens):
        return tokens[i - 1] in words.PRONOUNS
    return i < len(tokens) and (tokens[i] in words.PRONOUNS or _head_ahead(tokens, i) or i > begin)


def read_object(
    tokens: list[str], start: int, instruction: str, *, support_allowed: bool = False
) -> ReadObject:
    """Read the object phrase that begins at `start`.

    Args:
        tokens: The clause.
        start: Where the phrase begins.
        instruction: For errors.
        support_allowed: Whether it may be what things stand on, or a group of things.

    Raises:
        PerceptionError: UNKNOWN_WORD, naming the word.
    """
    i, out, noun, place = start, ObjectPhrase(""), "", []
    ordinal = 0
    while i < len(tokens):
        token = tokens[i]
        kind = noun_of(token)
        if noun and not kind:
            break
        if kind and not _is_adjective(tokens, i):
            noun = words.COMPOUNDS.get((tokens[i - 1], token), kind) if i > start else kind
        elif token in words.PRONOUNS and not _head_ahead(tokens, i + 1):
            return ReadObject(ObjectPhrase(token), i + 1, pronoun=True)
        elif token in words.DETERMINERS or token in words.UNCHECKED or token in ("hand", "most"):
            pass
        elif token in words.COMPOUND_FIRST:
            pass  # with the word that follows it names a kind
        elif token in words.COLOURS:
            out = replace(out, colour=out.colour or words.COLOURS[token])
        elif token == "and" and out.colour and i + 1 < len(tokens):
            pass
        elif token in words.SIZES:
            out = replace(out, size=out.size or words.SIZES[token])
        elif token in words.FORMS:
            out = replace(out, form=words.FORMS[token])
        elif token in words.ORDINALS:
            ordinal = words.ORDINALS[token]
        elif token == _COUNT_WORD:
            ordinal = -1
        elif token in words.PLACE_ADJECTIVES:
            place.append(words.PLACE_ADJECTIVES[token])
        elif token not in vocabulary.ADVERBS:
            raise unknown_word(token, instruction)
        i += 1
    i = _contents(tokens, i)
    text = " ".join(tokens[start:i])
    if not noun:
        raise PerceptionError(
            Code.UNKNOWN_WORD,
            f"'{text}' in '{instruction.strip()}' names no kind of object; known kinds are "
            f"{', '.join(sorted(set(words.NOUNS.values())))}",
            {"word": text},
        )
    if noun in (SUPPORT, GROUP) and not support_allowed:
        raise PerceptionError(
            Code.UNKNOWN_WORD, f"'{text}' is no single thing that can be moved", {"word": text}
        )
    place_text, i = _counted(tokens, i, ordinal, place)
    return ReadObject(
        replace(
            out,
            text=" ".join(tokens[start:i]),
            noun="" if noun == ANYTHING else noun,
            place=place_text,
        ),
        i,
    )


def noun_of(token: str) -> str:
    """Canonical kind of a noun; "anything", "support" or "group" for those; "" if none."""
    for form in (token, token.removesuffix("s"), token.removesuffix("es")):
        if form in words.NOUNS:
            return words.NOUNS[form]
        if form in words.ANYTHING:
            return ANYTHING
        if form in words.SUPPORTS:
            return SUPPORT
        if form in words.GROUPS:
            return GROUP
    return ""


def describes(token: str) -> bool:
    """Whether a word may stand in an object phrase."""
    return bool(
        noun_of(token)
        or token in words.COLOURS
        or token in words.SIZES
        or token in words.FORMS
        or token in words.UNCHECKED
        or token in words.COMPOUND_FIRST
        or token in words.PLACE_ADJECTIVES
        or token in words.ORDINALS
        or token in words.DETERMINERS
        or token in ("and", "hand", "most", _COUNT_WORD)
    )


def _head_ahead(tokens: list[str], i: int) -> bool:
    while i < len(tokens) and describes(tokens[i]):
        if noun_of(tokens[i]):
            return True
        i += 1
    return False


def _is_adjective(tokens: list[str], i: int) -> bool:
    """Whether a word that is a noun and an adjective ("tin", "glass") is the latter here."""
    return tokens[i] in words.FORMS and _head_ahead(tokens, i + 1)


def _contents(tokens: list[str], i: int) -> int:
    """Skip "of milk" in "the carton of milk" and "with the handle" in "the mug with the handle"."""
    if i + 1 < len(tokens) and tokens[i] == "of":
        j = i
        while j + 1 < len(tokens) and tokens[j + 1] in words.UNCHECKED:
            j += 1
        if j > i:
            i = j + 1
    if i + 1 < len(tokens) and tokens[i] == "with":
        j = i + 1
        while j < len(tokens) and (describes(tokens[j]) or tokens[j] in words.PARTS):
            if tokens[j] in words.PARTS:
                return j + 1
            j += 1
    return i


def _counted(tokens: list[str], i: int, ordinal: int, place: list[str]) -> tuple[str, int]:
    """Place of "the second cup from the left": "left 2"; without a side it counts from the left."""
    side, end = place[0] if place else "", i
    for length in (4, 3, 2):
        found = words.COUNTED_FROM.get(" ".join(tokens[i : i + length]))
        if ordinal and found:
            side, end = found, i + length
            break
    if not ordinal:
        return " ".join(dict.fromkeys(place)), i
    if ordinal < 0:
        opposite = {"left": "right", "right": "left", "front": "back", "back": "front"}
        return opposite.get(side, "right"), end
    return f"{side or 'left'} {ordinal}", end
