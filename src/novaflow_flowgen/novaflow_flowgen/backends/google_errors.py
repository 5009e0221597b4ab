"""What goes wrong in google-genai, in our terms."""

from __future__ import annotations

import importlib
from typing import Any

from novaflow_flowgen.core.remote import RemoteError, Trouble, status_trouble, tidy

BLOCKING_FINISHES = frozenset(
    {"SAFETY", "PROHIBITED_CONTENT", "BLOCKLIST", "RECITATION", "SPII", "IMAGE_SAFETY"}
)


class GoogleErrors:
    """Translates exceptions of google-genai and of what it is built on."""

    def __init__(self, service: str, secret: str = "") -> None:
        """Keep the service's name for people, and the key that no message may contain."""
        from google.auth import exceptions as auth
        from google.genai import errors

        self._service, self._secret = service, secret
        self._errors, self._auth = errors, auth
        self._transports = _transports()

    def translate(self, error: Exception) -> RemoteError:
        """Return our error; one that is none of these is a defect and raised as it is."""
        if isinstance(error, RemoteError):
            return error
        if isinstance(error, self._errors.APIError):
            said = self._said(error.message or error.status or "")
            return RemoteError(
                _trouble(int(error.code or 0), str(error.status)),
                f"{self._service} answered {error.code} {said}".rstrip(),
            )
        for transport in self._transports:
            if isinstance(error, transport.TimeoutException):
                return RemoteError(Trouble.TIMEOUT, f"{self._service} did not answer in time")
            if isinstance(error, transport.TransportError):
                told = self._said(error)
                return RemoteError(
                    Trouble.UNAVAILABLE, f"{self._service} cannot be reached: {told}"
                )
        if isinstance(error, self._auth.TransportError):
            told = self._said(error)
            return RemoteError(Trouble.UNAVAILABLE, f"its credentials cannot be renewed: {told}")
        if isinstance(error, self._auth.GoogleAuthError):
            return RemoteError(
                Trouble.REJECTED, f"its credentials were refused: {self._said(error)}"
            )
        if isinstance(error, ValueError):  # broken JSON, or JSON of another shape
            return RemoteError(
                Trouble.NONSENSE, f"{self._service} sent no readable answer: {self._said(error)}"
            )
        raise error

    def _said(self, what: object) -> str:
        return tidy(what, self._secret, limit=200)


def _trouble(status: int, name: str) -> Trouble:
    if name == "RESOURCE_EXHAUSTED":
        return Trouble.QUOTA
    return status_trouble(status)


def _transports() -> tuple[Any, ...]:
    """Return the HTTP libraries that google-genai may use, as far as they are installed."""
    found = []
    for name in ("httpx2", "httpx"):
        try:
            found.append(importlib.import_module(name))
        except ImportError:
            continue
    return tuple(found)
