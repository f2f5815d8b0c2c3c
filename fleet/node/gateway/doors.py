"""What a door of the gateway is, and who stands at it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from aiohttp import web

from fleet.traffic.dialects.dialect import Dialect
from fleet.traffic.keyring import HashedKey


@dataclass(slots=True, eq=False)
class Visit:
    """One request at a door: who asks, under which id it is known, and whether it became a call."""

    request: web.BaseRequest
    id: str
    key: HashedKey | None = None
    called: bool = False


Answer = Callable[[Visit], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Door:
    """What answers at a path. `scope` None needs no key, `method` "" takes any; `dialect` says how errors are told."""

    answer: Answer
    scope: str | None
    dialect: Dialect
    method: str = "GET"

    def takes(self, method: str) -> bool:
        """Whether it answers to `method`."""
        return method == self.method or not self.method or (method == "HEAD" and self.method == "GET")

    @property
    def allow(self) -> str:
        """The methods that it takes."""
        return "GET, HEAD" if self.method == "GET" else self.method


def json_answer(data: Any, *, status: int = 200) -> web.Response:
    """An answer of JSON."""
    return web.Response(status=status, body=msgspec.json.encode(data), content_type="application/json")
