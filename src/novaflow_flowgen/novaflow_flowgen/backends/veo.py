"""Video backend `veo`: Google's video models on Vertex, through google-genai.

Each candidate is one long-running operation. Cancelling stops the wait; the service finishes, and
bills, what it has begun.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from novaflow_core.errors import Code, PlatformError, VideoError
from novaflow_core.video import Video
from novaflow_flowgen.backends.client_setup import check_url, missing_library
from novaflow_flowgen.backends.google_errors import GoogleErrors
from novaflow_flowgen.core.flow_image import encode_png
from novaflow_flowgen.core.letterbox import Letterbox, letterbox
from novaflow_flowgen.core.protocols import OnProgress, ShouldStop, Spoil, VideoRequest
from novaflow_flowgen.core.remote import Patience, RemoteError, Trouble, call, pause, tidy
from novaflow_flowgen.core.seeds import seed_of
from novaflow_flowgen.core.settings import FlowgenSettings
from novaflow_flowgen.core.video_file import read_video

SECONDS, FPS = 8, 24  # of every generated video
_WIDE, _TALL = 16 / 9, 9 / 16
_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
_CODES = {
    Trouble.TIMEOUT: Code.VIDEO_SERVICE_TIMEOUT,
    Trouble.QUOTA: Code.VIDEO_SERVICE_QUOTA,
    Trouble.UNAVAILABLE: Code.VIDEO_SERVICE_UNAVAILABLE,
    Trouble.REJECTED: Code.VIDEO_SERVICE_REJECTED,
    Trouble.BLOCKED: Code.VIDEO_BLOCKED,
    Trouble.EMPTY: Code.VIDEO_EMPTY,
    Trouble.NONSENSE: Code.VIDEO_UNREADABLE,
}
# An operation's own error carries a gRPC code.
_GRPC = {4: Trouble.TIMEOUT, 8: Trouble.QUOTA, 13: Trouble.UNAVAILABLE, 14: Trouble.UNAVAILABLE}
# A lost answer to a submission may have begun, and may cost, a video: it is not sent again.
_SUBMIT_AGAIN = frozenset({Trouble.QUOTA, Trouble.UNAVAILABLE})
_SAFETY_WORDS = ("safety", "usage guidelines", "responsible ai", "policy", "policies")


class Veo:
    """Generates videos on Vertex from the view, the prompt and, if there is one, the goal image.

    Raises:
        PlatformError: NO_API_KEY without credentials, INVALID_SETTING, or UNAVAILABLE when
            google-genai is not installed, naming the command that installs it.
    """

    reads_prompt = True

    def __init__(self, settings: FlowgenSettings) -> None:
        """Import google-genai, read the credentials and make the client; nothing is sent."""
        try:
            from google import genai
            from google.genai import types
        except ImportError as error:
            raise missing_library("veo", error) from error
        check_url(settings.veo_base_url, "veo_base_url")
        credentials, own_project = _credentials(settings.veo_credentials_variable)
        project = settings.veo_project or own_project
        if not project:
            raise PlatformError(
                Code.INVALID_SETTING, "veo_project is empty, and the credentials name no project"
            )
        self._settings, self._types = settings, types
        self._patience = Patience(
            settings.veo_request_timeout_s, settings.veo_retries, settings.veo_backoff_s
        )
        self._errors = GoogleErrors("veo")
        self._client = genai.Client(
            vertexai=True,
            project=project,
            location=settings.veo_location,
            credentials=credentials,
            http_options=types.HttpOptions(
                base_url=settings.veo_base_url or None,
                timeout=max(1, round(1000 * settings.veo_request_timeout_s)),  # [ms]
            ),
        )

    def generate(
        self, request: VideoRequest, on_progress: OnProgress, should_stop: ShouldStop
    ) -> Video:
        """Generate one candidate's video; see `VideoGenerator`."""
        model = request.scene.main.model
        aspect = _WIDE if model.width >= model.height else _TALL
        box = letterbox(model.width, model.height, aspect)
        try:
            operation = call(
                "veo", lambda: self._submit(request, box), self._patience, should_stop,
                _SUBMIT_AGAIN,
            )  # fmt: skip
            operation = self._wait(operation, on_progress, should_stop)
            content = _content(operation)
        except RemoteError as error:
            raise VideoError(_CODES[error.trouble], error.reason) from None
        video = _read(content, box, request.steps)
        on_progress(1.0)
        return video

    def spoils(self, request: VideoRequest) -> tuple[Spoil, ...]:
        """None: it hallucinates without being told."""
        return ()

    def _submit(self, request: VideoRequest, box: Letterbox) -> Any:
        types, goal = self._types, request.goal_image
        config = types.GenerateVideosConfig(
            number_of_videos=1,
            duration_seconds=SECONDS,
            fps=FPS,
            seed=seed_of(request.seed, request.candidate),
            aspect_ratio="16:9" if box.whole.width >= box.whole.height else "9:16",
            resolution=self._settings.veo_resolution,
            generate_audio=False,
            last_frame=None if goal is None else self._image(box.place(goal)),
        )
        source = types.GenerateVideosSource(
            prompt=request.prompt or request.grounding.task.instruction,
            image=self._image(box.place(request.scene.main.color)),
        )
        return self._ask(
            lambda: self._client.models.generate_videos(
                model=self._settings.veo_model, source=source, config=config
            )
        )

    def _wait(self, operation: Any, on_progress: OnProgress, should_stop: ShouldStop) -> Any:
        """Poll until the operation is done; nobody knows how far it is, so progress is by time."""
        limit_s, every_s = self._settings.veo_timeout_s, self._settings.veo_poll_s
        began = time.monotonic()
        while not operation.done:
            waited = time.monotonic() - began
            if waited > limit_s:
                raise RemoteError(Trouble.TIMEOUT, f"veo made no video in {limit_s:.0f} s")
            on_progress(0.95 * waited / limit_s)
            pause("veo", every_s, should_stop)
            operation = call("veo", partial(self._poll, operation), self._patience, should_stop)
        return operation

    def _poll(self, operation: Any) -> Any:
        return self._ask(lambda: self._client.operations.get(operation))

    def _ask(self, request: Callable[[], Any]) -> Any:
        try:
            return request()
        except Exception as error:
            raise self._errors.translate(error) from None

    def _image(self, image: NDArray[np.uint8]) -> Any:
        return self._types.Image(image_bytes=encode_png(image), mime_type="image/png")


def make_veo(settings: FlowgenSettings) -> Veo:
    """Entry point of the `veo` backend."""
    return Veo(settings)


def _credentials(variable: str) -> tuple[Any, str]:
    """Credentials in the file that an environment variable names, and their project.

    Machine identities that a cloud would offer are not looked for: that would be a request to a
    network, and a choice that nobody made.
    """
    from google.auth.exceptions import GoogleAuthError
    from google.oauth2 import credentials as user
    from google.oauth2 import service_account

    path = os.environ.get(variable, "").strip()
    if not path:
        raise PlatformError(
            Code.NO_API_KEY,
            f"backend 'veo' needs a file with Google Cloud credentials; the environment variable "
            f"{variable}, which is to name it, is not set",
        )
    try:
        held = json.loads(Path(path).read_text())
        kind, scopes = held["type"], list(_SCOPES)
        if kind == "service_account":
            account = service_account.Credentials.from_service_account_info(  # type: ignore[no-untyped-call]
                held, scopes=scopes
            )
            return account, str(held.get("project_id", ""))
        if kind == "authorized_user":
            person = user.Credentials.from_authorized_user_info(  # type: ignore[no-untyped-call]
                held, scopes=scopes
            )
            return person, str(held.get("quota_project_id", ""))
        wrong = "it is neither a service account nor an authorized user"
    except (GoogleAuthError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        wrong = type(error).__name__  # its words may hold parts of the file
    raise PlatformError(
        Code.NO_API_KEY, f"the file that {variable} names holds no usable credentials ({wrong})"
    )


def _content(operation: Any) -> bytes:
    """Return the bytes of a finished operation's video."""
    if operation.error:
        number, words = operation.error.get("code", 0), str(operation.error.get("message", ""))
        blocked = any(word in words.lower() for word in _SAFETY_WORDS)
        trouble = Trouble.BLOCKED if blocked else _GRPC.get(number, Trouble.REJECTED)
        raise RemoteError(trouble, f"veo failed with {number}: {tidy(words, limit=200)}")
    response = operation.response or operation.result
    made = response.generated_videos if response is not None else None
    content = made[0].video.video_bytes if made and made[0].video is not None else None
    if content:
        return bytes(content)
    if response is not None and response.rai_media_filtered_count:
        said = "; ".join(response.rai_media_filtered_reasons or ()) or "no reason was given"
        raise RemoteError(Trouble.BLOCKED, f"veo withheld its video: {tidy(said, limit=200)}")
    raise RemoteError(Trouble.EMPTY, "veo finished without a video")


def _read(content: bytes, box: Letterbox, steps: int) -> Video:
    """Decode, resample to T frames and cut out the view."""
    with tempfile.TemporaryDirectory(prefix="veo_") as folder:
        path = Path(folder) / "veo.mp4"
        path.write_bytes(content)
        whole = read_video(path, box.whole, steps)
    return Video(box.cut(whole.frames), whole.fps)
