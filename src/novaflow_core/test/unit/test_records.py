"""Records refuse what contradicts itself, and answer what they are asked."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from novaflow_core.camera import CameraModel
from novaflow_core.candidate import CandidateFeasibility, CandidateScore, Gate
from novaflow_core.errors import Cause, Code, NovaflowError, PlatformError, ShapeError, cause_of
from novaflow_core.flow import ObjectFlow
from novaflow_core.registry import backend_names, load_backend
from novaflow_core.scene import Plane, RgbdView
from novaflow_core.video import Video


def flow(points: np.ndarray, **changes) -> ObjectFlow:
    shape = points.shape[:2]
    values = {
        "points": points.astype(np.float32),
        "visible": np.ones(shape, bool),
        "confidence": np.ones(shape, np.float32),
        "dt_s": 0.1,
        "frame_id": "base",
    }
    return ObjectFlow(**{**values, **changes})


def test_displacement_is_the_median_over_known_points() -> None:
    points = np.zeros((3, 5, 3))
    points[-1] = [0.1, 0.0, 0.2]
    points[-1, 0] = [9.0, 9.0, 9.0]
    points[0, 1] = np.nan
    np.testing.assert_allclose(flow(points).displacement(), [0.1, 0, 0.2], atol=1e-7)
    assert np.isnan(flow(np.full((2, 1, 3), np.nan)).displacement()).all()


@pytest.mark.parametrize(
    ("points", "changes"),
    [
        (np.zeros((1, 4, 3)), {}),
        (np.zeros((3, 0, 3)), {}),
        (np.zeros((3, 4, 2)), {}),
        (np.zeros((3, 4, 3)), {"visible": np.ones((4, 3), bool)}),
        (np.zeros((3, 4, 3)), {"dt_s": 0.0}),
        (np.zeros((3, 4, 3)), {"dt_s": float("nan")}),
    ],
)
def test_impossible_flows_are_refused(points: np.ndarray, changes: dict) -> None:
    with pytest.raises(ShapeError):
        flow(points, **changes)


def test_views_and_videos_have_one_size() -> None:
    camera = CameraModel(6, 4, 5, 5, 3, 2)
    color, depth = np.zeros((4, 6, 3), np.uint8), np.ones((4, 6), np.float32)
    assert RgbdView("c", "o", 0, color, depth, camera, np.eye(4)).points().shape == (4, 6, 3)
    with pytest.raises(ShapeError):
        RgbdView("c", "o", 0, color, depth.T, camera, np.eye(4))
    with pytest.raises(ShapeError):
        Video(np.zeros((4, 6, 3), np.uint8), 16.0)


def test_a_planes_basis_is_right_handed() -> None:
    for seed in range(20):
        normal = np.random.default_rng(seed).normal(size=3)
        normal /= np.linalg.norm(normal)
        plane = Plane(normal, -0.2)
        frame = np.vstack([plane.basis(), normal])
        np.testing.assert_allclose(frame @ frame.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(frame) > 0
        np.testing.assert_allclose(plane.height(0.5 * normal), 0.3)


def test_judgements() -> None:
    passed, failed = (Gate("g", 0.0, 1.0, ok, "") for ok in (True, False))
    assert CandidateScore("c", 1.0, (passed,)).valid
    assert not CandidateScore("c", 0.0, (passed, failed)).valid
    assert CandidateFeasibility("c", True, Code.OK, "", 1.0).feasible
    assert not CandidateFeasibility("c", False, Code.OK, "", 1.0).feasible
    assert not CandidateFeasibility("c", True, Code.NO_GRASP, "", 0.0).feasible


def test_every_code_has_a_cause_and_its_band() -> None:
    assert cause_of(Code.OK) is Cause.NONE
    assert cause_of(Code.VIDEO_UNREADABLE) is Cause.VIDEO
    assert cause_of(Code.TRACKS_TOO_FEW) is Cause.TRACKING
    assert cause_of(Code.GRASP_LOST) is Cause.GRASP
    assert cause_of(Code.PLAN_COLLISION) is Cause.EXECUTION
    assert cause_of(Code.PROCESS_LOST) is Cause.SETUP
    assert cause_of(Code.VIDEO_BLOCKED) is Cause.VIDEO
    for outage in (Code.VIDEO_SERVICE_QUOTA, Code.PROMPT_NOT_EXPANDED, Code.JUDGE_TIMEOUT):
        assert cause_of(outage) is Cause.SETUP
    assert all(cause_of(code) is not Cause.NONE for code in Code if code is not Code.OK)


def test_an_error_says_its_code_and_keeps_evidence() -> None:
    error = NovaflowError(Code.NO_CAMERA, "no image for 2.0 s", {"topic": "/x"})
    assert str(error) == "NO_CAMERA (120): no image for 2.0 s"
    assert error.evidence == {"topic": "/x"}


def test_an_error_comes_back_from_another_process() -> None:
    """A pool hands it over so; what cannot be made again breaks the whole pool."""
    error = copy.copy(PlatformError(Code.NO_CAMERA, "no image for 2.0 s", {"topic": "/x"}))
    assert type(error) is PlatformError
    assert (error.code, error.reason, error.evidence) == (
        Code.NO_CAMERA, "no image for 2.0 s", {"topic": "/x"},
    )  # fmt: skip
    assert str(error) == "NO_CAMERA (120): no image for 2.0 s"


def test_an_unknown_backend_is_named_with_those_that_exist() -> None:
    with pytest.raises(PlatformError, match="'telepathy'") as caught:
        load_backend("no_such_stage", "telepathy")
    assert caught.value.code is Code.UNKNOWN_BACKEND
    assert backend_names("no_such_stage") == []
