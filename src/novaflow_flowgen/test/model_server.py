"""A fake of the services that models are asked at, on loopback: Gemini, OpenAI, Vertex and OAuth.

It speaks the wire format alone; the clients in front of it are the real ones. A test puts replies
into `replies`; each is used once, the last one for ever.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Reply:
    """What the server does with one request.

    Attributes:
        text: Answer of a model, or of a function of what it was asked.
        status: HTTP status; the body is an error unless it is 200.
        blocked: "prompt" or "answer": refused on grounds of safety.
        empty: No choices, or none with words.
        raw: Body to send instead.
        hangs: Do not answer before the server is closed.
        echo_key: Repeat the caller's key in the error, as careless servers do.
        videos: Of a finished generation.
        filtered: Reasons for which videos were withheld.
        failed: Error of a finished generation: gRPC code and words.
        polls: How often a generation is not finished yet.
    """

    text: str | Callable[[str], str] = ""
    status: int = 200
    blocked: str = ""
    empty: bool = False
    raw: bytes | None = None
    hangs: bool = False
    echo_key: bool = False
    videos: tuple[bytes, ...] = ()
    filtered: tuple[str, ...] = ()
    failed: tuple[int, str] | None = None
    polls: int = 0


@dataclass
class Asked:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    body: Any

    @property
    def text(self) -> str:
        """Everything in it."""
        return json.dumps(self.body, ensure_ascii=False)

    def data(self) -> str:
        """The user's words to a language model."""
        if "contents" in self.body:
            parts = self.body["contents"][0]["parts"]
        else:
            parts = self.body["messages"][1]["content"]
        return "".join(part.get("text", "") for part in parts)

    def rules(self) -> str:
        """The system's words to a language model."""
        if "contents" in self.body:
            return "".join(part["text"] for part in self.body["systemInstruction"]["parts"])
        return str(self.body["messages"][0]["content"])

    def pictures(self) -> list[bytes]:
        """PNG files that were sent to a language model."""
        if "contents" in self.body:
            found = [p.get("inlineData") for p in self.body["contents"][0]["parts"]]
            return [base64.b64decode(p["data"], altchars=b"-_") for p in found if p]
        urls = [p.get("image_url") for p in self.body["messages"][1]["content"]]
        return [base64.b64decode(u["url"].split(",", 1)[1]) for u in urls if u]


@dataclass
class ModelServer:
    """The server and what it was asked."""

    replies: list[Reply] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        """Listen on a free port of 127.0.0.1."""
        self._lock = threading.Lock()
        self._operations: dict[str, tuple[Reply, list[int]]] = {}
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,))
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._http.server_port}"

    def close(self) -> None:
        """Let go of hanging requests and end."""
        self.closing.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def serve(self, asked: Asked) -> tuple[int, bytes] | None:
        """Status and body; None where the connection is to be dropped."""
        if asked.path.endswith("/token"):
            return _json({"access_token": "ticket", "expires_in": 3600, "token_type": "Bearer"})
        if asked.path.endswith(":fetchPredictOperation"):
            return self._poll(asked)
        with self._lock:
            self.asked.append(asked)
            reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if reply.hangs:
            self.closing.wait()
            return None
        if reply.status != 200:
            return _failure(reply, asked)
        if reply.raw is not None:
            return 200, reply.raw
        if asked.path.endswith(":predictLongRunning"):
            name = f"projects/p/locations/l/publishers/google/models/m/operations/{len(self.asked)}"
            self._operations[name] = (reply, [reply.polls])
            return _json({"name": name})
        text = reply.text(asked.text) if callable(reply.text) else reply.text
        return _json(_gemini(reply, text) if "contents" in asked.body else _openai(reply, text))

    def _poll(self, asked: Asked) -> tuple[int, bytes]:
        name = asked.body["operationName"]
        reply, left = self._operations[name]
        left[0] -= 1
        if left[0] >= 0:
            return _json({"name": name})
        if reply.failed:
            code, words = reply.failed
            return _json({"name": name, "done": True, "error": {"code": code, "message": words}})
        videos = [
            {"bytesBase64Encoded": base64.b64encode(v).decode(), "mimeType": "video/mp4"}
            for v in reply.videos
        ]
        response: dict[str, Any] = {"videos": videos} if videos else {}
        if reply.filtered:
            response["raiMediaFilteredCount"] = len(reply.filtered)
            response["raiMediaFilteredReasons"] = list(reply.filtered)
        return _json({"name": name, "done": True, "response": response})


def _gemini(reply: Reply, text: str) -> dict[str, Any]:
    if reply.blocked == "prompt":
        return {"promptFeedback": {"blockReason": "SAFETY"}}
    if reply.empty:
        return {"candidates": []}
    finish = "SAFETY" if reply.blocked else "STOP"
    content = {"role": "model", "parts": [] if reply.blocked else [{"text": text}]}
    return {"candidates": [{"content": content, "finishReason": finish}]}


def _openai(reply: Reply, text: str) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if reply.blocked == "prompt":
        message = {"role": "assistant", "content": None, "refusal": "I cannot help with that."}
    finish = "content_filter" if reply.blocked == "answer" else "stop"
    choices = [] if reply.empty else [{"index": 0, "finish_reason": finish, "message": message}]
    return {
        "id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": choices,
    }  # fmt: skip


def _failure(reply: Reply, asked: Asked) -> tuple[int, bytes]:
    names = {429: "RESOURCE_EXHAUSTED", 503: "UNAVAILABLE", 401: "UNAUTHENTICATED"}
    key = asked.headers.get("x-goog-api-key") or asked.headers.get("authorization", "")
    words = f"wrong key: {key}" if reply.echo_key else "not now"
    error = {"code": reply.status, "message": words, "status": names.get(reply.status, "OTHER")}
    return reply.status, json.dumps({"error": error}).encode()


def _json(body: Any) -> tuple[int, bytes]:
    return 200, json.dumps(body).encode()


def _handler(server: ModelServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            is_json = "json" in headers.get("content-type", "")
            asked = Asked(self.path, headers, json.loads(body) if is_json else body.decode())
            answer = server.serve(asked)
            if answer is None:
                self.close_connection = True
                return
            status, content = answer
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    return Handler
