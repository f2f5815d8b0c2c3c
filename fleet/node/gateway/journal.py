"""The gateway's log: one line per event, `key=value`. It never holds a prompt, an answer or a key.

A line is some text in a buffer; the buffer is written at most a quarter of a second later, at once for a warning, and
at the end. A `kill -9` may cost that quarter.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import re
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import msgspec
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from fleet.node.gateway.call import Outcome
from fleet.node.gateway.journal_file import FileOut, Out, StderrOut

FLUSH_SECONDS = 0.25
_MOST_BYTES = 256 * 1024
_MOST_WORDS = 4096
_MOST_PLACES = 8
_NO_HTTP = (HttpProcessingError, web.RequestPayloadError)
_SPEAKERS = ("aiohttp", "asyncio", "fleet.node.gateway")
_QUIET = frozenset(("ok", "cancelled", "refused"))
_ODD = re.compile(r'[\s"=\\]')


class Journal:
    """Writes events. With a file, stderr (launchd's crash tail) gets warnings only. An Accounting that never raises."""

    def __init__(
        self,
        *,
        log_file: str | None = None,
        log_bytes: int = 16 * 1024 * 1024,
        stderr: Out | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._stderr = stderr or StderrOut()
        self._file = None if log_file is None else FileOut(log_file, log_bytes, told=self._stderr.write)
        self._now = now
        self._lines: list[str] = []
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None
        self._second = -1
        self._stamp = ""
        self._words: dict[str, str] = {}
        self._closed = False
        for name in _SPEAKERS:
            speaker = logging.getLogger(name)
            speaker.handlers, speaker.propagate = [_Told(self)], False
            speaker.setLevel(logging.WARNING)
        atexit.register(self.close)

    def event(self, name: str, **fields: object) -> None:
        """Something happened."""
        self._put("INFO", _text(name, fields))

    def warn(self, name: str, **fields: object) -> None:
        """Something a person may want to look at. It is written at once."""
        self._put("WARNING", _text(name, fields))
        self.flush()

    def ended(self, outcome: Outcome) -> None:
        """A request ended."""
        call, word = outcome.call, self._word
        text = (
            f"request id={_quoted(call.request_id)} outcome={outcome.word} status={outcome.status} "
            f"surface={call.dialect.name} lane={call.shape.lane.value} key={word(call.key)} "
            f"route={word(call.route.name)} attempts={len(call.tried)} stream={call.asked.stream} "
            f"seconds={outcome.seconds:.4f}"
        )
        if call.upstream:
            text += f" upstream={word(call.upstream)}"
        if outcome.first_token_seconds is not None:
            text += f" first_token_seconds={outcome.first_token_seconds:.4f}"
        if outcome.usage:
            text += _usage(outcome.usage)
        if outcome.cancel_seconds is not None:
            text += f" cancel_seconds={outcome.cancel_seconds:.4f}"
        if outcome.malformed:
            text += f" malformed={outcome.malformed}"
        if outcome.problem:
            text += f" problem={_quoted(outcome.problem)}"
        quiet = outcome.word in _QUIET
        self._put("INFO" if quiet else "WARNING", text)
        if not quiet:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        lines, self._lines, self._size = self._lines, [], 0
        if lines and self._file is not None:
            self._file.write(lines)
        elif lines:
            self._stderr.write(lines)

    def close(self) -> None:
        """Write what waits, and what comes from now on at once. Twice is once."""
        self.flush()
        self._closed = True
        atexit.unregister(self.close)
        if self._file is not None:
            self._file.close()

    def _put(self, level: str, text: str) -> None:
        now = self._now()
        second = int(now)
        if second != self._second:
            self._second, self._stamp = second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        line = f"{self._stamp}.{int((now - second) * 1000):03d}Z {level} {text}\n"
        if level != "INFO" and self._file is not None:
            self._stderr.write([line])
        self._lines.append(line)
        self._size += len(line)
        if self._timer is None or self._size > _MOST_BYTES:
            self._later()

    def _later(self) -> None:
        """Write soon; at once where there is no loop to wake us, and when much waits."""
        if self._size <= _MOST_BYTES and not self._closed:
            try:
                self._timer = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self.flush)
            except RuntimeError:
                pass
            else:
                return
        self.flush()

    def _word(self, text: str) -> str:
        """A name as a value, remembered: there are few of them."""
        found = self._words.get(text)
        if found is None:
            found = _quoted(text)
            if len(self._words) < _MOST_WORDS:
                self._words[text] = found
        return found


class _Told(logging.Handler):
    """What the web server and the event loop have to say: an exception is one line too.

    Only its type and its place are told, and the first line of what is said of it. The rest may quote the request:
    aiohttp shows the header that it could not read, and that may be the one with the key.
    """

    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self._journal = journal

    def emit(self, record: logging.LogRecord) -> None:
        """See logging."""
        said = record.getMessage().partition("\n")[0]
        error = record.exc_info[1] if record.exc_info else None
        if error is None:
            self._journal.warn("server", said=said)
        elif isinstance(error, _NO_HTTP):  # what arrived is no HTTP: anybody can send that, and often
            self._journal.event("no_http", said=said, error=type(error).__name__)
        else:
            self._journal.warn("server", said=said, error=type(error).__name__, at=_places(error))


def _places(error: BaseException) -> str:
    """Where an exception came from, the last first."""
    frames = traceback.extract_tb(error.__traceback__)[-_MOST_PLACES:]
    return " < ".join(f"{Path(one.filename).name}:{one.lineno} {one.name}" for one in reversed(frames))


def _usage(usage: object) -> str:
    """Counts of tokens; anything else that usage holds is none of the log's business. Total."""
    if not isinstance(usage, dict):
        return ""
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else None
    counts = (
        ("prompt_tokens", usage.get("prompt_tokens")),
        ("completion_tokens", usage.get("completion_tokens")),
        ("cached_tokens", cached),
    )
    return "".join([f" {name}={count}" for name, count in counts if type(count) is int])


def _text(name: str, fields: dict[str, object]) -> str:
    return " ".join([name, *(f"{key}={_quoted(str(value))}" for key, value in fields.items() if value is not None)])


def _quoted(text: str) -> str:
    """A value that stays one value on one line."""
    if text and text.isprintable() and not _ODD.search(text):
        return text
    quoted = msgspec.json.encode(text.encode("utf-8", "replace").decode()).decode()
    return quoted if quoted.isprintable() else "".join(map(_shown, quoted))


def _shown(char: str) -> str:
    """What a terminal would obey, or a reader take for the end of a line, as a sign for it."""
    if char.isprintable():
        return char
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"
