"""The baseline that judges nothing."""

from __future__ import annotations

import numpy as np
import pytest

from novaflow_core import toy_scene
from novaflow_core.candidate import CandidateFeasibility, FlowCandidate
from novaflow_core.errors import Code, PlatformError, SelectionError
from novaflow_core.flow import ObjectFlow
from novaflow_core.registry import load_backend
from novaflow_core.task import Motion, ObjectPhrase, TaskSpec
from novaflow_core.toy_scene import Solid
from novaflow_flowgen.core.judging import SelectorSettings

CUP = Solid((0.08, 0.08, 0.095), is_round=True, wall=0.004).at(0.55, 0.1)


@pytest.fixture(scope="module")
def world():
    view, labels = toy_scene.render({"cup": CUP})
    task = TaskSpec("lift the cup", Motion.LIFT, ObjectPhrase("the cup"))
    return toy_scene.ground({"cup": CUP}, view, labels, task)


def candidate(name: str, code: Code = Code.OK) -> FlowCandidate:
    if code != Code.OK:
        return FlowCandidate(name, "scene", code, "lost it", None, "", "")
    path = np.zeros((41, 20, 3), np.float32)
    seen = np.ones(path.shape[:2], bool)
    flow = ObjectFlow(path, seen, seen.astype(np.float32), 1 / 16, "base")
    return FlowCandidate(name, "scene", Code.OK, "", flow, "", "")


def first():
    return load_backend("selection", "first")(SelectorSettings(selection="first"))


def test_it_takes_the_first_that_was_lifted_and_can_be_followed(world) -> None:
    names = [candidate("c1", Code.TRACKS_TOO_FEW), candidate("c2"), candidate("c3")]
    assert first().select(*world, names, []).require() == "c2"
    refused = CandidateFeasibility("c2", True, Code.NO_FEASIBLE_GRASP, "too far", 0.0)
    found = first().select(*world, names, [refused])
    assert found.require() == "c3" and "nothing judged it" in found.reason
    assert [score.valid for score in found.scores] == [False, False, True]
    assert found.scores[1].gates[0].reason == "too far"


def test_it_says_when_there_is_nothing_to_take(world) -> None:
    with pytest.raises(SelectionError) as told:
        first().select(*world, [candidate("c1", Code.TRACKS_TOO_FEW)], []).require()
    assert told.value.code == Code.NO_VALID_CANDIDATE
    with pytest.raises(SelectionError) as told:
        first().select(*world, [], [])
    assert told.value.code == Code.NO_CANDIDATES
    with pytest.raises(PlatformError):
        first().select(*world, [candidate("c1")], [], lambda: True)
