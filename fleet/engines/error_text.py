"""Reading an upstream's error body: total, bounded, fit to be shown. Standard library only."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

_LONGEST = 500
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
    text = body[:65536].decode("utf-8", errors="replace").strip()
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return ErrorText(message=shown("" if text.startswith("<") else text))
    error = data.get("error", data) if isinstance(data, Mapping) else data
    if isinstance(error, str):
        return ErrorText(message=shown(error))
    if not isinstance(error, Mapping):
        return ErrorText(message="")
    message = error.get("message", error.get("detail", ""))
    param, code = error.get("param"), error.get("code")
    return ErrorText(
        message=shown(message if isinstance(message, str) else ""),
        param=param if isinstance(param, str) else None,
        code=code if isinstance(code, str) else str(code) if isinstance(code, int) else None,
    )


def shown(text: str) -> str:
    """`text` for a client: one line, without absolute paths and keys, not too long."""
    line = " ".join(_KEY.sub("[key]", _PATH.sub("[path]", text)).split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"
