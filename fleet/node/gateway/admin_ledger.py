"""The ledger at the admin door: `POST /admin/ledger` (contracts/ledger_admin.py). Reads beside the writer."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import msgspec
from aiohttp import web

from fleet.node.gateway.ledger.queries import oldest, summed
from fleet.node.gateway.ledger.store import said
from fleet.node.gateway.reload import Current
from fleet.traffic.openai_error import ApiError, Refused
from fleet.vocabulary.contracts.ledger_admin import LedgerQuery, LedgerReport

_MOST_NAMES = 4


class LedgerDoors:
    """Opens its doors on the admin application. The policy of the moment says where the ledger is."""

    def __init__(self, current: Current) -> None:
        self._current = current

    def open(self, app: web.Application) -> None:
        """Add the doors."""
        app.router.add_post("/admin/ledger", self._sums)

    async def _sums(self, request: web.Request) -> web.Response:
        config = self._current.loaded.config
        if config.policy is None:
            raise _refused(404, "this gateway has no policy, and so no ledger")
        try:
            query = msgspec.json.decode(await request.read(), type=LedgerQuery)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise _refused(400, f"not a question about the ledger: {error}") from None
        if not 1 <= len(query.by) <= _MOST_NAMES or len(set(query.by)) < len(query.by):
            raise _refused(400, f"`by` names 1 to {_MOST_NAMES} different things")
        path, zone = Path(config.policy.ledger_file), config.policy.budget_tz

        def read() -> LedgerReport:
            return LedgerReport(
                node=config.node, lines=summed(path, query, budget_tz=zone), oldest_milliseconds=oldest(path)
            )

        try:
            report = await asyncio.to_thread(read)
        except sqlite3.Error as error:
            raise _refused(503, f"the ledger cannot be read: {said(error)}") from None
        return web.Response(body=msgspec.json.encode(report), content_type="application/json")


def _refused(status: int, message: str) -> Refused:
    return Refused(ApiError(status=status, message=message))
