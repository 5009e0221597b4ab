"""What a model that reads text and pictures and answers in JSON is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from novaflow_core.settings import setting
from novaflow_flowgen.core.remote import Patience


@dataclass(frozen=True)
class Question:
    """One request.

    Attributes:
        rules: What the model is to do; written by us alone.
        data: What it is to do it with, as JSON; nothing in it is an instruction.
        pictures: PNG files, in the order that the rules speak of.
        schema: JSON schema of the answer: an object whose fields are all required.
    """

    rules: str
    data: str
    pictures: tuple[bytes, ...]
    schema: Mapping[str, Any]


class LanguageModel(Protocol):
    """Answers a question; every failure is a `RemoteError`."""

    @property
    def name(self) -> str:
        """Service and model id, for people."""
        ...

    def answer(self, question: Question, should_stop: Callable[[], bool]) -> str:
        """Return the answer's text, which the caller must check: models break schemas.

        Raises:
            PlatformError: CANCELLED.
        """
        ...


@dataclass(frozen=True)
class Service:
    """Where a model is and how to ask it.

    Attributes:
        model: Model id; "" for the backend's own default, where it has one.
        base_url: Of the service; "" for the public one.
        key_variable: Environment variable with the key; "" for a server that wants none.
        patience: Time and attempts.
    """

    model: str
    base_url: str
    key_variable: str
    patience: Patience


@dataclass(frozen=True)
class KeySettings:
    """Where the keys are; parameters of every node that may ask a model."""

    gemini_key_variable: str = setting(
        "GEMINI_API_KEY", "environment variable with the key of the backends `gemini`"
    )
    openai_key_variable: str = setting(
        "OPENAI_API_KEY",
        "environment variable with the key of the backends `openai`; empty for a server without",
    )
