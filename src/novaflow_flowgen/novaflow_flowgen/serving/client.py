"""Asks a model server, within bounds of time and size; every failure is a code."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from numpy.typing import NDArray

from novaflow_core.errors import Code, PlatformError, TrackingError
from novaflow_core.settings import setting
from novaflow_flowgen.core.protocols import ShouldStop
from novaflow_flowgen.core.remote import (
    Patience,
    RemoteError,
    Trouble,
    call,
    status_trouble,
    tidy,
)
from novaflow_flowgen.serving.contract import (
    ARRAYS_TYPE,
    VERSION,
    VERSION_HEADER,
    Arrays,
    PayloadError,
    pack,
    unpack,
)

_CODES = {
    Trouble.TIMEOUT: Code.MODEL_TIMEOUT,
    Trouble.QUOTA: Code.MODEL_UNAVAILABLE,
    Trouble.UNAVAILABLE: Code.MODEL_UNAVAILABLE,
    Trouble.REJECTED: Code.MODEL_REJECTED,
    Trouble.BLOCKED: Code.MODEL_REJECTED,
    Trouble.EMPTY: Code.MODEL_NONSENSE,
    Trouble.NONSENSE: Code.MODEL_NONSENSE,
}
_READ_BYTES = 1 << 20


@dataclass(frozen=True)
class ModelServerSettings:
    """Of all model servers; see each field's description."""

    model_token_variable: str = setting(
        "NOVAFLOW_MODEL_TOKEN", "environment variable with the servers' token; unset: none is sent"
    )
    model_timeout_s: float = setting(
        300.0, "longest time for one answer", unit="s", low=0.1, high=7200.0
    )
    model_retries: int = setting(
        2, "further attempts after a timeout, an outage or a restart", low=0, high=20
    )
    model_backoff_s: float = setting(
        5.0, "wait before the first of them; it doubles each time", unit="s", low=0.0, high=60.0
    )
    model_limit_mb: int = setting(1024, "largest answer", unit="MB", low=1, high=65536)


class ModelClient:
    """One model behind one server.

    Args:
        url: Of the server, `http://host:port` or `https://host:port`.
        model: Its name there.
        settings: Bounds and token.

    Raises:
        PlatformError: INVALID_SETTING if the address is none.
    """

    def __init__(self, url: str, model: str, settings: ModelServerSettings) -> None:
        """Read the address; nothing is sent."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise PlatformError(
                Code.INVALID_SETTING,
                f"model server '{url}' is no address like http://localhost:8470",
            )
        self._parts, self.model, self._settings = parts, model, settings
        self._token = os.environ.get(settings.model_token_variable, "").strip()
        self._patience = Patience(
            settings.model_timeout_s, settings.model_retries, settings.model_backoff_s
        )

    @property
    def address(self) -> str:
        """What is asked, for people."""
        return f"{self.model} at {self._parts.netloc}"

    def ask(self, arrays: Arrays, should_stop: ShouldStop) -> dict[str, NDArray[Any]]:
        """Return the model's arrays.

        Raises:
            TrackingError: MODEL_TIMEOUT, MODEL_UNAVAILABLE, MODEL_REJECTED,
                MODEL_VERSION_MISMATCH or MODEL_NONSENSE, with the server's own words.
            PlatformError: CANCELLED.
        """
        body = pack(arrays)
        try:
            return call(self.address, lambda: self._post(body), self._patience, should_stop)
        except RemoteError as error:
            raise TrackingError(_CODES[error.trouble], error.reason) from None

    def _post(self, body: bytes) -> dict[str, NDArray[Any]]:
        kind = (
            http.client.HTTPSConnection
            if self._parts.scheme == "https"
            else http.client.HTTPConnection
        )
        host = self._parts.hostname or ""
        connection = kind(host, self._parts.port, timeout=self._settings.model_timeout_s)
        headers = {"Content-Type": ARRAYS_TYPE, VERSION_HEADER: str(VERSION)}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        path = f"{self._parts.path.rstrip('/')}/models/{self.model}"
        try:
            # A server that refuses what it is being sent may hang up; its reason is still read.
            with contextlib.suppress(BrokenPipeError):
                connection.request("POST", path, body, headers)
            return self._answer(connection.getresponse())
        except TimeoutError:
            raise RemoteError(
                Trouble.TIMEOUT,
                f"{self.address} did not answer in {self._settings.model_timeout_s:.1f} s",
            ) from None
        except (OSError, http.client.HTTPException) as error:
            words = tidy(f"{type(error).__name__}: {error}", self._token)
            raise RemoteError(
                Trouble.UNAVAILABLE, f"{self.address} cannot be reached: {words}"
            ) from None
        finally:
            connection.close()

    def _answer(self, response: http.client.HTTPResponse) -> dict[str, NDArray[Any]]:
        limit = self._settings.model_limit_mb << 20
        body = bytearray()
        while part := response.read(_READ_BYTES):
            body += part
            if len(body) > limit:
                raise RemoteError(
                    Trouble.NONSENSE,
                    f"{self.address} answers with more than {self._settings.model_limit_mb} MB",
                )
        spoken = response.headers.get(VERSION_HEADER, "")
        if spoken != str(VERSION):
            raise TrackingError(
                Code.MODEL_VERSION_MISMATCH,
                f"{self.address} speaks contract '{tidy(spoken, limit=20)}', NovaFlow {VERSION}; "
                "update the older of the two",
            )
        if response.status != 200:
            raise RemoteError(
                status_trouble(response.status),
                f"{self.address} says {response.status}: {self._words(bytes(body))}",
            )
        try:
            return unpack(bytes(body), limit)
        except PayloadError as error:
            raise RemoteError(Trouble.NONSENSE, f"{self.address}: {error}") from None

    def _words(self, body: bytes) -> str:
        text = body[:4000].decode("utf-8", "replace")
        # Told as it is where it is not in the contract's form.
        with contextlib.suppress(ValueError, KeyError, TypeError):
            text = str(json.loads(text)["reason"])
        return tidy(text, self._token)
