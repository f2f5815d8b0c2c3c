"""The gateway's log: one line per event, `key=value`. It never holds a prompt, an answer or a key."""

from __future__ import annotations

import logging
import sys
import time
from logging.handlers import RotatingFileHandler
from pathlib import Path

import msgspec

from fleet.errors import ConfigError
from fleet.node.gateway.call import Outcome

_NAME = "fleet.gateway"


class _Line(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s.%(msecs)03dZ %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 (logging's name)
        return time.strftime(datefmt or "", time.gmtime(record.created))

    def format(self, record: logging.LogRecord) -> str:
        return super().format(record).replace("\n", "\\n")


class Journal:
    """Writes events. With a file, stderr (launchd's crash tail) gets warnings only."""

    def __init__(self, *, log_file: str | None = None, log_bytes: int = 16 * 1024 * 1024) -> None:
        self._log = logging.getLogger(_NAME)
        self._log.setLevel(logging.INFO)
        self._log.propagate = False
        stderr = logging.StreamHandler(sys.stderr)
        stderr.setLevel(logging.INFO if log_file is None else logging.WARNING)
        handlers: list[logging.Handler] = [stderr]
        if log_file is not None:
            handlers.append(_file(log_file, log_bytes))
        for handler in handlers:
            handler.setFormatter(_Line())
        self._log.handlers = handlers
        server = logging.getLogger("aiohttp")
        server.handlers, server.propagate = handlers, False
        server.setLevel(logging.WARNING)

    def event(self, name: str, **fields: object) -> None:
        """Something happened."""
        self._log.info(_text(name, fields))

    def warn(self, name: str, **fields: object) -> None:
        """Something a person may want to look at."""
        self._log.warning(_text(name, fields))

    def ended(self, outcome: Outcome) -> None:
        """A request ended."""
        call, usage = outcome.call, outcome.usage or {}
        write = self.event if outcome.word in ("ok", "cancelled", "refused") else self.warn
        first = outcome.first_token_seconds
        write(
            "request",
            id=call.request_id,
            outcome=outcome.word,
            status=outcome.status,
            key=call.key,
            route=call.route.name,
            upstream=call.upstream or None,
            tried=len(call.tried),
            stream=call.stream,
            seconds=round(outcome.seconds, 4),
            first_token_seconds=None if first is None else round(first, 4),
            prompt_tokens=usage.get("prompt_tokens"),
            completion_tokens=usage.get("completion_tokens"),
            malformed=outcome.malformed or None,
            problem=outcome.problem or None,
        )


def _file(path: str, size: int) -> logging.Handler:
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        return RotatingFileHandler(path, maxBytes=max(size // 2, 1), backupCount=1)
    except OSError as error:
        raise ConfigError(f"cannot write the log {path}: {error.strerror or error}") from error


def _text(name: str, fields: dict[str, object]) -> str:
    return " ".join([name, *(f"{key}={_word(value)}" for key, value in fields.items() if value is not None)])


def _word(value: object) -> str:
    text = str(value)
    plain = text and all(char.isprintable() and char not in ' "=\\' for char in text)
    return text if plain else msgspec.json.encode(text).decode()
