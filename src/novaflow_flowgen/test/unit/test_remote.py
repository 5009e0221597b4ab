"""Calls to services: attempts, waits, cancelling, and what may be told of an answer."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from novaflow_core.errors import Code, PlatformError
from novaflow_flowgen.core.letterbox import letterbox
from novaflow_flowgen.core.remote import (
    Patience,
    RemoteError,
    Trouble,
    call,
    pause,
    status_trouble,
    tidy,
)

QUICK = Patience(timeout_s=20.0, retries=3, backoff_s=0.0)


def failing(*troubles: Trouble):
    """A request that fails in these ways and then answers."""
    left = list(troubles)

    def request() -> str:
        if left:
            raise RemoteError(left.pop(0), "not now")
        return "here"

    return request


@pytest.mark.parametrize("trouble", [Trouble.TIMEOUT, Trouble.QUOTA, Trouble.UNAVAILABLE])
def test_passing_troubles_are_tried_again(trouble):
    assert call("it", failing(trouble, trouble), QUICK, lambda: False) == "here"
    with pytest.raises(RemoteError) as error:
        call("it", failing(*[trouble] * 4), QUICK, lambda: False)
    assert error.value.trouble is trouble
    assert "4 attempts" in error.value.reason


@pytest.mark.parametrize(
    "trouble", [Trouble.REJECTED, Trouble.BLOCKED, Trouble.EMPTY, Trouble.NONSENSE]
)
def test_lasting_troubles_are_not(trouble):
    with pytest.raises(RemoteError) as error:
        call("it", failing(trouble), QUICK, lambda: False)
    assert "attempts" not in error.value.reason


def test_waits_double_and_end_at_a_minute():
    waits = [Patience(1.0, 9, 2.0).wait_s(i) for i in range(9)]
    nominal = np.minimum(2.0 * 2.0 ** np.arange(9), 60.0)
    assert (waits >= nominal).all()
    assert (waits <= 1.25 * nominal).all()


def test_all_attempts_together_have_an_end():
    hurried = Patience(timeout_s=3600.0, retries=10**6, backoff_s=0.01, total_s=0.3)
    with pytest.raises(RemoteError) as error:
        call("it", failing(*[Trouble.QUOTA] * 10**4), hurried, lambda: False)
    assert error.value.trouble is Trouble.QUOTA
    never = threading.Event()
    with pytest.raises(RemoteError) as error:
        call("it", never.wait, hurried, lambda: False)
    assert error.value.trouble is Trouble.TIMEOUT
    assert "0.3 s" in error.value.reason
    never.set()


def test_a_call_a_wait_and_a_late_answer_can_be_stopped():
    never = threading.Event()
    for stopped in (
        lambda: call("it", never.wait, QUICK, lambda: True),
        lambda: call("it", lambda: "an answer", QUICK, lambda: True),
        lambda: pause("it", 3600.0, lambda: True),
    ):
        with pytest.raises(PlatformError) as error:
            stopped()
        assert error.value.code is Code.CANCELLED
    never.set()


def test_a_defect_in_a_backend_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        call("it", lambda: 1 // 0, QUICK, lambda: False)


def test_what_statuses_mean():
    said = {s: status_trouble(s) for s in (400, 401, 404, 408, 429, 500, 503, 504)}
    assert {s for s, t in said.items() if t is Trouble.REJECTED} == {400, 401, 404}
    assert {s for s, t in said.items() if t is Trouble.TIMEOUT} == {408, 504}
    assert {s for s, t in said.items() if t is Trouble.UNAVAILABLE} == {500, 503}
    assert said[429] is Trouble.QUOTA


def test_what_is_told_is_one_line_without_the_key():
    assert tidy("a\n\tb\x1b[31m key=abc", "abc") == "a b [31m key=[key]"
    assert tidy("x" * 50, limit=10) == "xxxxxxx..."


@pytest.mark.parametrize(("width", "height"), [(480, 360), (1280, 720), (300, 100), (90, 160)])
def test_a_view_comes_back_out_of_its_letterbox(width, height):
    aspect = 16 / 9 if width >= height else 9 / 16
    box = letterbox(width, height, aspect)
    assert box.whole.width / box.whole.height == pytest.approx(aspect, rel=0.01)
    image = np.random.default_rng(0).integers(1, 255, (height, width, 3), np.uint8)
    assert (box.cut(box.place(image)[None])[0] == image).all()
