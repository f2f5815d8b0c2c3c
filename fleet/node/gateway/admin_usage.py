"""How a front is used, at the admin door (contracts/usage.py). It reads the ledger beside its writer, one at a time."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path

import msgspec
from aiohttp import web

from fleet.node.gateway.ledger.store import said
from fleet.node.gateway.ledger.usage import TooManyLines, first_request, usage
from fleet.node.gateway.reload import Current
from fleet.traffic.openai_error import ApiError, Refused
from fleet.vocabulary.contracts.usage import UsageLine, UsageQuery, UsageReport

_MOST_NAMES = 6


class UsageDoor:
    """Opens its door on the admin application. The policy of the moment says where the ledger is; `read` reads it."""

    def __init__(self, current: Current, *, read: Callable[..., tuple[UsageLine, ...]] = usage) -> None:
        self._current = current
        self._usage = read
        self._turn = asyncio.Semaphore(1)

    def open(self, app: web.Application) -> None:
        """Add the door."""
        app.router.add_post("/admin/usage", self._tell)

    async def _tell(self, request: web.Request) -> web.Response:
        config = self._current.loaded.config
        policy = config.policy
        if policy is None:
            raise _refused(404, "this gateway has no policy, and so no ledger")
        try:
            query = msgspec.json.decode(await request.read(), type=UsageQuery)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise _refused(400, f"not a question about usage: {error}") from None
        if len(query.by) > _MOST_NAMES or len(set(query.by)) < len(query.by):
            raise _refused(400, f"`by` names at most {_MOST_NAMES} different things")
        path = Path(policy.ledger_file)

        def read() -> bytes:
            lines = self._usage(path, query, budget_tz=policy.budget_tz)
            report = UsageReport(node=config.node, lines=lines, oldest_milliseconds=first_request(path))
            return msgspec.json.encode(report)

        try:
            async with self._turn:
                body = await asyncio.to_thread(read)
        except OverflowError:
            raise _refused(400, "`since` and `until` are milliseconds of UTC, of at most 63 bits") from None
        except TooManyLines as error:
            raise _refused(400, str(error)) from None
        except sqlite3.Error as error:
            raise _refused(503, f"the ledger cannot be read: {said(error)}") from None
        return web.Response(body=body, content_type="application/json")


def _refused(status: int, message: str) -> Refused:
    return Refused(ApiError(status=status, message=message))
