r"""Reference server of the contract: any function from arrays to arrays becomes a model server.

    python -m novaflow_flowgen.serving.server --model megasam=my_package.my_module:infer
    python -m novaflow_flowgen.serving.server --option moge.device=cuda:1 \
        --model moge=novaflow_flowgen.serving.models.moge:make_moge

A function whose name begins with `make_` is a factory: it is called once, before anyone is served,
with the model's options as keywords, and returns the model. Any other function is the model.

It needs NumPy and the standard library alone, so that it runs in a model's own environment
(Python 3.10 and later), with this package's source folder on PYTHONPATH. A model is asked by one
caller at a time; who hung up before his turn is passed over. Without a token in
NOVAFLOW_MODEL_TOKEN it listens on loopback only.
"""

from __future__ import annotations

import argparse
import hmac
import importlib
import ipaddress
import json
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from numpy.typing import NDArray

from novaflow_flowgen.serving import caller
from novaflow_flowgen.serving.contract import (
    ARRAYS_TYPE,
    DEFAULT_LIMIT_BYTES,
    VERSION,
    VERSION_HEADER,
    PayloadError,
    pack,
    unpack,
)
from novaflow_flowgen.serving.errors import CallerLeftError, InputError, SetupError
from novaflow_flowgen.serving.options import fit_options, read_option

Model = Callable[[dict[str, NDArray[Any]]], Mapping[str, NDArray[Any]]]
TOKEN_VARIABLE = "NOVAFLOW_MODEL_TOKEN"
DEFAULT_PORT = 8470
FACTORY_PREFIX = "make_"
_DRAIN_BYTES = 1 << 20


class ModelServer(ThreadingHTTPServer):
    """Serves models by name.

    Args:
        models: Functions from named arrays to named arrays.
        host: To listen on.
        port: 0 for any free one.
        token: That callers must send; "" for none, on loopback only.
        limit_bytes: Largest request, on the wire and unpacked.

    Raises:
        ValueError: Without a token on anything but loopback.
    """

    daemon_threads = True

    def __init__(
        self,
        models: Mapping[str, Model],
        host: str = "127.0.0.1",
        port: int = DEFAULT_PORT,
        token: str = "",
        limit_bytes: int = DEFAULT_LIMIT_BYTES,
    ) -> None:
        """Bind; `serve_forever` serves."""
        if not token and not _is_loopback(host):
            raise ValueError(f"listening on {host} needs a token in {TOKEN_VARIABLE}")
        self.models = dict(models)
        self.turns = {name: threading.Lock() for name in models}
        self.token, self.limit_bytes = token, limit_bytes
        super().__init__((host, port), _Handler)

    @property
    def url(self) -> str:
        """Where it listens."""
        host, port = self.server_address[:2]
        return f"http://{host!s}:{port}"


class _Handler(BaseHTTPRequestHandler):
    server: ModelServer
    protocol_version = "HTTP/1.1"
    _has_read = False

    def do_GET(self) -> None:
        if self.path != "/health":
            self._refuse(404, "NOT_FOUND", "there is /health, and /models/<name> to post to")
            return
        known = {"contract": VERSION, "models": sorted(self.server.models)}
        self._send(200, "application/json", json.dumps(known).encode())

    def do_POST(self) -> None:
        self._has_read = False
        name = self.path.removeprefix("/models/")
        length = int(self.headers.get("Content-Length") or -1)
        if not self._is_known_caller():
            self._refuse(401, "TOKEN", "the token is missing or wrong")
        elif self.headers.get(VERSION_HEADER) != str(VERSION):
            spoken = self.headers.get(VERSION_HEADER)
            self._refuse(400, "VERSION", f"contract {VERSION} is spoken here, not {spoken}")
        elif name not in self.server.models:
            here = ", ".join(sorted(self.server.models))
            self._refuse(404, "UNKNOWN_MODEL", f"no model '{name}'; here are: {here}")
        elif length < 0:
            self._refuse(411, "LENGTH", "the request does not tell its length")
        elif length > self.server.limit_bytes:
            limit = self.server.limit_bytes
            self._refuse(413, "TOO_LARGE", f"{length} bytes; {limit} are allowed")
        else:
            self._run(name, self.rfile.read(length))

    def _run(self, name: str, body: bytes) -> None:
        self._has_read = True
        try:
            arrays = unpack(body, self.server.limit_bytes)
            with self.server.turns[name], caller.watched(self._has_caller_left):
                if self._has_caller_left():
                    raise CallerLeftError
                answer = self.server.models[name](arrays)
            packed = pack(answer)
        except CallerLeftError:
            self.log_message("%s: the caller left before the answer", name)
            self.close_connection = True
        except (PayloadError, InputError) as error:
            self._refuse(422, "INPUT", str(error))
        except Exception as error:
            # A model is foreign code; its caller must learn that it failed, and so must the log.
            traceback.print_exc()
            self._refuse(500, "MODEL_FAILED", f"{type(error).__name__}: {error}")
        else:
            self._send(200, ARRAYS_TYPE, packed)

    def _has_caller_left(self) -> bool:
        try:
            # Nothing to read is a caller who waits; the end of the stream is one who left.
            return not self.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def _is_known_caller(self) -> bool:
        sent = self.headers.get("Authorization", "")
        return not self.server.token or hmac.compare_digest(sent, f"Bearer {self.server.token}")

    def _refuse(self, status: int, code: str, reason: str) -> None:
        # A caller that is still sending would not read the answer; its size is bounded.
        left = min(int(self.headers.get("Content-Length") or 0), self.server.limit_bytes)
        while (
            not self._has_read and left > 0 and (part := self.rfile.read(min(left, _DRAIN_BYTES)))
        ):
            left -= len(part)
        self.close_connection = True
        body = json.dumps({"code": code, "reason": reason}).encode()
        self._send(status, "application/json", body)

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header(VERSION_HEADER, str(VERSION))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        print(f"{self.address_string()} {format % args}", file=sys.stderr)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def load_model(words: str, options: Mapping[str, str] | None = None) -> tuple[str, Model]:
    """Read `name=module:function`, and call the function if it is a factory.

    Args:
        words: What to serve, and as what.
        options: For the factory, by name.

    Raises:
        ValueError: If it is not of that form, or the options are not the factory's.
        ImportError: If there is no such module.
        AttributeError: If the module has no such function.
        SetupError: If the factory's model cannot run here.
    """
    name, _, target = words.partition("=")
    module, _, function = target.partition(":")
    if not (name and module and function):
        raise ValueError(f"'{words}' is not of the form name=module:function")
    found = getattr(importlib.import_module(module), function)
    if function.startswith(FACTORY_PREFIX):
        return name, found(**fit_options(name, found, options or {}))
    if options:
        raise ValueError(f"'{name}' takes no options: {function} is no factory ({FACTORY_PREFIX}…)")
    return name, found


def load_models(models: Sequence[str], options: Sequence[str]) -> dict[str, Model]:
    """Load all models, each with its own options; see `load_model` and `read_option`."""
    given: dict[str, dict[str, str]] = {}
    for words in options:
        model, name, value = read_option(words)
        given.setdefault(model, {})[name] = value
    strangers = set(given) - {words.partition("=")[0] for words in models}
    if strangers:
        raise ValueError(f"options for what is not served: {', '.join(sorted(strangers))}")
    return dict(load_model(words, given.get(words.partition("=")[0])) for words in models)


def main(arguments: list[str] | None = None) -> int:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description="Serve models to NovaFlow.")
    parser.add_argument(
        "--model", action="append", required=True, metavar="NAME=MODULE:FUNCTION",
        help="a function from a dict of arrays to a dict of arrays, or its factory (make_...); "
        "may be given several times",
    )  # fmt: skip
    parser.add_argument(
        "--option", action="append", default=[], metavar="MODEL.NAME=VALUE",
        help="keyword argument of a model's factory; may be given several times",
    )  # fmt: skip
    parser.add_argument("--host", default="127.0.0.1", help="default: loopback")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help=f"default: {DEFAULT_PORT}")
    chosen = parser.parse_args(arguments)
    sys.path.insert(0, os.getcwd())
    try:
        models = load_models(chosen.model, chosen.option)
        token = os.environ.get(TOKEN_VARIABLE, "").strip()
        server = ModelServer(models, chosen.host, chosen.port, token)
    except (ValueError, ImportError, AttributeError, OSError, SetupError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    # So that what a model started and wrote is cleared away at the end of the process.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    print(f"serving {', '.join(sorted(models))} at {server.url}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        return 0
    finally:
        server.server_close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
