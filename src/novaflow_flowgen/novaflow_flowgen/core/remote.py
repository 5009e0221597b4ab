"""Calls to services on a network: bounded in time, tried again when that may help, cancellable.

Backends translate the errors of their client library into `RemoteError`; each stage has its own
table from `Trouble` to its codes.
"""

from __future__ import annotations

import math
import os
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from novaflow_core.errors import Code, PlatformError

T = TypeVar("T")
ShouldStop = Callable[[], bool]

_POLL_S = 0.05  # how often a waiting caller looks whether it shall stop
_LONGEST_WAIT_S = 60.0
_GRACE_S = 2.0  # in which the client library may report its own timeout, in better words


class Trouble(StrEnum):
    """What can go wrong with a call, in the terms of no particular service."""

    TIMEOUT = "timeout"
    QUOTA = "quota"
    UNAVAILABLE = "unavailable"
    REJECTED = "rejected"
    BLOCKED = "blocked"
    EMPTY = "empty"
    NONSENSE = "nonsense"


_PASSING = frozenset({Trouble.TIMEOUT, Trouble.QUOTA, Trouble.UNAVAILABLE})


class RemoteError(Exception):
    """A call that failed; a stage turns it into a `NovaflowError` with a code of its band.

    Attributes:
        trouble: What went wrong.
        reason: A sentence for people, without keys.
    """

    def __init__(self, trouble: Trouble, reason: str) -> None:
        """Keep both."""
        super().__init__(f"{trouble}: {reason}")
        self.trouble, self.reason = trouble, reason


@dataclass(frozen=True)
class Patience:
    """How long to wait for a service, and how often to ask again.

    Attributes:
        timeout_s: Longest time for one attempt [s].
        retries: Further attempts after the first.
        backoff_s: Wait before the first of them [s]; it doubles each time.
        total_s: Longest time for all attempts and waits together [s].
    """

    timeout_s: float
    retries: int
    backoff_s: float
    total_s: float = math.inf

    def wait_s(self, attempt: int) -> float:
        """Wait after a failed attempt (0, 1, ...) [s], spread so that callers do not march."""
        wait = min(self.backoff_s * 2.0**attempt, _LONGEST_WAIT_S)
        return float(wait * random.uniform(1.0, 1.25))


def call(
    service: str,
    request: Callable[[], T],
    patience: Patience,
    should_stop: ShouldStop,
    again: frozenset[Trouble] = _PASSING,
) -> T:
    """Return what `request` returns.

    Args:
        service: What is called, for people.
        request: Sends one request and may raise `RemoteError`; runs in a thread of its own, which
            a cancelled or late call leaves behind until the client library gives up.
        patience: Time and attempts.
        should_stop: Whether the caller wants to stop.
        again: Troubles after which another attempt makes sense.

    Raises:
        RemoteError: The last attempt's, with the number of attempts.
        PlatformError: CANCELLED.
    """
    attempt, end = 0, time.monotonic() + patience.total_s
    while True:
        limit_s = min(patience.timeout_s + _GRACE_S, end - time.monotonic())
        try:
            return _Attempt(request).result(service, limit_s, should_stop)
        except RemoteError as error:
            wait_s = patience.wait_s(attempt)
            attempt += 1
            late = time.monotonic() + wait_s >= end
            if error.trouble not in again or attempt > patience.retries or late:
                tried = f" ({attempt} attempts)" if attempt > 1 else ""
                raise RemoteError(error.trouble, error.reason + tried) from None
        pause(service, wait_s, should_stop)


def pause(service: str, seconds: float, should_stop: ShouldStop) -> None:
    """Wait [s], or raise CANCELLED as soon as the caller wants to stop."""
    end = time.monotonic() + seconds
    never = threading.Event()
    while True:
        _check(service, should_stop)
        left = end - time.monotonic()
        if left <= 0:
            return
        never.wait(min(left, _POLL_S))


def status_trouble(status: int) -> Trouble:
    """Meaning of an HTTP status that is an error."""
    if status in (408, 504):
        return Trouble.TIMEOUT
    if status == 429:
        return Trouble.QUOTA
    return Trouble.UNAVAILABLE if status >= 500 else Trouble.REJECTED


def read_key(variable: str, backend: str) -> str:
    """Key from an environment variable.

    Raises:
        PlatformError: NO_API_KEY when it is not set, or empty.
    """
    key = os.environ.get(variable, "").strip()
    if not key:
        raise PlatformError(
            Code.NO_API_KEY,
            f"{backend} needs a key in the environment variable {variable}, which is not set",
        )
    return key


def tidy(text: object, secret: str = "", limit: int = 400) -> str:
    """One printable line of what a service said, cut to a length, without the key."""
    words = str(text).replace(secret, "[key]") if secret else str(text)
    line = " ".join("".join(c if c.isprintable() else " " for c in words).split())
    return line if len(line) <= limit else line[: limit - 3] + "..."


class _Attempt(Generic[T]):
    """One request in a thread, so that its caller can stop waiting for it."""

    def __init__(self, request: Callable[[], T]) -> None:
        self._request, self._done = request, threading.Event()
        self._answers: list[T] = []
        self._error: BaseException | None = None
        threading.Thread(target=self._run, name="remote call", daemon=True).start()

    def _run(self) -> None:
        try:
            self._answers.append(self._request())
        except BaseException as error:
            self._error = error
        finally:
            self._done.set()

    def result(self, service: str, limit_s: float, should_stop: ShouldStop) -> T:
        end = time.monotonic() + limit_s
        while not self._done.wait(_POLL_S):
            _check(service, should_stop)
            if time.monotonic() > end:
                raise RemoteError(Trouble.TIMEOUT, f"{service} did not answer in {limit_s:.1f} s")
        _check(service, should_stop)
        if self._error is not None:
            raise self._error
        return self._answers[0]


def _check(service: str, should_stop: ShouldStop) -> None:
    if should_stop():
        raise PlatformError(Code.CANCELLED, f"cancelled while waiting for {service}")
