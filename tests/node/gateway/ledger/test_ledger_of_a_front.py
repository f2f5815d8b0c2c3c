"""A front as it is started, and the laptop's client at its admin door: sums, a copy, a restore with a restart."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from gateway_harness import hashed, until, write_config
from ledger_rows import request, reservation, settlement

from fleet.control.actions.gateways import AdminDoor, NodeRefusal
from fleet.errors import FleetError
from fleet.node.gateway.ledger.reading import notes
from fleet.node.gateway.ledger.recovery import RECONCILED, RESTORED
from fleet.node.gateway.ledger.store import LedgerFile
from fleet.sim.ports import free_port
from fleet.traffic.config import Listen
from fleet.traffic.keyring import KeyRing
from fleet.traffic.policy import Policy
from fleet.vocabulary.contracts.ledger_admin import LedgerBy, LedgerQuery
from fleet.vocabulary.names import GatewayRole
from fleet.vocabulary.secret import Secret

_BOSS = "sk-boss-0123456789"


@dataclass
class Settings:
    gateway_admin_port: int
    gateway_port: int = 1
    gateway_bind: str = "127.0.0.1"


@dataclass
class Node:
    """What an admin door wants of a node."""

    settings: Settings
    name: str = "front-1"


class Loopback:
    """A session with this machine."""

    node = "front-1"
    key_fingerprint = None

    def open_tcp(self, port: int, host: str = "127.0.0.1", *, within_seconds: float = 10) -> socket.socket:
        return socket.create_connection((host, port), timeout=within_seconds)

    def exec(self, command: str, *, within_seconds: float = 10) -> Any:
        raise NotImplementedError

    def close(self) -> None:
        pass


@asynccontextmanager
async def front(folder: Path, config: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-s", "-m", "fleet.node.gateway", "--config", str(config)),
        stderr=asyncio.subprocess.DEVNULL,
        cwd=folder,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def answers(door: AdminDoor, query: LedgerQuery) -> Any:
    """As soon as the door is open."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await asyncio.to_thread(door.ledger, query)
            except (FleetError, NotImplementedError, OSError):
                await asyncio.sleep(0.05)


def told(path: Path, kind: str) -> bool:
    return path.exists() and any(note.kind == kind for note in notes(path))


async def test_the_laptop_asks_a_front_copies_its_ledger_and_gives_it_back_to_an_empty_one(tmp_path: Path) -> None:
    state = tmp_path / "state"
    path = state / "ledger.db"
    port = free_port()
    config = write_config(
        tmp_path,
        role=GatewayRole.FRONT,
        listen=Listen(host="127.0.0.1", port=free_port()),
        admin_port=port,
        state_dir=str(state),
        policy=Policy(ledger_file=str(path)),
    )
    (tmp_path / "keys.json").write_bytes(msgspec.json.encode(KeyRing(keys=(hashed("boss", _BOSS, "admin"),))))
    before = LedgerFile(path)
    before.put([request("a", completion_tokens=5), reservation("a", 900), settlement("a", 400)])
    before.close()
    query = LedgerQuery(by=(LedgerBy.PERSON,))
    door = AdminDoor(Loopback(), Node(Settings(port)), Secret(_BOSS))  # type: ignore[arg-type]

    async with front(tmp_path, config) as process:
        report = await answers(door, query)
        packed = await asyncio.to_thread(door.ledger_copy)
        await until(lambda: told(path, RECONCILED))
    assert process.returncode == 0
    assert [(line.names, line.requests, line.spent_pico) for line in report.lines] == [(("ada",), 1, 400)]

    for part in state.glob("ledger.db*"):
        part.unlink()
    async with front(tmp_path, config) as process:
        assert (await answers(door, query)).lines == ()
        with pytest.raises(NodeRefusal, match="the ledger is not restored: it did not arrive whole"):
            await asyncio.to_thread(lambda: door.restore_ledger(b"nonsense", told="x", force=True))
        await asyncio.to_thread(lambda: door.restore_ledger(packed, told="from the old disk", force=False))
        async with asyncio.timeout(30):
            assert await process.wait() == 0, "it ends in peace, and launchd starts it again"

    async with front(tmp_path, config):
        assert (await answers(door, query)).lines == report.lines
        await until(lambda: told(path, RESTORED) and notes(path)[-1].kind == RECONCILED)
