"""The tabletop backend on annotated real views; skipped, with the reason, without them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[4] / "benchmarks"))

pytestmark = pytest.mark.slow


def test_named_things_are_found_and_absent_ones_refused(real_views, capsys):
    from grounding_views import evaluate, mean_iou, summary

    rows = evaluate(real_views)
    with capsys.disabled():
        print(f"\n{summary(rows)}")
    assert sum(row.good for row in rows if row.present) >= 21
    assert sum(not row.good for row in rows if not row.present) <= 2
    assert mean_iou(rows) >= 0.85


def test_other_wordings_mean_the_same_things(real_views, capsys):
    from grounding_views import WORDINGS, evaluate, read_list, summary

    rows = evaluate(real_views, entries=read_list(WORDINGS))
    with capsys.disabled():
        print(f"\n{summary(rows)}")
    present, absent = ([r for r in rows if r.present is sort] for sort in (True, False))
    assert sum(row.good for row in present) >= 0.9 * len(present)
    assert sum(not row.good for row in absent) <= 0.05 * len(absent)
    assert sum(row.right_code for row in absent) >= 0.9 * len(absent)
