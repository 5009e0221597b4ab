"""Backends `gemini`: Google's language models through google-genai, with structured output."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from novaflow_flowgen.backends.client_setup import check_url, missing_library
from novaflow_flowgen.backends.google_errors import BLOCKING_FINISHES, GoogleErrors
from novaflow_flowgen.core.critic import Critic
from novaflow_flowgen.core.judging import SelectorSettings
from novaflow_flowgen.core.language_model import Question, Service
from novaflow_flowgen.core.prompting import ModelPrompt, prompt_service
from novaflow_flowgen.core.remote import RemoteError, Trouble, call, read_key, tidy
from novaflow_flowgen.core.settings import FlowgenSettings
from novaflow_flowgen.core.vlm_judge import VlmJudge, service_of

DEFAULT_MODEL = "gemini-3.1-pro-preview"


class GeminiModel:
    """A `LanguageModel` of the Gemini API.

    Raises:
        PlatformError: NO_API_KEY, INVALID_SETTING, or UNAVAILABLE when google-genai is not
            installed, naming the command that installs it.
    """

    def __init__(self, service: Service) -> None:
        """Import google-genai and make its client; nothing is sent."""
        try:
            from google import genai
            from google.genai import types
        except ImportError as error:
            raise missing_library("gemini", error) from error
        check_url(service.base_url, "the base URL of backend 'gemini'")
        self._key = read_key(service.key_variable, "backend 'gemini'")
        self._model = service.model or DEFAULT_MODEL
        self._patience, self._types = service.patience, types
        self._errors = GoogleErrors("gemini", self._key)
        self._client = genai.Client(
            vertexai=False,
            api_key=self._key,
            http_options=types.HttpOptions(
                base_url=service.base_url or None,
                timeout=max(1, round(1000 * service.patience.timeout_s)),  # [ms]
            ),
        )

    @property
    def name(self) -> str:
        """Service and model id."""
        return f"gemini '{self._model}'"

    def answer(self, question: Question, should_stop: Callable[[], bool]) -> str:
        """Ask; see `LanguageModel`."""
        return call("gemini", lambda: self._ask(question), self._patience, should_stop)

    def _ask(self, question: Question) -> str:
        part = self._types.Part
        pictures = [part.from_bytes(data=p, mime_type="image/png") for p in question.pictures]
        try:
            response = self._client.models.generate_content(
                model=self._model,
                contents=[*pictures, part.from_text(text=question.data)],
                config=self._types.GenerateContentConfig(
                    system_instruction=question.rules,
                    response_mime_type="application/json",
                    response_json_schema=dict(question.schema),
                ),
            )
        except Exception as error:
            raise self._errors.translate(error) from None
        return self._text(response)

    def _text(self, response: Any) -> str:
        feedback = response.prompt_feedback
        if feedback is not None and feedback.block_reason:
            said = tidy(feedback.block_reason_message or feedback.block_reason.name, self._key)
            raise RemoteError(Trouble.BLOCKED, f"gemini blocked the question: {said}")
        if not response.candidates:
            raise RemoteError(Trouble.EMPTY, "gemini gave no answer")
        finish = response.candidates[0].finish_reason
        if finish is not None and finish.name in BLOCKING_FINISHES:
            raise RemoteError(Trouble.BLOCKED, f"gemini blocked its answer: {finish.name}")
        content = response.candidates[0].content
        parts = content.parts if content is not None else None
        text = "".join(p.text for p in parts or () if p.text and not p.thought)
        if not text.strip():
            raise RemoteError(Trouble.EMPTY, "gemini gave an empty answer")
        return text


def make_gemini_judge(settings: SelectorSettings) -> VlmJudge:
    """Entry point of the selection backend `gemini`."""
    model = GeminiModel(service_of(settings, settings.gemini_key_variable))
    return VlmJudge(Critic(settings), model, settings.on_vlm_failure)


def make_gemini_prompt(settings: FlowgenSettings) -> ModelPrompt:
    """Entry point of the prompt backend `gemini`."""
    model = GeminiModel(prompt_service(settings, settings.gemini_key_variable))
    return ModelPrompt(model, settings.prompt_language)
