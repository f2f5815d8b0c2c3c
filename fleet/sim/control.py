"""How `fleet sim` speaks with a running supervisor: one JSON line each way over 127.0.0.1, opened by a token."""

from __future__ import annotations

import asyncio
import hmac
import json
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from fleet.errors import FleetError

MAX_LINE_BYTES = 1024 * 1024

Handler = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


def ask(port: int, token: str, request: dict[str, Any], *, timeout_seconds: float = 180.0) -> dict[str, Any]:
    """The supervisor's answer. Raises FleetError with its words when it refuses, OSError when it is not there."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout_seconds) as peer:
        peer.sendall(json.dumps({"token": token, **request}).encode() + b"\n")
        with peer.makefile("rb") as lines:
            answer: dict[str, Any] = json.loads(lines.readline() or b'{"error": "the supervisor went away"}')
    if "error" in answer:
        raise FleetError(str(answer["error"]), hint=str(answer.get("hint", "")))
    return answer


class ControlPort:
    """The supervisor's side."""

    def __init__(self, token: str, handle: Handler) -> None:
        self._token = token
        self._handle = handle
        self._server: asyncio.Server | None = None

    async def open(self) -> int:
        """Listen; the port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=MAX_LINE_BYTES)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def close(self) -> None:
        """Stop listening."""
        if self._server:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            answer = await self._answer(await reader.readline())
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        except (OSError, ValueError):
            pass  # the caller went away, or is not one of ours
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        request = json.loads(line)
        if not isinstance(request, dict) or not hmac.compare_digest(str(request.get("token")), self._token):
            return {"error": "not the token of this simulation"}
        try:
            return await self._handle(request)
        except FleetError as error:
            return {"error": error.title, "hint": error.hint}
        except OSError as error:
            return {"error": f"the simulation failed: {error}"}
