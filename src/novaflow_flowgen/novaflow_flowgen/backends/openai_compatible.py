"""Backends `openai`: any server that speaks OpenAI's chat completions, with structured output."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from novaflow_core.errors import Code, PlatformError
from novaflow_flowgen.backends.client_setup import check_url, missing_library
from novaflow_flowgen.core.critic import Critic
from novaflow_flowgen.core.judging import SelectorSettings
from novaflow_flowgen.core.language_model import Question, Service
from novaflow_flowgen.core.prompting import ModelPrompt, prompt_service
from novaflow_flowgen.core.remote import (
    RemoteError,
    Trouble,
    call,
    read_key,
    status_trouble,
    tidy,
)
from novaflow_flowgen.core.settings import FlowgenSettings
from novaflow_flowgen.core.vlm_judge import VlmJudge, service_of

PUBLIC_URL = "https://api.openai.com/v1"
_NO_KEY = "none"  # the client wants one; servers without keys ignore it
_BLOCKING_CODES = frozenset({"content_filter", "content_policy_violation"})


class OpenAiModel:
    """A `LanguageModel` behind OpenAI's API or a compatible server.

    Raises:
        PlatformError: NO_API_KEY, INVALID_SETTING (a model id is needed), or UNAVAILABLE when
            openai is not installed, naming the command that installs it.
    """

    def __init__(self, service: Service) -> None:
        """Import openai and make its client; nothing is sent."""
        try:
            import openai
        except ImportError as error:
            raise missing_library("openai", error) from error
        check_url(service.base_url, "the base URL of backend 'openai'")
        if not service.model:
            raise PlatformError(
                Code.INVALID_SETTING, "backend 'openai' needs a model id; it has no default"
            )
        variable = service.key_variable
        self._key = read_key(variable, "backend 'openai'") if variable else _NO_KEY
        self._secret = self._key if variable else ""
        self._model, self._patience, self._openai = service.model, service.patience, openai
        self._client = openai.OpenAI(
            api_key=self._key,
            base_url=service.base_url or PUBLIC_URL,
            timeout=service.patience.timeout_s,
            max_retries=0,  # ours can be cancelled
        )

    @property
    def name(self) -> str:
        """Service and model id."""
        return f"openai '{self._model}'"

    def answer(self, question: Question, should_stop: Callable[[], bool]) -> str:
        """Ask; see `LanguageModel`."""
        return call("openai", lambda: self._ask(question), self._patience, should_stop)

    def _ask(self, question: Question) -> str:
        schema = {"name": "answer", "strict": True, "schema": dict(question.schema)}
        form: Any = {"type": "json_schema", "json_schema": schema}
        content = [_picture(png) for png in question.pictures]
        content.append({"type": "text", "text": question.data})
        messages: Any = [
            {"role": "system", "content": question.rules},
            {"role": "user", "content": content},
        ]
        try:
            response = self._client.chat.completions.create(
                model=self._model,
                messages=messages,
                response_format=form,
            )
        except Exception as error:
            raise self._translate(error) from None
        return self._text(response)

    def _text(self, response: Any) -> str:
        choices = getattr(response, "choices", None)
        if not choices:
            raise RemoteError(Trouble.EMPTY, "openai gave no answer")
        message = choices[0].message
        if choices[0].finish_reason == "content_filter":
            raise RemoteError(Trouble.BLOCKED, "openai blocked its answer: content_filter")
        if message is not None and message.refusal:
            said = tidy(message.refusal, self._secret, limit=200)
            raise RemoteError(Trouble.BLOCKED, f"openai refused to answer: {said}")
        text = message.content if message is not None else None
        if not text or not text.strip():
            raise RemoteError(Trouble.EMPTY, "openai gave an empty answer")
        return str(text)

    def _translate(self, error: Exception) -> RemoteError:
        openai = self._openai
        said = tidy(getattr(error, "message", error), self._secret, limit=200)
        if isinstance(error, openai.APITimeoutError):
            return RemoteError(Trouble.TIMEOUT, "openai did not answer in time")
        if isinstance(error, openai.APIConnectionError):
            cause = tidy(error.__cause__ or said, self._secret, limit=200)
            return RemoteError(Trouble.UNAVAILABLE, f"openai cannot be reached: {cause}")
        if isinstance(error, openai.APIStatusError):
            blocked = error.code in _BLOCKING_CODES
            trouble = Trouble.BLOCKED if blocked else status_trouble(error.status_code)
            return RemoteError(trouble, f"openai answered {error.status_code}: {said}")
        if isinstance(error, openai.OpenAIError | ValueError):  # broken JSON, or another shape
            return RemoteError(Trouble.NONSENSE, f"openai sent no readable answer: {said}")
        raise error


def make_openai_judge(settings: SelectorSettings) -> VlmJudge:
    """Entry point of the selection backend `openai`."""
    model = OpenAiModel(service_of(settings, settings.openai_key_variable))
    return VlmJudge(Critic(settings), model, settings.on_vlm_failure)


def make_openai_prompt(settings: FlowgenSettings) -> ModelPrompt:
    """Entry point of the prompt backend `openai`."""
    model = OpenAiModel(prompt_service(settings, settings.openai_key_variable))
    return ModelPrompt(model, settings.prompt_language)


def _picture(png: bytes) -> dict[str, Any]:
    url = "data:image/png;base64," + base64.b64encode(png).decode()
    return {"type": "image_url", "image_url": {"url": url}}
