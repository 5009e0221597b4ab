"""Which videos are made of a stage: right ones, all kinds of wrong ones, a coherent majority."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from novaflow_bench.core.film import Film
from novaflow_bench.core.sets import MAJORITY
from novaflow_bench.core.stage import Stage
from novaflow_bench.core.wrongs import KINDS, SEVERITIES, right, wrong

RIGHT = 3
# What a video model gets wrong again and again in the same way.
ALIKE = ("wrong_place", "wrong_object", "stops_short", "wrong_direction", "lean", "duplicate",
         "colour", "stretch")  # fmt: skip


@dataclass(frozen=True)
class Role:
    """One video to make.

    Attributes:
        kind: What is wrong with it; "" when nothing is.
        severity: How wrong; "" when it is right.
        like: Name that those share which are wrong alike; "" for all others.
        number: Of the video among those of the stage.
    """

    kind: str
    severity: str
    like: str
    number: int

    def film(self, stage: Stage, seed: int) -> Film:
        """Its script."""
        variation = np.random.default_rng([seed, self.number])
        if not self.kind:
            return right(stage, variation)
        content = self.number if not self.like else 0
        return wrong(
            self.kind, self.severity, stage, np.random.default_rng([seed, 1, content]), variation
        )


def roles(stage: Stage, seed: int) -> list[Role]:
    """All videos of a stage.

    Kinds appear by far and by little in turn from stage to stage; those held out appear in both.
    """
    return [Role(*what, number) for number, what in enumerate(_cast(stage, seed))]


def _cast(stage: Stage, seed: int) -> Iterator[tuple[str, str, str]]:
    for _ in range(RIGHT):
        yield "", "", ""
    able = [name for name, kind in KINDS.items() if kind.applies(stage)]
    for k, name in enumerate(able):
        chosen = SEVERITIES if KINDS[name].held_out else (SEVERITIES[(seed + k) % 2],)
        for severity in chosen:
            yield name, severity, ""
    alike = [name for name in ALIKE if name in able]
    name = alike[seed % len(alike)]
    for _ in range(MAJORITY):
        yield name, SEVERITIES[(seed // len(alike)) % 2], name
