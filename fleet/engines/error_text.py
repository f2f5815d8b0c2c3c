"""Reading an upstream's error body: total, bounded, fit to be shown. Standard library only."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

CONTEXT_LENGTH_EXCEEDED = "context_length_exceeded"

_LONGEST = 500
_TOO_LONG = ("maximum context length", "context_length_exceeded", "prompt is too long", "exceeds the context")
_PATH = re.compile(r"(?<![\w.:/<])~?/(?:[\w.@+~-]+/)+[\w.@+~-]*")
_KEY = re.compile(r"\b(?:sk|key|hf|Bearer)[-_ ][A-Za-z0-9_\-.*]{6,}")


@dataclass(frozen=True, kw_only=True)
class ErrorText:
    """What the body says: a message without paths and keys, and OpenAI's `param` and `code` where it has them."""

    message: str
    param: str | None = None
    code: str | None = None


def read_error(body: bytes) -> ErrorText:
    """`{"error": "text"}`, `{"error": {"message": ...}}`, `{"message": ...}` or plain text, all understood."""
    error = error_object(body)
    if isinstance(error, str):
        return ErrorText(message=shown("" if error.startswith("<") else error))
    message = error.get("message", error.get("detail", ""))
    param, code = error.get("param"), error.get("code")
    return ErrorText(
        message=shown(message if isinstance(message, str) else ""),
        param=param if isinstance(param, str) else None,
        code=code if isinstance(code, str) else str(code) if isinstance(code, int) else None,
    )


def error_object(body: bytes) -> Mapping[str, Any] | str:
    """What `body` calls its error: an object, or text. Also `choices[0].error`, of an answer that failed midway."""
    text = body[:65536].decode("utf-8", errors="replace").strip()
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if not isinstance(data, Mapping):
        return data if isinstance(data, str) else {}
    error = data.get("error")
    if error is None and isinstance(choices := data.get("choices"), list) and choices:
        error = choices[0].get("error") if isinstance(choices[0], Mapping) else None
    if error is None:
        return {} if "error" in data else data
    return error if isinstance(error, Mapping | str) else {}


def client_code(said: ErrorText) -> str | None:
    """`code` for a client. Clients shorten their history when they read context_length_exceeded: it is told by the
    text where a server has no code for it.
    """
    low = said.message.lower()
    if any(sign in low for sign in _TOO_LONG):
        return CONTEXT_LENGTH_EXCEEDED
    return said.code


def shown(text: str) -> str:
    """`text` for a client: one line, without absolute paths and keys, not too long."""
    line = " ".join(_KEY.sub("[key]", _PATH.sub("[path]", text)).split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"
