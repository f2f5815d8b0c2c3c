"""The loopback listener: HTTP/1.1, GET, kept connections. A slow or hostile client costs a buffer, never the loop."""

from __future__ import annotations

import selectors
import socket
from collections.abc import Callable
from dataclasses import dataclass

from fleet.node.agent.parts import NEVER, Watched
from fleet.node.agent.request import MOST_HEAD_BYTES, Refusal, Request, check, parse_head
from fleet.vocabulary.clock import Clock
from fleet.vocabulary.secret import Secret

_MOST_CLIENTS = 64
_MOST_UNSENT_BYTES = 4 * 1024 * 1024
_HEAD_SECONDS = 10.0
_SEND_SECONDS = 10.0
_IDLE_SECONDS = 300.0
_REASONS = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
    413: "Content Too Large",
    421: "Misdirected Request",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
}


@dataclass(frozen=True, kw_only=True)
class Page:
    """An answer. `age_seconds` is how old the sample behind it is."""

    body: bytes
    content_type: str
    age_seconds: float | None = None


Pages = Callable[[str, str], Page | Refusal | None]
"""The page of a path and a query; None where there is none."""


class HttpServer:
    """Serves `pages` on a listening socket. `/healthz` needs no token; everything else does."""

    def __init__(
        self,
        selector: selectors.BaseSelector,
        clock: Clock,
        listener: socket.socket,
        pages: Pages,
        token: Secret | None,
    ) -> None:
        self._selector, self.clock, self._pages = selector, clock, pages
        self.token = token
        self._listener = listener
        self._port: int = listener.getsockname()[1]
        self._clients: dict[int, _Client] = {}
        listener.settimeout(0)
        self._watched = Watched(selector, listener.fileno(), selectors.EVENT_READ, self._accept)

    def next_at(self) -> float:
        """The first deadline of a client."""
        return min((client.deadline for client in self._clients.values()), default=NEVER)

    def wake(self, now: float) -> None:
        """Close the clients that are late."""
        for client in [client for client in self._clients.values() if client.deadline <= now]:
            client.close()

    def close(self) -> None:
        """Close every socket."""
        for client in list(self._clients.values()):
            client.close()
        self._watched.leave()
        self._listener.close()

    def forget(self, file: int) -> None:
        """A client is gone."""
        self._clients.pop(file, None)

    def respond(self, head: bytes) -> tuple[bytes, bool]:
        """The answer to a head, in one piece, and whether the connection is kept."""
        parsed = parse_head(head)
        if isinstance(parsed, Refusal):
            return _refused(parsed), not parsed.close
        refusal = check(parsed, port=self._port, token=self.token, open_paths=frozenset({"/healthz"}))
        if refusal is None:
            page = self._pages(parsed.path, parsed.query)
            if isinstance(page, Page):
                return _answered(page, parsed), parsed.keep_alive
            refusal = page or Refusal(status=404, text="no such page")
        keep = parsed.keep_alive and not refusal.close
        return _refused(refusal, close=not keep), keep

    def _accept(self, _events: int) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:  # the client gave up, or there are no files left: it tries again
            return
        if len(self._clients) >= _MOST_CLIENTS:
            oldest = min(self._clients.values(), key=lambda client: client.deadline)
            oldest.close()
        connection.settimeout(0)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._clients[connection.fileno()] = _Client(self, self._selector, connection)


class _Client:
    """One connection: reads heads, sends answers, and closes itself at its deadline or at anything odd."""

    def __init__(self, server: HttpServer, selector: selectors.BaseSelector, connection: socket.socket) -> None:
        self._server, self._connection = server, connection
        self._unread = bytearray()
        self._unsent = bytearray()
        self._closing = False
        self.deadline = server.clock.monotonic() + _HEAD_SECONDS
        self._watched = Watched(selector, connection.fileno(), selectors.EVENT_READ, self._ready)

    def close(self) -> None:
        """End the connection."""
        self._server.forget(self._connection.fileno())
        self._watched.leave()
        self._connection.close()

    def _ready(self, events: int) -> None:
        try:
            if events & selectors.EVENT_READ and not self._read():
                self.close()
                return
            self._send()
        except BlockingIOError:
            return
        except OSError:
            self.close()

    def _read(self) -> bool:
        data = self._connection.recv(65536)
        if not data:
            return False
        self._unread += data
        while not self._closing and (end := self._unread.find(b"\r\n\r\n", 0, MOST_HEAD_BYTES)) >= 0:
            answer, keep = self._server.respond(bytes(self._unread[:end]))
            del self._unread[: end + 4]
            self._unsent += answer
            self._closing = not keep or len(self._unsent) > _MOST_UNSENT_BYTES
        if not self._closing and len(self._unread) >= MOST_HEAD_BYTES:
            self._unsent += _refused(Refusal(status=431, text="the head is too long", close=True))
            self._closing = True
        return True

    def _send(self) -> None:
        """Send what fits. While answers wait, nothing more is read from this client."""
        now = self._server.clock.monotonic()
        if self._unsent:
            try:
                sent = self._connection.send(self._unsent)
            except BlockingIOError:
                sent = 0
            del self._unsent[:sent]
        if self._unsent:
            self._watched.watch(selectors.EVENT_WRITE)
            self.deadline = min(self.deadline, now + _SEND_SECONDS)
        elif self._closing:
            self.close()
        else:
            self._watched.watch(selectors.EVENT_READ)
            if not self._unread:
                self.deadline = now + _IDLE_SECONDS
            else:
                self.deadline = min(self.deadline, now + _HEAD_SECONDS)


def _answered(page: Page, request: Request) -> bytes:
    age = "" if page.age_seconds is None else f"Age: {max(0, round(page.age_seconds))}\r\n"
    connection = "" if request.keep_alive else "Connection: close\r\n"
    return _head(200, page.content_type, len(page.body), age + connection) + page.body


def _refused(refusal: Refusal, *, close: bool = False) -> bytes:
    extra = "Connection: close\r\n" if refusal.close or close else ""
    if refusal.status == 401:
        extra += "WWW-Authenticate: Bearer\r\n"
    if refusal.status == 405:
        extra += "Allow: GET\r\n"
    body = f"{refusal.text}\n".encode()
    return _head(refusal.status, "text/plain; charset=utf-8", len(body), extra) + body


def _head(status: int, content_type: str, length: int, extra: str) -> bytes:
    return (
        f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n"
        f"Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n{extra}\r\n"
    ).encode()
