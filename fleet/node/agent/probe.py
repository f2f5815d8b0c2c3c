"""One HTTP/1.0 request on loopback beside the loop: never waits, has a deadline, and a bound on the answer."""

from __future__ import annotations

import errno
import json
import os
import selectors
import socket
from collections.abc import Callable
from dataclasses import dataclass

from fleet.engines.engine import Probe
from fleet.node.agent.parts import Watched
from fleet.vocabulary.clock import Clock
from fleet.vocabulary.secret import Secret

_MOST_BYTES = 256 * 1024


@dataclass(frozen=True, kw_only=True)
class ProbeAnswer:
    """What came back. `status` None = no HTTP answer, for the reason in `problem`."""

    status: int | None
    body: bytes = b""
    seconds: float
    problem: str | None = None


class ProbeCall:
    """One probe on its way. `then` is called once, on the loop's thread."""

    def __init__(
        self,
        selector: selectors.BaseSelector,
        clock: Clock,
        probe: Probe,
        *,
        port: int,
        deadline_seconds: float,
        then: Callable[[ProbeAnswer], None],
        token: Secret | None = None,
    ) -> None:
        self._clock, self._then = clock, then
        self._started = clock.monotonic()
        self._limit = deadline_seconds
        self.deadline = self._started + deadline_seconds
        self._unsent = bytearray(_request(probe, port, token))
        self._answer = bytearray()
        self._connecting = True
        self.done = False
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.settimeout(0)
        self._watched: Watched | None = None
        code = self._socket.connect_ex(("127.0.0.1", port))
        if code not in (0, errno.EINPROGRESS):
            self._end(None, os.strerror(code))
            return
        self._watched = Watched(selector, self._socket.fileno(), selectors.EVENT_WRITE, self._ready)

    def expire(self, now: float) -> None:
        """End the call when its deadline has passed."""
        if not self.done and now >= self.deadline:
            self._end(None, f"no answer within {self._limit:g} s")

    def cancel(self) -> None:
        """End the call without a word."""
        self.done = True
        self._leave()

    def _ready(self, _events: int) -> None:
        try:
            if self._connecting:
                code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if code:
                    self._end(None, os.strerror(code))
                    return
                self._connecting = False
            if self._unsent:
                del self._unsent[: self._socket.send(self._unsent)]
                if not self._unsent and self._watched:
                    self._watched.watch(selectors.EVENT_READ)
                return
            data = self._socket.recv(65536)
        except BlockingIOError:
            return
        except OSError as error:
            self._end(None, error.strerror or "the connection broke")
            return
        self._answer += data
        if len(self._answer) > _MOST_BYTES:
            self._end(None, "the answer is too long")
        elif not data or _complete(self._answer):
            self._parse()

    def _parse(self) -> None:
        head, blank, body = bytes(self._answer).partition(b"\r\n\r\n")
        words = head.split(None, 2)
        if not blank or not head.startswith(b"HTTP/1.") or len(words) < 2 or not words[1].isdigit():
            self._end(None, "what it said is no HTTP answer" if self._answer else "it closed the connection")
        else:
            self._end(int(words[1][:3]), None, body)

    def _end(self, status: int | None, problem: str | None, body: bytes = b"") -> None:
        self.done = True
        self._leave()
        seconds = self._clock.monotonic() - self._started
        self._then(ProbeAnswer(status=status, body=body, seconds=seconds, problem=problem))

    def _leave(self) -> None:
        if self._watched is not None:
            self._watched.leave()
        self._socket.close()


def _request(probe: Probe, port: int, token: Secret | None) -> bytes:
    body = b"" if probe.body is None else json.dumps(dict(probe.body)).encode()
    kind = "Content-Type: application/json\r\n" if body else ""
    head = f"{probe.method} {probe.path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n{kind}Content-Length: {len(body)}\r\n"
    key = f"Authorization: Bearer {token.reveal()}\r\n" if token else ""
    return f"{head}{key}Connection: close\r\n\r\n".encode() + body


def _complete(answer: bytearray) -> bool:
    """Whether an answer with a Content-Length is there in whole (a server may hold the connection open)."""
    head, blank, body = bytes(answer).partition(b"\r\n\r\n")
    if not blank:
        return False
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length" and value.strip().isdigit():
            return len(body) >= int(value.strip()[:12])
    return False
