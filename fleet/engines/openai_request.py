"""What every engine needs done to a request before it is sent. Pure; the request itself is never changed.

Only the top level is copied: a request of an agent is 100 KB, and its messages are passed on as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from fleet.engines.engine import RequestRefused, UpstreamFacts
from fleet.traffic.work import Work

CERTAIN_BYTES_PER_TOKEN = 8
"""No tokenizer that we know packs more bytes of running text into a token on average: a prompt that is too long
by this measure is too long by any. What lies below is for the engine to count."""

NO_NAMES: frozenset[str] = frozenset()
_NEVER_SENT = frozenset({"fleet", "stream", "stream_options"})
_IMAGE_PARTS = frozenset({"image_url", "input_image", "image"})
_MEDIA = _IMAGE_PARTS | {"video_url", "input_video", "video", "audio_url", "audio", "file", "source"}
_ADDRESSES = ("url", "uri", "path", "file_url", "file_data")
_CHAT_BOUNDS = ("max_completion_tokens", "max_tokens")
_COMPLETION_BOUNDS = ("max_tokens",)


def shaped(
    request: Mapping[str, Any],
    upstream: UpstreamFacts,
    *,
    work: Work,
    stream: bool,
    without: Collection[str] = NO_NAMES,
) -> dict[str, Any]:
    """`request` for `upstream`: its model, an explicit bounded max_tokens, a stream with usage or no stream at all.

    Top-level nulls go (they mean "not said", and mlx_lm takes them for a wrong type), and so do `fleet` and the names
    in `without`. Any other field passes untouched. Raises RequestRefused.
    """
    out = {
        name: value
        for name, value in request.items()
        if value is not None and name not in _NEVER_SENT and name not in without
    }
    out["model"] = upstream.model
    _CHECKS[work](out, upstream)
    if stream and work is not Work.EMBEDDINGS:
        out["stream"] = True
        out["stream_options"] = {"include_usage": True}
    return out


def refuse_remote_images(messages: Iterable[Any]) -> None:
    """Raise RequestRefused for what the engine would fetch: on its side of our walls, with its rights.

    An image, and also a film, a sound or a file, by its URL or its path on the node. Servers go by the field's name as
    well as by the part's type.
    """
    for at, message in enumerate(messages):
        if not isinstance(message, dict):
            continue
        content = message.get("content")
        if not isinstance(content, list):
            continue
        for part in content:
            if isinstance(part, dict) and _is_fetched(part):
                raise RequestRefused(
                    "images must be data: URLs; this gateway fetches nothing from elsewhere",
                    param=f"messages[{at}].content",
                    code="invalid_image_url",
                )


def refuse_choices(request: Mapping[str, Any]) -> None:
    """Raise RequestRefused for more than one answer to one request, of a server that gives one without a word."""
    choices = request.get("n")
    if choices is not None and (choices != 1 or isinstance(choices, bool)):
        raise RequestRefused("this model gives one choice per request: 'n' must be 1", param="n")


def _is_fetched(part: Mapping[str, Any]) -> bool:
    """Whether the part names what it shows, and does not hold it."""
    found: list[Any] = []
    for name in _MEDIA.intersection(part):
        value = part[name]
        if isinstance(value, dict):
            found += [value[key] for key in _ADDRESSES if key in value]
        elif name != "source":  # as plain text it is where a quotation comes from
            found.append(value)
    if not found:
        kind = part.get("type")
        return isinstance(kind, str) and kind in _IMAGE_PARTS
    return not all(isinstance(one, str) and one.startswith("data:") for one in found)


def _check_chat(out: dict[str, Any], upstream: UpstreamFacts) -> None:
    messages = out.get("messages")
    if not isinstance(messages, list) or not messages:
        raise RequestRefused("'messages' must be a list with at least one message", param="messages")
    _bound_tokens(out, upstream, _CHAT_BOUNDS)
    if upstream.context_tokens is not None:
        _check_context(sum(map(_message_bytes, messages)), upstream.context_tokens, param="messages")


def _check_completion(out: dict[str, Any], upstream: UpstreamFacts) -> None:
    prompt = out.get("prompt")
    if not isinstance(prompt, str) and not (isinstance(prompt, list) and prompt):
        raise RequestRefused("'prompt' must be text, or a list that is not empty", param="prompt")
    _bound_tokens(out, upstream, _COMPLETION_BOUNDS)
    if upstream.context_tokens is not None:
        longest = len(prompt) if isinstance(prompt, str) else max(map(_text_bytes, prompt))
        _check_context(longest, upstream.context_tokens, param="prompt")


def _check_embedding(out: dict[str, Any], upstream: UpstreamFacts) -> None:
    given = out.get("input")
    if not isinstance(given, str | list) or not given:
        raise RequestRefused("'input' must be text, or a list that is not empty", param="input")
    if upstream.context_tokens is not None:
        longest = len(given) if isinstance(given, str) else max(map(_text_bytes, given))
        _check_context(longest, upstream.context_tokens, param="input")


_CHECKS: Mapping[Work, Callable[[dict[str, Any], UpstreamFacts], None]] = {
    Work.CHAT: _check_chat,
    Work.COMPLETIONS: _check_completion,
    Work.EMBEDDINGS: _check_embedding,
}


def _bound_tokens(out: dict[str, Any], upstream: UpstreamFacts, names: tuple[str, ...]) -> None:
    bounds = [bound for bound in (upstream.context_tokens, upstream.max_max_tokens) if bound is not None]
    said = False
    for name in names:
        if name not in out:
            continue
        said = True
        value = out[name]
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise RequestRefused(f"'{name}' must be a whole number, 1 or more", param=name)
        out[name] = min(value, *bounds) if bounds else value
    if not said:
        out["max_tokens"] = min([upstream.default_max_tokens, *bounds])


def _check_context(text_bytes: int, context_tokens: int, *, param: str) -> None:
    least = text_bytes // CERTAIN_BYTES_PER_TOKEN
    if least > context_tokens:
        raise RequestRefused(
            f"the prompt has at least {least} tokens; this model takes {context_tokens}",
            param=param,
            code="context_length_exceeded",
        )


def _message_bytes(message: Any) -> int:
    """The least that the text of a message can be; characters are never more than bytes."""
    content = message.get("content") if isinstance(message, dict) else None
    if isinstance(content, str):
        return len(content)
    if isinstance(content, list):
        return sum(_text_bytes(part.get("text")) for part in content if isinstance(part, dict))
    return 0


def _text_bytes(text: Any) -> int:
    return len(text) if isinstance(text, str) else 0
