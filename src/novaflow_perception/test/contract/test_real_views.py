"""The tabletop backend on annotated real views; skipped, with the reason, without them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[4] / "benchmarks"))

pytestmark = pytest.mark.slow


def test_named_things_are_found_and_absent_ones_refused(real_views, capsys):
    from grounding_views import evaluate, summary

    rows = evaluate(real_views)
    with capsys.disabled():
        print(f"\n{summary(rows)}")
    present = [row for row in rows if row.present]
    assert sum(row.good for row in present) >= 21
    assert sum(not row.good for row in rows if not row.present and not row.hard) == 0
    assert sum(not row.good for row in rows if not row.present and row.hard) <= 4
    ious = [row.iou for row in present if row.iou == row.iou]
    assert sum(ious) / len(ious) >= 0.85
