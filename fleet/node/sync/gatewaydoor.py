"""The admin door of the node's own gateway, on loopback, with the node's own key (contracts/gateway_admin.py)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

_SECONDS = 5.0
_LONGEST_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Said:
    """What the door answered. `status` is None when nobody did; `why` says why, or what it refused."""

    status: int | None
    why: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether it did what it was asked."""
        return self.status == 200


class Door(Protocol):
    """Where a gateway is told to drain."""

    def ask(self, port: int, key: str, path: str, body: Mapping[str, object] | None = None) -> Said:
        """GET `path`, or POST `body` there. Never raises."""
        ...


class LoopbackDoor:
    """The door of a real gateway."""

    def ask(self, port: int, key: str, path: str, body: Mapping[str, object] | None = None) -> Said:
        """GET `path`, or POST `body` there. Never raises."""
        import http.client  # dear, and most runs drain nothing

        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_SECONDS)
        try:
            sent = None if body is None else json.dumps(body)
            connection.request("GET" if body is None else "POST", path, body=sent, headers=headers)
            answer = connection.getresponse()
            return said(answer.status, answer.read(_LONGEST_BYTES))
        except (OSError, http.client.HTTPException, ValueError) as error:
            return Said(status=None, why=str(error) or type(error).__name__)
        finally:
            connection.close()


def said(status: int, body: bytes) -> Said:
    """An answer, read. Total: what is no JSON object holds nothing."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        data = {}
    error = data.get("error")
    why = str(error.get("message", "")) if isinstance(error, dict) else ""
    return Said(status=status, why=why or ("" if status == 200 else f"status {status}"), data=data)
