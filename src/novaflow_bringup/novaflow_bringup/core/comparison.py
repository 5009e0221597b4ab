"""Did a replayed goal end as the recorded one?"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from novaflow_bringup.core.run_folder import FLOW

NOT_SELECTING = ("score", "approve", "execute", "observe")  # a replay has no robot to fail with


@dataclass(frozen=True)
class Comparison:
    """Recorded against replayed.

    Attributes:
        same: Both chose the same candidate, or both failed before the choice with the same code.
        recorded: The recorded choice, or the code.
        replayed: The replayed choice, or the code.
        flow_distance_m: Largest distance over the steps between both flows' median points [m];
            None where one of them is missing.
    """

    same: bool
    recorded: str
    replayed: str
    flow_distance_m: float | None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def compare(
    recorded: dict[str, Any], replayed: dict[str, Any], recorded_run: Path, replayed_run: Path
) -> Comparison:
    """Compare two `outcome.json` and their chosen flows."""
    before, after = _selection(recorded), _selection(replayed)
    distance = None
    if recorded["chosen"] and replayed["chosen"]:
        first, second = recorded_run / FLOW, replayed_run / FLOW
        if first.is_file() and second.is_file():
            distance = flow_distance(_points(first), _points(second))
    return Comparison(before == after, before, after, distance)


def flow_distance(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Largest distance over the steps between the median points of two flows (T, K, 3) [m].

    Flows of different length are compared as far as both go.
    """
    steps = min(len(first), len(second))
    with np.errstate(all="ignore"):
        a = np.nanmedian(first[:steps].astype(float), axis=1)
        b = np.nanmedian(second[:steps].astype(float), axis=1)
    gaps = np.linalg.norm(a - b, axis=1)
    known = gaps[np.isfinite(gaps)]
    return float(known.max()) if known.size else float("nan")


def _selection(values: dict[str, Any]) -> str:
    if values["chosen"]:
        return f"candidate {values['chosen']}"
    if values["failed_stage"] in NOT_SELECTING:
        return "no selection"
    return str(values["code"])


def _points(path: Path) -> NDArray[np.float32]:
    with np.load(path) as archive:
        return np.asarray(archive["points"], np.float32)
