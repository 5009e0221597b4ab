"""When a lift is ended, step by step."""

from dataclasses import replace

import pytest

from novaflow_core.camera import CameraModel
from novaflow_core.errors import Code, TrackingError
from novaflow_flowgen.core.lift_checks import LiftGuard, LiftLimits, StepRecord, summarise

MODEL = CameraModel(640, 480, 500.0, 500.0, 319.5, 239.5)
GOOD = StepRecord(100, 100, 90, 0.3, 0.98, 0.95, 0.002, 0.01, 0.02, 0.7)
NAN = float("nan")
HIDDEN = replace(GOOD, seen_share=0.6, point_std_m=0.007)


def checked(steps_seen):
    guard = LiftGuard(LiftLimits(), MODEL, len(steps_seen) + 1)
    records = []
    for record in steps_seen:
        records = [*records, record]
        guard.check(records, 0.0)


def test_a_pose_that_is_less_known_while_a_hand_hides_it_is_passed_over():
    checked([GOOD, HIDDEN, HIDDEN, GOOD])


def test_what_is_seen_whole_must_be_known_better():
    with pytest.raises(TrackingError, match=r"frame 3 of 5 .* 7.0 mm only; 6.0 mm") as refusal:
        checked([GOOD, replace(HIDDEN, seen_share=0.95), GOOD, GOOD])
    assert refusal.value.code is Code.LIFT_UNCERTAIN


def test_even_hidden_there_is_a_limit():
    with pytest.raises(TrackingError, match=r"frame 3 of 5 .* 9.0 mm only; 8.0 mm"):
        checked([GOOD, replace(HIDDEN, point_std_m=0.009), GOOD, GOOD])


@pytest.mark.parametrize(
    ("seen", "told"),
    [
        ([0.0, 0.3, 0.3, 0.0, 0.3], 0.0),  # what hides it may mislead one look or two
        ([0.0, 0.1, 0.2, 0.3, 0.0], 0.1),
        ([0.2, NAN, 0.2, NAN, 0.2], 0.2),
        ([-0.1, -0.2, -0.1, -0.3], -0.2),
        ([0.2, 0.2, NAN], NAN),
        ([NAN] * 5, NAN),
    ],
)
def test_a_change_of_shape_counts_when_it_lasts(seen, told):
    stats = summarise([replace(GOOD, stretch=value) for value in seen], 0.0)
    assert stats["stretch"] == pytest.approx(told, nan_ok=True)
