"""What `tail` prints on a node, as lines: whose, of which service, when. Pure.

Services stamp their lines in ways of their own: ISO in UTC, Python's logging and http.server in the node's local time.
A line without a time has that of the line before it: a traceback stays together. A key that a service wrote is masked.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

from fleet.control.watch.masking import masked

HELLO = "fleet-logs "
_HEADER = re.compile(r"==> (/.*/)?([^/]+)\.log <==")
_HEADERS = re.compile(rb"(?:^|\n)==> [^\n]*\.log <==\n")
_ISO = re.compile(r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(?:[.,](\d{1,6}))?(Z?)\s?")
_ACCESS = re.compile(r"\[(\d\d/[A-Z][a-z]{2}/\d{4}[: ]\d\d:\d\d:\d\d)")
_ACCESS_WITHIN = 64
_COARSE_SECONDS = 1.0
_SAME_STAMP = 500
_TWICE = 100


class LogLine(NamedTuple):
    """A line, in the order of time. `at` is in seconds since 1970; `cut` are the characters of its own stamp.

    `away` is a line that no service wrote: it says that the node gives no logs, or gives them again.
    """

    at: float
    seq: int
    node: str
    service: str
    text: str
    cut: int = 0
    away: bool = False

    @property
    def said(self) -> str:
        """What it says without its stamp."""
        return self.text[self.cut :]

    def document(self) -> dict[str, Any]:
        """For programs: a row of `fleet logs --json`."""
        at = datetime.fromtimestamp(self.at, UTC).isoformat(timespec="milliseconds")
        return {"schema": 1, "at": at, "node": self.node, "service": self.service, "line": self.text, "away": self.away}


class LineReader:
    """Makes lines of the output of one node, chunk by chunk. `count` numbers the lines of all nodes."""

    def __init__(self, node: str, *, now: Callable[[], float], count: Iterator[int]) -> None:
        self._node = node
        self._now = now
        self._count = count
        self._rest = b""
        self._torn = False
        self._blank = False
        self._first = True
        self._service = ""
        self._offset = 0.0
        self._at: dict[str, float] = {}
        self._last: dict[str, tuple[float, set[str]]] = {}
        self._catching: set[str] = set()
        self._twice: deque[tuple[str, str]] = deque(maxlen=_TWICE)

    def feed(self, chunk: bytes) -> list[LogLine]:
        """The lines that this completes."""
        *whole, self._rest = (self._rest + chunk).split(b"\n")
        if self._torn and whole:
            del whole[0]
            self._torn = False
        return [line for raw in whole for line in self._lines(raw.decode(errors="replace"))]

    def skip(self, chunk: bytes) -> int:
        """Read past it; how many lines that were. What service speaks is still heard."""
        headers = _HEADERS.findall(chunk)
        if headers:
            self._header(headers[-1].decode(errors="replace").strip())
        self._torn, self._rest = not chunk.endswith(b"\n"), b""
        return chunk.count(b"\n")

    def end(self) -> list[LogLine]:
        """The output is over: what is left of it."""
        rest, self._rest = self._rest, b""
        found = list(self._lines(rest.decode(errors="replace"))) if rest and not self._torn else []
        self._torn = self._blank = False
        return found

    def again(self) -> None:
        """Another connection begins: what was read already comes once more, and is not told twice."""
        self._first, self._service = True, ""
        self._catching = set(self._last)

    def away(self, text: str) -> LogLine:
        """A line that says how it stands with the node itself."""
        return LogLine(self._now(), next(self._count), self._node, "", text, away=True)

    def _lines(self, text: str) -> Iterator[LogLine]:
        if self._first:
            self._first = False
            if text.startswith(HELLO):
                self._offset = offset_seconds(text.removeprefix(HELLO))
                return
        if text.startswith("==> ") and self._header(text):
            self._blank = False  # tail's own
            return
        if self._blank:
            self._blank = False
            yield from self._line("")
        if text:
            yield from self._line(text)
        else:
            self._blank = True

    def _header(self, text: str) -> bool:
        found = _HEADER.fullmatch(text)
        if found:
            self._service = found[2]
        return found is not None

    def _line(self, text: str) -> Iterator[LogLine]:
        service = self._service
        stamp = stamp_of(text, self._offset)
        before = self._at.get(service)
        if stamp is None:
            at, cut = self._now() if before is None else before, 0
        else:
            at, cut = stamp
            if before is not None and before - _COARSE_SECONDS < at < before:
                at = before  # a stamp of whole seconds: it was written after
        if self._known(service, at, text, stamped=stamp is not None) or self._said(service, text, cut):
            return
        self._at[service] = at
        yield LogLine(at, next(self._count), self._node, service, masked(text), cut)

    def _known(self, service: str, at: float, text: str, *, stamped: bool) -> bool:
        """Whether it was read before the connection broke."""
        last_at, texts = self._last.get(service, (float("-inf"), set[str]()))
        if service in self._catching:
            if not stamped or at < last_at or (at == last_at and text in texts):
                return True
            self._catching.discard(service)
        if at != last_at:
            self._last[service] = (at, {text})
        elif len(texts) < _SAME_STAMP:
            texts.add(text)
        return False

    def _said(self, service: str, text: str, cut: int) -> bool:
        """Whether it is a warning that a service wrote to its log and to its stderr alike."""
        base = service.removesuffix(".err")
        if not cut or (base == service and " INFO " in text[: cut + 6]):
            return False
        if (base, text) in self._twice and self._twice:
            return True
        self._twice.append((base, text))
        return False


def stamp_of(text: str, offset: float) -> tuple[float, int] | None:
    """When a line was written, in seconds since 1970, and the length of the stamp at its beginning; None = unstamped.

    `offset` are the seconds that the node's local time is ahead of UTC. Total.
    """
    if text[:2] == "20" and (found := _ISO.match(text)):
        seconds = _seconds(found[1].replace("T", " "), "%Y-%m-%d %H:%M:%S")
        part = float(f"0.{found[2]}") if found[2] else 0.0
        local = 0.0 if found[3] or found[1][10] == "T" else offset
        return None if seconds is None else (seconds + part - local, found.end())
    if "[" in text[:_ACCESS_WITHIN] and (found := _ACCESS.search(text, 0, _ACCESS_WITHIN + 24)):
        seconds = _seconds(found[1].replace(":", " ", 1) if found[1][11] == ":" else found[1], "%d/%b/%Y %H:%M:%S")
        return None if seconds is None else (seconds - offset, 0)
    return None


def offset_seconds(text: str) -> float:
    """`+0130` as seconds; 0 when it says nothing."""
    found = re.fullmatch(r"([+-])(\d\d)(\d\d)", text.strip())
    if found is None:
        return 0.0
    seconds = int(found[2]) * 3600.0 + int(found[3]) * 60.0
    return -seconds if found[1] == "-" else seconds


@lru_cache(maxsize=512)
def _seconds(text: str, form: str) -> float | None:
    try:
        return datetime.strptime(text, form).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
