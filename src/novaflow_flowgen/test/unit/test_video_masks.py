"""Which pixels are on a mask, and which masks begin on the target."""

import numpy as np
import pytest

from novaflow_core.errors import Code, TrackingError
from novaflow_flowgen.core.video_masks import EDGE_PX, first_overlap, on_masks


def squares(*lefts):
    """Masks of 10x10 px, 40 px wide and 30 px high."""
    masks = np.zeros((len(lefts), 30, 40), bool)
    for mask, left in zip(masks, lefts, strict=True):
        mask[10:20, left : left + 10] = True
    return masks


def test_each_step_has_its_own_mask():
    at = np.full((2, 1, 2), (5.0, 15.0))
    assert on_masks(squares(0, 20), at).tolist() == [[True], [False]]


@pytest.mark.parametrize(("off_px", "seen"), [(0, True), (EDGE_PX, True), (EDGE_PX + 1, False)])
def test_the_edge_is_known_to_a_few_pixels(off_px, seen):
    right, below = (19.0 + off_px, 15.0), (15.0, 19.0 + off_px)
    assert on_masks(squares(10), np.array([[right, below]])).tolist() == [[seen, seen]]


def test_what_is_outside_or_nowhere_is_on_no_mask():
    everywhere = np.ones((1, 30, 40), bool)
    nowhere = [(np.nan, np.nan), (-1.0, 5.0), (5.0, 30.0), (40.0, 5.0), (1e12, 5.0), (np.inf, 1.0)]
    inside = [(-0.4, 0.0), (39.4, 29.4)]
    found = on_masks(everywhere, np.array([[*nowhere, *inside]]))
    assert found.tolist() == [[False] * len(nowhere) + [True] * len(inside)]


def test_an_empty_mask_shows_nothing():
    assert not on_masks(np.zeros((1, 30, 40), bool), np.full((1, 3, 2), 15.0)).any()


def test_overlap_is_of_the_first_frame_alone():
    assert first_overlap(squares(10, 30), squares(10)[0]) == 1.0
    assert first_overlap(squares(13, 30), squares(10)[0]) == pytest.approx(7 / 13)


@pytest.mark.parametrize("masks", [squares(14), squares(30), np.zeros((1, 30, 40), bool)])
def test_a_mask_that_begins_elsewhere_is_refused_with_the_number(masks):
    with pytest.raises(TrackingError) as error:
        first_overlap(masks, squares(10)[0])
    assert error.value.code is Code.LIFT_UNCERTAIN
    assert error.value.evidence["mask_first_iou"] < 0.5
    assert f"{error.value.evidence['mask_first_iou']:.2f}" in error.value.reason
