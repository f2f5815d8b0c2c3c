"""What every surface says at the top of a request: the model and whether to stream. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fleet.traffic.openai_error import ApiError, Refused


def refusal(message: str, *, param: str | None = None, code: str = "invalid_request") -> Refused:
    """A 400 that says what is wrong with which field."""
    return Refused(ApiError(status=400, message=message, param=param, code=code))


def model_of(body: Mapping[str, Any]) -> str | None:
    """The model that the client names. Raises Refused."""
    model = body.get("model")
    if model is not None and not isinstance(model, str):
        raise refusal("'model' must be a string", param="model", code="invalid_type")
    return model


def stream_of(body: Mapping[str, Any]) -> bool:
    """Whether the client wants a stream. Raises Refused."""
    stream = body.get("stream")
    if stream is not None and not isinstance(stream, bool):
        raise refusal("'stream' must be true or false", param="stream", code="invalid_type")
    return bool(stream)


def usage_wanted(body: Mapping[str, Any]) -> bool:
    """Whether the client asked for usage in the stream, in OpenAI's way."""
    options = body.get("stream_options")
    return isinstance(options, dict) and options.get("include_usage") is True


def kept(body: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """The fields of `names` that the client set."""
    return {name: body[name] for name in names if body.get(name) is not None}
