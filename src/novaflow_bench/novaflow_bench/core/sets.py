"""Sets of candidates as a judge gets them: shuffled, numbered anew, their labels kept apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from novaflow_core.candidate import CandidateScore
from novaflow_flowgen.core.critic import Judgement

SIZE = 8
MAJORITY = 5
ONE_VALID, WRONG_MAJORITY, NONE_VALID = "one_valid", "wrong_majority", "none_valid"


@dataclass(frozen=True)
class Labelled:
    """One judged video with its label.

    Attributes:
        kind: What is wrong with it; "" when it is valid.
        severity: How wrong; "" when it is valid.
        held_out: Whether its kind was kept from tuning.
        like: Those of one pool that are wrong alike share this name; "" for all others.
        made_by: Who made the video.
        score: Of the judge.
        end: (3,) where the target ends by its flow [m]; None where a gate failed.
    """

    kind: str
    severity: str
    held_out: bool
    like: str
    made_by: str
    score: CandidateScore
    end: tuple[float, float, float] | None

    @property
    def valid(self) -> bool:
        """Whether a strict person would take it."""
        return not self.kind

    def judgement(self, name: str) -> Judgement:
        """What the judge thinks of it under another name."""
        end = None if self.end is None else np.array(self.end)
        return Judgement(replace(self.score, candidate_id=name), end)


@dataclass(frozen=True)
class CandidateSet:
    """Candidates of one goal.

    Attributes:
        form: ONE_VALID, WRONG_MAJORITY or NONE_VALID.
        held_out: Whether kinds that were kept from tuning are among them.
        members: In the order in which the judge gets them.
    """

    form: str
    held_out: bool
    members: tuple[Labelled, ...]

    def judgements(self) -> list[Judgement]:
        """What the judge thinks of each, under names that tell nothing."""
        return [m.judgement(f"candidate_{k}") for k, m in enumerate(self.members, start=1)]


@dataclass(frozen=True)
class SetCounts:
    """How many sets of each form to draw from one pool."""

    one_valid: int = 8
    wrong_majority: int = 6
    none_valid: int = 8
    held_out: int = 4


def draw_sets(
    pool: Sequence[Labelled], counts: SetCounts, random: np.random.Generator
) -> list[CandidateSet]:
    """Sets from one pool; a form that the pool cannot fill is left out."""
    valid = [item for item in pool if item.valid]
    wrong = [item for item in pool if not item.valid and not item.held_out and not item.like]
    unseen = [item for item in pool if item.held_out]
    alike = [item for item in pool if item.like and not item.valid]
    out: list[CandidateSet] = []

    def add(form: str, times: int, parts: list[tuple[list[Labelled], int]], held: bool) -> None:
        if any(len(items) < count for items, count in parts):
            return
        for _ in range(times):
            members = [m for items, count in parts for m in _pick(items, count, random)]
            order = random.permutation(len(members))
            out.append(CandidateSet(form, held, tuple(members[i] for i in order)))

    add(ONE_VALID, counts.one_valid, [(valid, 1), (wrong, SIZE - 1)], False)
    rest = SIZE - 1 - MAJORITY
    add(
        WRONG_MAJORITY, counts.wrong_majority,
        [(valid, 1), (alike, MAJORITY), (wrong, rest)], False,
    )  # fmt: skip
    half = counts.none_valid // 2
    add(NONE_VALID, counts.none_valid - half, [(wrong, SIZE)], False)
    add(NONE_VALID, half, [(alike, MAJORITY), (wrong, SIZE - MAJORITY)], False)
    few = min(len(unseen), SIZE // 2)
    if few:
        add(ONE_VALID, counts.held_out, [(valid, 1), (unseen, few), (wrong, SIZE - 1 - few)], True)
        add(NONE_VALID, counts.held_out, [(unseen, few), (wrong, SIZE - few)], True)
    return out


def _pick(items: list[Labelled], count: int, random: np.random.Generator) -> list[Labelled]:
    index: NDArray[np.int64] = random.choice(len(items), count, replace=False)
    return [items[int(i)] for i in index]
