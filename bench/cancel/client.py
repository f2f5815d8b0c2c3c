"""A client of one request on a socket of its own: it can leave at any moment, in any way."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import time
from typing import Any

from bench.cancel.pair import KEY

SURFACES = ("chat", "completions", "responses", "messages")
PATHS = {
    "chat": "/v1/chat/completions",
    "completions": "/v1/completions",
    "responses": "/v1/responses",
    "messages": "/v1/messages",
}
_RESET = struct.pack("ii", 1, 0)


def body_of(surface: str, *, model: str, prompt: str, stream: bool) -> dict[str, Any]:
    """A request in the words of the surface."""
    turns = [{"role": "user", "content": prompt}]
    said: dict[str, dict[str, Any]] = {
        "chat": {"messages": turns},
        "completions": {"prompt": prompt},
        "responses": {"input": prompt},
        "messages": {"messages": turns, "max_tokens": 4096},
    }
    return {"model": model, "stream": stream, **said[surface]}


def request_of(surface: str, body: dict[str, Any], *, version: str = "1.1") -> bytes:
    """The request on the wire."""
    data = json.dumps(body).encode()
    host = "Host: localhost\r\n" if version == "1.1" else ""
    head = (
        f"POST {PATHS[surface]} HTTP/{version}\r\n{host}Authorization: Bearer {KEY}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    )
    return head.encode() + data


class Client:
    """`heard` is all that came. Nothing of asyncio lies between `leave` and its FIN: the kernel sends it at once."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.heard = b""

    @classmethod
    async def asks(cls, port: int, request: bytes) -> Client:
        """Connected, and the request sent."""
        sock = socket.socket()
        sock.settimeout(0)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, ("127.0.0.1", port))
        client = cls(sock)
        await client.send(request)
        return client

    async def send(self, data: bytes) -> None:
        """Say more."""
        await asyncio.get_running_loop().sock_sendall(self._sock, data)

    async def hear(self, *words: bytes, within_seconds: float = 5.0) -> bytes:
        """Read until all of `words` were heard, or (without words) until the end. Raises TimeoutError, EOFError."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(within_seconds):
            while not words or not all(word in self.heard for word in words):
                data = await loop.sock_recv(self._sock, 65536)
                if not data:
                    if words:
                        raise EOFError(f"ended without {words!r}: {self.heard[-400:]!r}")
                    break
                self.heard += data
        return self.heard

    def half_close(self) -> float:
        """Nothing more will be sent; reading goes on. The monotonic second of it."""
        now = time.monotonic()
        self._sock.shutdown(socket.SHUT_WR)
        return now

    def leave(self, *, reset: bool = False) -> float:
        """Close, by FIN or by RST; the monotonic second of it. Twice is once."""
        if reset:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        now = time.monotonic()
        self._sock.close()
        return now
