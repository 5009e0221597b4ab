"""The phrases that follow an object, found longest first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from novaflow_perception.core import object_words
from novaflow_perception.core import vocabulary as words


@dataclass(frozen=True)
class Found:
    """A phrase at a position.

    Attributes:
        text: Its words.
        length: Their number.
        meanings: What it can stand for, by the sort of phrase: "direction", "relation", "place",
            ...
    """

    text: str
    length: int
    meanings: dict[str, object]


class PhraseTable:
    """All known phrases; one may have several meanings, which its surroundings tell apart."""

    def __init__(self) -> None:
        """Make an empty table."""
        self._meanings: dict[tuple[str, ...], dict[str, object]] = {}
        self._longest = 0

    @classmethod
    def of_vocabulary(cls) -> PhraseTable:
        """Return the table of all phrases in `vocabulary`."""
        table = cls()
        table.add("direction", words.DIRECTIONS.items())
        table.add("direction", ((w, "forward") for w in words.FORWARD))
        table.add("direction", ((w, "backward") for w in words.BACKWARD))
        table.add("place", object_words.PLACES.items())
        adjectives = object_words.PLACE_ADJECTIVES.items()
        table.add("place", ((w, p) for w, p in adjectives if w.endswith("st")))
        table.add("relation", words.RELATIONS.items())
        table.add("source", ((w, True) for w in words.SOURCES))
        table.add("unsupported", ((w, True) for w in words.UNSUPPORTED_RELATIONS))
        table.add("under", ((w, True) for w in words.UNDER))
        table.add("ignored", ((w, True) for w in words.IGNORED))
        table.add("amount", ((w, True) for w in words.AMOUNTS))
        table.add("link", ((w, True) for w in words.LINKS))
        table.add("sense", ((w, -1) for w in words.CLOCKWISE))
        table.add("sense", ((w, 1) for w in words.COUNTERCLOCKWISE))
        table.add("upside_down", [(words.UPSIDE_DOWN, True)])
        return table

    def add(self, sort: str, entries: Iterable[tuple[str, object]]) -> None:
        """Add phrases of one sort."""
        for phrase, meaning in entries:
            key = tuple(phrase.split())
            self._meanings.setdefault(key, {})[sort] = meaning
            self._longest = max(self._longest, len(key))

    def longest(self, tokens: list[str], start: int) -> Found | None:
        """Return the longest phrase that begins at `start`."""
        for length in range(min(self._longest, len(tokens) - start), 0, -1):
            meanings = self._meanings.get(tuple(tokens[start : start + length]))
            if meanings is not None:
                return Found(" ".join(tokens[start : start + length]), length, meanings)
        return None
