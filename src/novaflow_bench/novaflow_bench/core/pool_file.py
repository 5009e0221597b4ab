"""Judged videos on disk: an interrupted run goes on where it stopped."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from novaflow_bench.core.sets import Labelled
from novaflow_core.candidate import CandidateScore, Gate


def write_pool(path: Path, pool: list[Labelled]) -> None:
    """Write a pool; the file appears when it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps([asdict(item) for item in pool], indent=1), encoding="utf-8")
    part.replace(path)


def read_pool(path: Path) -> list[Labelled]:
    """Read a pool."""
    return [_labelled(row) for row in json.loads(path.read_text(encoding="utf-8"))]


def _labelled(row: dict[str, Any]) -> Labelled:
    score = row["score"]
    gates = tuple(Gate(**gate) for gate in score["gates"])
    end = None if row["end"] is None else (row["end"][0], row["end"][1], row["end"][2])
    plain = Labelled(**(row | {"score": CandidateScore("", 0.0, ()), "end": end}))
    return replace(plain, score=CandidateScore(score["candidate_id"], score["score"], gates))
