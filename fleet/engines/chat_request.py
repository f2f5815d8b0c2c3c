"""What every engine needs done to a chat request before it is sent. Pure; the request itself is never changed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from fleet.engines.engine import RequestRefused, UpstreamFacts

CERTAIN_BYTES_PER_TOKEN = 8
"""No tokenizer that we know packs more bytes of running text into a token on average: a prompt that is too long
by this measure is too long by any. What lies below is for the engine to count."""

_IMAGE_PARTS = ("image_url", "input_image", "image")


def streamed(request: Mapping[str, Any], upstream: UpstreamFacts, *, without: Collection[str] = ()) -> dict[str, Any]:
    """`request` for `upstream`: its model, always streamed with usage, an explicit bounded max_tokens.

    Top-level nulls go (they mean "not said", and mlx_lm takes them for a wrong type), and so do `fleet` and the names
    in `without`. Any other field passes untouched. Raises RequestRefused.
    """
    messages = request.get("messages")
    if not isinstance(messages, list) or not messages:
        raise RequestRefused("'messages' must be a list with at least one message", param="messages")
    out = {
        name: value for name, value in request.items() if value is not None and name != "fleet" and name not in without
    }
    out["model"] = upstream.model
    out["stream"] = True
    out["stream_options"] = {"include_usage": True}
    _bound_tokens(out, upstream)
    _check_context(messages, upstream)
    return out


def refuse_remote_images(messages: list[Any]) -> None:
    """Raise RequestRefused for an image that the engine would fetch: on its side of our walls, with its rights."""
    for at, message in enumerate(messages):
        content = message.get("content") if isinstance(message, Mapping) else None
        for part in content if isinstance(content, list) else ():
            if not isinstance(part, Mapping) or part.get("type") not in _IMAGE_PARTS:
                continue
            image = part.get("image_url", part.get("image"))
            url = image.get("url") if isinstance(image, Mapping) else image
            if not isinstance(url, str) or not url.startswith("data:"):
                raise RequestRefused(
                    "images must be data: URLs; this gateway fetches nothing from elsewhere",
                    param=f"messages[{at}].content",
                    code="invalid_image_url",
                )


def _bound_tokens(out: dict[str, Any], upstream: UpstreamFacts) -> None:
    bounds = [bound for bound in (upstream.context_tokens, upstream.max_max_tokens) if bound is not None]
    said = False
    for name in ("max_completion_tokens", "max_tokens"):
        if name not in out:
            continue
        said = True
        value = out[name]
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise RequestRefused(f"'{name}' must be a whole number, 1 or more", param=name)
        out[name] = min([value, *bounds])
    if not said:
        out["max_tokens"] = min([upstream.default_max_tokens, *bounds])


def _check_context(messages: list[Any], upstream: UpstreamFacts) -> None:
    if upstream.context_tokens is None:
        return
    least = sum(_text_bytes(message) for message in messages) // CERTAIN_BYTES_PER_TOKEN
    if least > upstream.context_tokens:
        raise RequestRefused(
            f"the prompt has at least {least} tokens; this model takes {upstream.context_tokens}",
            param="messages",
            code="context_length_exceeded",
        )


def _text_bytes(message: Any) -> int:
    content = message.get("content") if isinstance(message, Mapping) else None
    if isinstance(content, str):
        return len(content)
    if isinstance(content, list):
        texts = (part.get("text") for part in content if isinstance(part, Mapping))
        return sum(len(text) for text in texts if isinstance(text, str))
    return 0
