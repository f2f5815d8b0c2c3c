"""The ledger at the admin door (contracts/ledger_admin.py): sums, a copy, and a copy to be taken at the next start.

It reads the file beside its writer.
"""

from __future__ import annotations

import asyncio
import gzip
import sqlite3
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

import msgspec
from aiohttp import web

from fleet.node.gateway.ledger.backup import CannotRestore, copy_of, lay_ready
from fleet.node.gateway.ledger.queries import oldest, summed
from fleet.node.gateway.ledger.store import said
from fleet.node.gateway.reload import Current
from fleet.traffic.openai_error import ApiError, Refused
from fleet.traffic.policy import Policy
from fleet.vocabulary.contracts.ledger_admin import LedgerQuery, LedgerReport, RestoreReport

_MOST_NAMES = 4
_CHUNK_BYTES = 256 * 1024
_LONGEST_BYTES = 4 * 1024**3


class LedgerDoors:
    """Opens its doors on the admin application. The policy of the moment says where the ledger is.

    `restart` ends this process in peace: whoever keeps it alive starts it again, and that start takes a restored file.
    """

    def __init__(self, current: Current, *, restart: Callable[[], None]) -> None:
        self._current = current
        self._restart = restart

    def open(self, app: web.Application) -> None:
        """Add the doors."""
        app.router.add_post("/admin/ledger", self._sums)
        app.router.add_get("/admin/ledger/copy", self._copy)
        app.router.add_post("/admin/ledger/restore", self._restore)

    async def _sums(self, request: web.Request) -> web.Response:
        policy, node = self._policy, self._current.loaded.config.node
        try:
            query = msgspec.json.decode(await request.read(), type=LedgerQuery)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise _refused(400, f"not a question about the ledger: {error}") from None
        if not 1 <= len(query.by) <= _MOST_NAMES or len(set(query.by)) < len(query.by):
            raise _refused(400, f"`by` names 1 to {_MOST_NAMES} different things")
        path = Path(policy.ledger_file)

        def read() -> LedgerReport:
            lines = summed(path, query, budget_tz=policy.budget_tz)
            return LedgerReport(node=node, lines=lines, oldest_milliseconds=oldest(path))

        try:
            report = await asyncio.to_thread(read)
        except OverflowError:
            raise _refused(400, "`since` and `until` are milliseconds of UTC, of at most 63 bits") from None
        except sqlite3.Error as error:
            raise _refused(503, f"the ledger cannot be read: {said(error)}") from None
        return web.Response(body=msgspec.json.encode(report), content_type="application/json")

    async def _copy(self, request: web.Request) -> web.StreamResponse:
        """One state of the ledger, gzipped."""
        path = Path(self._policy.ledger_file)
        with tempfile.TemporaryDirectory(dir=path.parent if path.parent.is_dir() else None) as folder:
            packed = Path(folder) / "copy.gz"
            try:
                await asyncio.to_thread(_pack, path, Path(folder) / "copy", packed)
            except (sqlite3.Error, OSError) as error:
                raise _refused(503, f"the ledger cannot be copied: {said(error)}") from None
            answer = web.StreamResponse(headers={"Content-Type": "application/gzip"})
            answer.content_length = packed.stat().st_size
            await answer.prepare(request)
            with packed.open("rb") as file:
                while part := await asyncio.to_thread(file.read, _CHUNK_BYTES):
                    await answer.write(part)
            await answer.write_eof()
            return answer

    async def _restore(self, request: web.Request) -> web.Response:
        """Take a gzipped copy, check it, lay it ready, and let this process be restarted."""
        path = Path(self._policy.ledger_file)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            packed, given = Path(folder) / "given.gz", Path(folder) / "given"
            with packed.open("wb") as file:
                async for part in request.content.iter_chunked(_CHUNK_BYTES):
                    await asyncio.to_thread(file.write, part)
            told = request.query.get("told", "")[:200] or "restored from a backup"
            force = request.query.get("force") == "1"
            try:
                await asyncio.to_thread(_unpack, packed, given)
                await asyncio.to_thread(lambda: lay_ready(path, given, said_of_it=told, force=force))
            except CannotRestore as error:
                raise _refused(409, f"the ledger is not restored: {error}") from None
        asyncio.get_running_loop().call_later(0.2, self._restart)
        report = RestoreReport(node=self._current.loaded.config.node)
        return web.Response(body=msgspec.json.encode(report), content_type="application/json")

    @property
    def _policy(self) -> Policy:
        policy = self._current.loaded.config.policy
        if policy is None:
            raise _refused(404, "this gateway has no policy, and so no ledger")
        return policy


def _pack(path: Path, copy: Path, packed: Path) -> None:
    copy_of(path, copy)
    with copy.open("rb") as source, gzip.open(packed, "wb", compresslevel=4) as target:
        while part := source.read(_CHUNK_BYTES):
            target.write(part)


def _unpack(packed: Path, given: Path) -> None:
    """Raises CannotRestore."""
    size = 0
    try:
        with gzip.open(packed, "rb") as source, given.open("wb") as target:
            given.chmod(0o600)
            while part := source.read(_CHUNK_BYTES):
                size += len(part)
                if size > _LONGEST_BYTES:
                    raise CannotRestore("it is larger than a ledger can be")
                target.write(part)
    except (OSError, EOFError, zlib.error) as error:
        raise CannotRestore(f"it did not arrive whole ({error})") from error


def _refused(status: int, message: str) -> Refused:
    return Refused(ApiError(status=status, message=message))
